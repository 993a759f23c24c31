"""Whether a file ends as its format asks: what a cut leaves behind where no header counts what should be there."""

from __future__ import annotations

from pathlib import Path

from torchmetrics_majorscore.media.packets import Packets
from torchmetrics_majorscore.media.tags import is_tag

_FRAMED = ("aac", "ac3", "dts", "eac3", "mp3")  # every frame names its size, and that is all
_TS_PACKETS = (188, 192, 204)  # bytes
_TAIL = 2**16  # bytes; the largest page of ogg


def find_fault(packets: Packets, path: Path) -> str:
    """Look at the end of a file.

    Args:
        packets: Its packets, read to the end.
        path: The file.

    Returns:
        What is wrong with it, "" if nothing is.
    """
    size, name, until = path.stat().st_size, packets.format, packets.until
    if name == "mpegts" and all(size % packet for packet in _TS_PACKETS):
        return "incomplete packet"
    if name == "asf" and packets.container.duration is None:  # which it is if the header names another size
        return "the header does not fit the file"
    if name == "mov":
        return _check_boxes(path, size)
    if name == "ogg":
        return _check_last_page(_read(path, max(0, size - _TAIL)))
    if name == "wav" and until is not None:
        return _check_chunk(_read(path, until + until % 2), size - until)
    if name in _FRAMED and until is not None:
        tail = _read(path, until)
        return "" if not tail.strip(b"\0") or is_tag(tail) else "incomplete frame"
    return ""


def _check_boxes(path: Path, size: int) -> str:
    """Walk over the boxes of an MP4."""
    place = 0
    while place + 8 <= size:
        head = _read(path, place, 16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length == 0:  # up to the end of the file
            return ""
        if length < 8 or not _is_name(head[4:8]):
            return f"what follows byte {place} is no box"
        place += length
    return "incomplete box" if place > size else ""


def _check_last_page(tail: bytes) -> str:
    page = tail[max(0, tail.rfind(b"OggS")) :]
    length = 27 + sum(page[26:27]) + sum(page[27 : 27 + sum(page[26:27])])
    return "" if page[5:6] >= b"\x04" and len(page) >= length else "the last page is missing"


def _check_chunk(chunk: bytes, rest: int) -> str:
    """Check what follows the samples of a wav, usually a chunk of names, or tags."""
    fits = _is_name(chunk[:4]) and int.from_bytes(chunk[4:8], "little") <= rest
    return "" if fits or not chunk.strip(b"\0") or is_tag(chunk) else "what follows its samples is no chunk"


def _is_name(name: bytes) -> bool:
    return name.isascii() and name.decode("ascii").isprintable()


def _read(path: Path, place: int, size: int = _TAIL) -> bytes:
    with path.open("rb") as file:
        file.seek(place)
        return file.read(size)
