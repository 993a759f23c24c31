"""Frames of a video file at a fixed rate, chosen by exact time stamps.

Time 0 is the stream's first picture. The frame shown at time t is the last one whose presentation time is at most t.
Time stamps are rounded to the container's time base (1 ms in mkv and webm, less in mp4), so a frame that starts up to
0.6 of a tick after t counts as shown at t. In time bases coarser than 1 ms (avi, gif) the stamps are taken as they are.

Colours are what ffmpeg makes of them: an untagged matrix is BT.601, full-range video is respected, alpha is dropped.
Pixels that are not square stay as they are stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torchmetrics_majorscore.media.container import check_window, decode, import_av, open_media
from torchmetrics_majorscore.media.timing import Picture, plan_shown, shown_at, slack_of, wanted_times

if TYPE_CHECKING:
    from av.container import InputContainer


def read_frames(path: str | Path, *, fps: float = 1.0, start: float = 0.0, end: float | None = None) -> Tensor:
    r"""Read the frames that a video shows at :math:`t_k = start + k / fps` while :math:`t_k < \min(end, duration)`.

    The duration is where the last frame that decodes ends, so a truncated file gives what it still holds. A still
    image (jpg, png, webp, bmp) is a video of one frame, whatever the rate and the window. Rotation and mirroring
    stored in a video, and rotation stored in an image (EXIF orientations 1, 3, 6, 8; the mirrored ones 2, 4, 5, 7 are
    taken for rotations), are applied.

    Args:
        path: Video or image file.
        fps: Frames per second to take, above 0, whatever the rate of the file.
        start: Time of the first frame in seconds from the video's first picture, at least 0.
        end: Time in seconds that every frame lies before; None is the end of the video.

    Returns:
        RGB frames of shape (T, 3, H, W), uint8 in [0, 255], with T >= 1.

    Raises:
        FileNotFoundError: If there is no such file.
        ModuleNotFoundError: If PyAV is not installed.
        ValueError: If the file has no video stream, nothing decodes, ``start`` lies after its end, or the arguments
            are out of range.
    """
    check_window(start, end)
    check_fps(fps)
    path, window = Path(path), (fps, start, end)
    frames = _read(path, window, skip=True)
    if frames is None:
        frames = _read(path, window, skip=False)
    if not frames:
        raise ValueError(f"Expected start before the end of {path}, got start={start} s, after its last frame")
    # The decoder's own order in memory, rows of RGB pixels: bringing frames into another one costs more than to convert
    # them from YUV, and the resize that follows is twice as fast on this one.
    return torch.stack([frame.permute(1, 2, 0) for frame in frames]).permute(0, 3, 1, 2)


def _read(path: Path, window: tuple[float, float, float | None], *, skip: bool) -> list[Tensor] | None:
    """Read the frames; with ``skip`` without decoding pictures that matter to none of them.

    In H.264 a packet says whether later pictures refer to its own, so those that do not and are not shown can be left
    out without a change of a bit. None if then not exactly the pictures came out that the packets' stamps promised, as
    in a damaged file: what is shown in their place depends on all pictures.
    """
    fps, start, end = window
    with open_media(path) as container:
        stream = find_video_stream(container)
        if stream is None:
            raise ValueError(f"Expected a file with pictures, got {path}, which has no video stream")
        if _is_image(container):
            return [_to_rgb(next(decode(container, stream, path)), None)]
        promised: list[int] = []
        if skip and _tells_references(container, stream):
            _seek(container, stream, stream.start_time + start / stream.time_base)
            promised = plan_shown(container, stream, wanted_times(fps, start, end), end)
            _seek(container, stream, stream.start_time)
        pictures = _pictures(container, stream, path, start, promised)
        shown = shown_at(pictures, wanted_times(fps, start, end), slack_of(stream))
        try:
            return _convert(shown, promised)
        except ValueError:
            if promised:
                return None
            raise


def _tells_references(container: InputContainer, stream: Any) -> bool:
    # Of the common containers these two hold exact stamps and seek exactly. HEVC's flag has exceptions by layer.
    seekable = container.format.name.startswith(("mov,", "matroska,")) and stream.start_time is not None
    return seekable and stream.codec.name == "h264"


def check_fps(fps: float) -> None:
    """Check a rate of frames.

    Args:
        fps: Frames per second.

    Raises:
        ValueError: If it is not finite and above 0.
    """
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"Expected fps > 0 in frames per second, got {fps}")


def find_video_stream(container: InputContainer) -> Any | None:
    """Find the first stream of moving pictures.

    Args:
        container: An open container.

    Returns:
        The stream, or None; the cover picture of a music file is no video.
    """
    cover = import_av().stream.Disposition.attached_pic
    return next((stream for stream in container.streams.video if not stream.disposition & cover), None)


def _is_image(container: InputContainer) -> bool:
    # ffmpeg reads still images with one demuxer per format ("png_pipe", "jpeg_pipe", ...) and gives them 1/25 s.
    return container.format.name == "image2" or container.format.name.endswith("_pipe")


def _pictures(
    container: InputContainer, stream: Any, path: Path, start: float, promised: Sequence[int]
) -> Iterator[Picture]:
    """Decode from the last key frame at or before ``start``, or from the beginning if the file cannot seek there."""
    # AVI stores no presentation times, and what ffmpeg gives instead is wrong for B-frames: its decoding times, one
    # per frame, are exact in steps but offset by the decoder's delay, so that time 0 is known only to the first frame.
    ordered = container.format.name == "avi"
    origin = None if ordered else stream.start_time
    if start > 0 and origin is not None and _seek(container, stream, origin + start / stream.time_base):
        pictures = _timed(decode(container, stream, path, promised), stream, path, origin, ordered)
        try:
            first = next(pictures)
        except ValueError:  # nothing from there on, as in a truncated file: what lies before says what there is
            first = None
        if first is not None and first.time <= start:
            yield first
            yield from pictures
            return
        _seek(container, stream, origin)
    yield from _timed(decode(container, stream, path, promised), stream, path, origin, ordered)


def _seek(container: InputContainer, stream: Any, stamp: float) -> bool:
    try:
        container.seek(math.floor(stamp), stream=stream)
    except import_av().FFmpegError:
        return False
    return True


def _timed(frames: Iterator[Any], stream: Any, path: Path, origin: int | None, ordered: bool) -> Iterator[Picture]:
    usual = float(1 / stream.guessed_rate) if stream.guessed_rate else 0.0
    stamp: int | None = None
    for frame in frames:
        if not ordered:
            stamp = frame.pts
        elif frame.dts is not None or stamp is None:
            stamp = frame.dts
        else:  # flushed from the decoder at the end of the file
            stamp += frame.duration
        if stamp is None:
            raise ValueError(f"Expected a container with time stamps (mp4, mkv, ...), got {path}, a raw stream")
        origin = stamp if origin is None else origin
        time = float((stamp - origin) * frame.time_base)
        yield Picture(time, time + (float(frame.duration * frame.time_base) or usual), frame)


def _convert(pictures: Iterator[Picture], promised: Sequence[int]) -> list[Tensor] | None:
    """Convert each picture once, all to the size of the first; None if they do not start with the promised ones."""
    frames: list[Tensor] = []
    last: Picture | None = None
    size: tuple[int, int] | None = None
    for number, picture in enumerate(pictures):
        if number < len(promised) and picture.frame.pts != promised[number]:
            return None
        size = size or (picture.frame.width, picture.frame.height)
        frames.append(frames[-1] if picture is last else _to_rgb(picture.frame, size))
        last = picture
    return frames if len(frames) >= len(promised) else None


def _to_rgb(frame: Any, size: tuple[int, int] | None) -> Tensor:
    width, height = size or (frame.width, frame.height)
    pixels = torch.from_numpy(frame.to_ndarray(format="rgb24", width=width, height=height)).permute(2, 0, 1)
    return _upright(pixels, frame)


def _upright(pixels: Tensor, frame: Any) -> Tensor:
    """Apply the frame's display matrix, to the nearest right angle.

    The stored point (x, y) is shown at (a x + c y, b x + d y), moved back into the picture, where the matrix of nine
    int32 starts with a, b, u, c, d.
    """
    try:
        # frame.side_data would tie frame and data into a cycle, and pictures would wait for the garbage collector.
        matrix = import_av().sidedata.sidedata.SideDataContainer(frame).get("DISPLAYMATRIX")
    except ValueError:
        # PyAV 18.1 lists no side data at all beside a kind that it does not know, and EXIF is one. The angle remains.
        return torch.rot90(pixels, round(frame.rotation / 90), (1, 2))
    if matrix is None:
        return pixels
    a, b, _, c, d = torch.frombuffer(bytearray(bytes(matrix)), dtype=torch.int32)[:5].tolist()
    if abs(a) < abs(b):
        pixels, a, d = pixels.transpose(1, 2), c, b
    return pixels.flip([axis for axis, sign in ((1, d), (2, a)) if sign < 0])
