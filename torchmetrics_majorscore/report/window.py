"""A window of a clip for the eye and the ear: small pictures and mono sound, by PyAV and NumPy alone."""

import math
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmetrics_majorscore.media import Entry
from torchmetrics_majorscore.media.container import import_av, open_media

FPS = 8.0
LONGEST_SIDE = 320  # pixels
SAMPLE_RATE = 44_100  # Hz
SLACK = 0.6e-3  # seconds by which rounding moves a picture's stamp in mkv and webm
NORMAL_OFFSET = 0.1  # seconds by which sound and picture, or two blocks of sound, may be apart without a meaning
Samples = NDArray[np.float32]
Pixels = NDArray[np.uint8]


def read_pictures(path: Path, start: float, end: float, damage: list[str]) -> list[Any]:
    """Read the pictures on screen at start + k / FPS.

    Args:
        path: video or image file; an image is one picture, whatever the window.
        start: first moment in seconds.
        end: moment in seconds that the pictures stop before.
        damage: gets a reason if a part of the file does not decode.

    Returns:
        ``av.VideoFrame`` in yuv420p, all of one size with no side above LONGEST_SIDE, upright.

    Raises:
        ValueError: there is none; or the file cannot be read, see :func:`.open_media`.
        FileNotFoundError: there is no such file.
    """
    with open_media(path) as container:
        stream = _track(container, "video")
        if stream is None:
            raise ValueError(f"Expected a file with pictures, got {path}, which has no video stream")
        if container.format.name == "image2" or container.format.name.endswith("_pipe"):
            pictures = [_shrink(frame) for frame in islice(_decode(container, stream, damage), 1)]
        else:
            pictures = list(_at_rate(_timed(container, stream, start, damage), start, end))
    if not pictures:
        raise ValueError(f"Expected pictures from {start} s on in {path}, got none that decodes")
    first = pictures[0]
    return [frame.reformat(first.width, first.height) for frame in pictures]


def read_sound(entry: Entry, start: float, end: float, damage: list[str]) -> Samples | None:
    """Read the sound of the window.

    Args:
        entry: its ``audio``, else its ``video`` is read.
        start: first moment in seconds.
        end: moment in seconds that the sound stops before.
        damage: gets a reason if a part of the file does not decode.

    Returns:
        Mono samples (S,) in [-1, 1] at SAMPLE_RATE, by their time stamps; None if a video simply has no sound.

    Raises:
        ValueError: there is none; or the file cannot be read, see :func:`.open_media`.
        FileNotFoundError: there is no such file.
    """
    path = entry.audio or entry.video
    if path is None:
        raise ValueError("Expected a video or an audio file, got neither")
    with open_media(path) as container:
        stream = _track(container, "audio")
        if stream is None:
            if entry.audio is None:
                return None
            raise ValueError(f"Expected a file with sound, got {path}, which has no audio stream")
        origin = _origin(container, stream)
        # A second ahead, for codecs need a few packets to settle.
        frames = _decode_from(origin + start - 1 if start > 1 else None, container, stream, damage)
        sound = _window(_blocks(frames), origin + start, round((end - start) * SAMPLE_RATE))
    if sound.size == 0:
        raise ValueError(f"Expected sound from {start} s on in {path}, got none that decodes")
    return sound


def _track(container: Any, kind: str) -> Any | None:
    """Find the track flagged as default, else the first; the cover picture of a music file is no video."""
    flags = import_av().stream.Disposition
    streams = [s for s in getattr(container.streams, kind) if not s.disposition & flags.attached_pic]
    return next((s for s in streams if s.disposition & flags.default), streams[0] if streams else None)


def _decode(container: Any, stream: Any, damage: list[str]) -> Iterator[Any]:
    """Decode what decodes; if a part in between or at the end does not, ``damage`` gets the reason."""
    av, packets, decoded = import_av(), container.demux(stream), False
    while True:
        frames, reason = [], ""
        try:
            if (packet := next(packets, None)) is None:
                return
            frames = packet.decode()
        except av.FFmpegError as error:
            reason = error.strerror or type(error).__name__
        whole = [frame for frame in frames if not frame.is_corrupt]
        if len(whole) < len(frames):
            reason = reason or "incomplete frame"
        if reason and decoded:
            damage.append(f"a part of the {stream.type} does not decode: {reason}")
        decoded = decoded or bool(whole)
        yield from whole


