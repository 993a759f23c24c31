"""What a file promises of its length, and what it held."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.media.decoding import LOSSLESS, Decoding
from torchmetrics_majorscore.media.ending import find_fault
from torchmetrics_majorscore.media.structure import find_break

if TYPE_CHECKING:
    from av.container import InputContainer

# Of the length in seconds. Headers of lossy sound count the codec's padding, or round to milliseconds.
_TOLERANCE = 0.1
_EXACT = 0.0005  # where every sample is counted
# Headers, or the last stamps of the file, say how long each stream is. Elsewhere ffmpeg guesses from the bit rate.
_STREAMS = ("aiff", "asf", "au", "caf", "flac", "mov", "ogg", "tta", "w64", "wav", "wv")
# Here one duration is said of the whole file.
_WHOLE = ("matroska", "flv")
_CUT = 2  # packets that a cut may leave without their end
_OPEN_ENDED = 0x7FFF0000  # bytes; a wav that was written to a pipe names about the largest length that there is


def promised_end(container: InputContainer, stream: Any, path: Path) -> float | None:
    """Find when a stream should end.

    Args:
        container: The open container.
        stream: One of its streams.
        path: The file.

    Returns:
        The end in seconds in the clock of the stream; None if the file does not say.
    """
    name = container.format.name.split(",")[0]
    if name == "avi":
        # The count of the header; of a file that was cut, ffmpeg shortens the duration to what is there.
        return float(stream.frames * stream.time_base) if stream.frames else None
    if name in _STREAMS or (name == "mp3" and _counts_frames(path)):
        if stream.duration is None:
            return None
        if name == "wav" and float(stream.duration * stream.time_base) * (stream.bit_rate or 0) / 8 >= _OPEN_ENDED:
            return None
        return float((stream.duration + (stream.start_time or 0)) * stream.time_base)
    if name not in _WHOLE:
        return None
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    try:
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except ValueError:
        return None


def describe_end(decoding: Decoding, end: float, wanted: float | None) -> list[str]:
    """Compare where a stream ended with what was promised.

    Args:
        decoding: How the stream was decoded, to its end.
        end: End in seconds of what was decoded, in the clock of the stream.
        wanted: Moment in that clock after which nothing matters, or None.

    Returns:
        A remark if the end is missing as in a file that was cut off.

    Raises:
        ValueError: If the end is missing although the file goes on: what lies there is damaged.
    """
    packets, stream = decoding.packets, decoding.stream
    word = {"video": "picture", "audio": "sound"}[stream.type]
    origin = float((stream.start_time or 0) * stream.time_base)
    said = f"{word} ends at {end - origin:.3f} s"
    promised = promised_end(packets.container, stream, decoding.path)
    whole = packets.container.duration
    if promised is None and packets.format in _WHOLE and whole and packets.end < whole / 1e6 - _TOLERANCE:
        promised = whole / 1e6  # no stream reaches the end that the file names
    usual = 1.5 / stream.guessed_rate if stream.type == "video" and stream.guessed_rate else 0
    counted = stream.codec.name.startswith("pcm") or stream.codec.name in LOSSLESS
    tolerance = _EXACT if counted and packets.format in _STREAMS else max(_TOLERANCE, usual)
    if wanted is not None and end >= wanted - tolerance:
        return []
    if damage := find_break(packets.format, decoding.path):
        raise ValueError(f"Expected {stream.type} without damage, got {decoding.path}: {damage}")
    if promised is None or end >= promised - tolerance:
        damage = decoding.damage or find_fault(packets, decoding.path)
        return [f"{said} with what does not decode ({damage})"] if damage else []
    said += f" of {promised - origin:.3f} s promised"
    unread = 0 if packets.until is None else decoding.path.stat().st_size - packets.until
    if unread > 2 * packets.largest + 64 or decoding.lost > _CUT:
        follow = decoding.damage or f"{unread} bytes follow"
        raise ValueError(f"Expected {stream.type} without damage, got {decoding.path}: {said}, {follow}")
    return [said]


def _counts_frames(path: Path) -> bool:
    """Tell whether an mp3 starts with the frame that counts the others."""
    with path.open("rb") as file:
        head = file.read(10)
        tag = sum((byte & 0x7F) << 7 * k for k, byte in enumerate(reversed(head[6:]))) + 10
        file.seek(tag if head.startswith(b"ID3") else 0)
        first = file.read(4096)
    return any(word in first for word in (b"Xing", b"Info", b"VBRI"))
