"""Opening a media file and decoding one of its streams: the only place that imports the decoder (PyAV)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    from av.container import InputContainer


def import_av() -> ModuleType:
    """Import PyAV, which only reading files needs.

    Returns:
        The module ``av``.

    Raises:
        ModuleNotFoundError: If PyAV is not installed; the message holds the line that installs it.
    """
    try:
        import av
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'Expected PyAV to read media files, got no module "av"; pip install "torchmetrics-majorscore[media]"'
        ) from error
    return av


def check_window(start: float, end: float | None) -> None:
    """Check a window of time.

    Args:
        start: First moment in seconds, finite and at least 0.
        end: Moment in seconds that the window stops before, above ``start``; None is the end of the file.

    Raises:
        ValueError: If the window is empty, negative or not finite.
    """
    if not (math.isfinite(start) and start >= 0):
        raise ValueError(f"Expected a finite start >= 0 in seconds, got {start}")
    if end is not None and not (math.isfinite(end) and end > start):
        raise ValueError(f"Expected a finite end above start={start} in seconds, got {end}; is end a duration?")


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open a media file for reading, and close it.

    Args:
        path: The file.

    Yields:
        The open container.

    Raises:
        FileNotFoundError: If there is no such file.
        ModuleNotFoundError: If PyAV is not installed.
        ValueError: If ffmpeg does not know the file as media; one line with the path and ffmpeg's reason.
    """
    av = import_av()
    if not path.is_file():
        raise FileNotFoundError(f"Expected a media file, got no file at {path}; is it relative to another folder?")
    try:
        # Absolute, so that ffmpeg does not read a name such as "a:b.mp4" as a network protocol. No pattern, so that an
        # image called "a%03d.jpg" is that one file. Tags in another encoding than UTF-8 are no reason to fail.
        options: dict[str, Any] = {"container_options": {"pattern_type": "none"}}
        if int(av.__version__.split(".")[0]) < 19:  # from 19 on PyAV has no such option and never fails on tags
            options["metadata_errors"] = "replace"
        container = av.open(str(path.absolute()), **options)
    except av.FFmpegError as error:
        raise ValueError(f"Expected a readable media file, got {path}: {error.strerror}") from error
    with container:
        yield container


def decode(container: InputContainer, stream: Any, path: Path, promised: Sequence[int] = ()) -> Iterator[Any]:
    """Decode one stream from the container's current position, up to the end that a truncated file has.

    What is cut off at the end is left out, and so are audio packets before the first that decodes (a sound cut out of
    a stream begins with the rest of one). Damage in between is an error: pictures after it are predicted from what was
    lost and come out grey or smeared, samples after it in the wrong place.

    Args:
        container: The open container.
        stream: One of its audio or video streams.
        path: The file, for messages.
        promised: Presentation stamps of pictures in order. If there are any, then those between them to which no other
            picture refers are not decoded, and damage to them goes unnoticed.

    Yields:
        Frames in presentation order.

    Raises:
        ValueError: If nothing decodes or the stream is damaged; one line with the path and ffmpeg's reason.
    """
    av = import_av()
    packets, decoded, damage = container.demux(stream), False, ""
    kept, until = frozenset(promised), promised[-1] if promised else -math.inf
    while True:
        try:
            packet = next(packets, None)
            if promised and packet is not None:
                unshown = packet.pts is not None and packet.pts < until and packet.pts not in kept
                stream.codec_context.skip_frame = "NONREF" if unshown else "DEFAULT"
            frames = [] if packet is None else packet.decode()
        except av.FFmpegError as error:
            damage = damage or error.strerror or type(error).__name__
            continue
        if packet is None:
            break
        for frame in frames:
            if frame.is_corrupt:
                damage = damage or "incomplete frame"
                continue
            # The last, empty packet only flushes frames from before the damage.
            if damage and packet.size > 0 and (decoded or stream.type == "video"):
                raise ValueError(f"Expected {stream.type} without damage, got {path}: {damage}")
            decoded = True
            yield frame
    if not decoded:
        raise ValueError(f"Expected {stream.type} that decodes, got {path}: {damage or 'the stream is empty'}")