def _decode_from(moment: float | None, container: Any, stream: Any, damage: list[str]) -> Iterator[Any]:
    """Decode from a stamp in seconds or before it, or from the beginning if the file cannot seek there."""
    if moment is None:
        return _decode(container, stream, damage)
    try:
        container.seek(math.floor(moment / stream.time_base), stream=stream)
        frames = _decode(container, stream, damage)
        first = next(frames, None)
        if first is not None and first.time is not None and first.time <= moment:
            return chain([first], frames)
    except import_av().FFmpegError:
        pass
    container.seek(stream.start_time or 0, stream=stream)
    return _decode(container, stream, damage)


def _timed(container: Any, stream: Any, start: float, damage: list[str]) -> Iterator[tuple[float, float, Any]]:
    """Give frames with the seconds from and until which they are shown, from one shown at ``start`` or before it."""
    usual = float(1 / stream.guessed_rate) if stream.guessed_rate else 1 / FPS
    ordered = container.format.name == "avi"  # it stores no presentation times, only an order
    origin = None if ordered or stream.start_time is None else float(stream.start_time * stream.time_base)
    moment = None if origin is None or start == 0 else origin + start
    time = 0.0
    for frame in _decode_from(moment, container, stream, damage):
        ticks = frame.dts if ordered else frame.pts
        stamp = None if ticks is None else float(ticks * frame.time_base)
        origin = stamp if origin is None else origin
        time = time + usual if stamp is None or origin is None else stamp - origin
        yield time, time + (float(frame.duration * frame.time_base) or usual), frame


def _at_rate(frames: Iterator[tuple[float, float, Any]], start: float, end: float) -> Iterator[Any]:
    """Give the small picture on screen at start + k / FPS, the same object again while it stays there."""
    count, held, small, until = 0, None, None, 0.0
    for time, its_end, frame in chain(frames, [(math.inf, math.inf, None)]):
        # One picture stays until the next comes, and the last until its own end.
        limit = min(end, until if frame is None else time)
        while held is not None and start + count / FPS + SLACK < limit:
            small = small or _shrink(held)
            yield small
            count += 1
        if time >= end:
            return
        held, small, until = frame, None, its_end


def _shrink(frame: Any) -> Any:
    """Give a picture of the longest side, upright; both sides even, as H.264 with halved colours asks for."""
    scale = min(1.0, LONGEST_SIDE / max(frame.height, frame.width))
    width, height = (max(2, round(scale * side / 2) * 2) for side in (frame.width, frame.height))
    small = frame.reformat(width, height, format="rgb24", interpolation="AREA")
    pixels = np.ascontiguousarray(_upright(small.to_ndarray(), frame))
    return import_av().VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p")


def _upright(pixels: Pixels, frame: Any) -> Pixels:
    """Apply the frame's display matrix, to the nearest right angle, as the reader of :mod:`.media` does."""
    try:
        matrix = import_av().sidedata.sidedata.SideDataContainer(frame).get("DISPLAYMATRIX")
    except ValueError:
        return np.rot90(pixels, round(frame.rotation / 90))
    if matrix is None:
        return pixels
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    if abs(a) < abs(b):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _window(blocks: Iterator[tuple[float, Samples]], start: float, size: int) -> Samples:
    """Put blocks in their places by their stamps: a gap is silent, as the score hears it."""
    sound, position, end = np.zeros(size, np.float32), None, 0
    for stamp, block in blocks:
        at = round((stamp - start) * SAMPLE_RATE)
        position = at if position is None or abs(at - position) > NORMAL_OFFSET * SAMPLE_RATE else position
        first, last = max(0, position), min(size, position + block.size)
        if first < last:
            sound[first:last] = block[first - position : last - position]
        end, position = max(end, last), position + block.size
        if position >= size:
            break
    return sound[:end].clip(-1, 1)


def _origin(container: Any, stream: Any) -> float:
    """Give the stamp in seconds of time 0: the first picture's if the sound starts audibly apart, else the sound's."""
    own = float((stream.start_time or 0) * stream.time_base)
    video = _track(container, "video")
    if video is None or video.start_time is None or stream.start_time is None:
        return own
    picture = float(video.start_time * video.time_base)
    return picture if abs(own - picture) > NORMAL_OFFSET else own


def _blocks(frames: Iterator[Any]) -> Iterator[tuple[float, Samples]]:
    """Yield blocks of mono samples at the preview's rate, each with its stamp in seconds."""
    resampler = import_av().AudioResampler("fltp", rate=SAMPLE_RATE)
    for frame in chain(frames, [None]):
        for block in resampler.resample(frame):
            yield block.time or 0.0, block.to_ndarray().mean(axis=0)
