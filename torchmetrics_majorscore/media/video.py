"""Frames of a video file at a fixed rate, chosen by exact time stamps.

Time 0 is the stream's first picture. The frame shown at time t is the last one whose presentation time is at most t.
Time stamps are rounded to the container's time base (1 ms in mkv and webm, less in mp4), so a frame that starts up to
0.6 of a tick after t counts as shown at t. In time bases coarser than 1 ms (avi, gif) the stamps are taken as they are.

Colours are what ffmpeg makes of them: an untagged matrix is BT.601, full-range video is respected, alpha is dropped.
Pixels that are not square stay as they are stored.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from torchmetrics_majorscore.media.container import check_window, naming, open_media
from torchmetrics_majorscore.media.packets import seek
from torchmetrics_majorscore.media.pictures import Pictures
from torchmetrics_majorscore.media.pixels import to_rgb
from torchmetrics_majorscore.media.timing import Picture, Times, plan_shown, shown_at, slack_of
from torchmetrics_majorscore.media.tracks import choose_track
from torchmetrics_majorscore.media.unreferenced import are_known

if TYPE_CHECKING:
    from av.container import InputContainer
    from torch import Tensor

LARGEST = 2**31  # bytes that are read at once; what is longer is read in pieces


def read_frames(path: str | Path, *, fps: float = 1.0, start: float = 0.0, end: float | None = None) -> Tensor:
    r"""Read the frames that a video shows at :math:`t_k = start + k / fps` while :math:`t_k < \min(end, duration)`.

    The duration is where the last frame that decodes ends, so a truncated file gives what it still holds. A still
    image (jpg, png, webp, bmp) is a video of one frame, whatever the rate and the window. Rotation and mirroring
    stored in a video, and rotation stored in an image (EXIF orientations 1, 3, 6, 8; the mirrored ones 2, 4, 5, 7 are
    taken for rotations), are applied. Of several tracks of pictures, the one flagged as default is taken.

    Args:
        path: Video or image file.
        fps: Frames per second to take, above 0, whatever the rate of the file.
        start: Time of the first frame in seconds from the video's first picture, at least 0.
        end: Time in seconds that every frame lies before; None is the end of the video.

    Returns:
        RGB frames of shape (T, 3, H, W), uint8 in [0, 255], with T >= 1, of at most 2 GiB; frames of another size than
        the first are scaled to it. For more see :func:`.open_clip`.

    Raises:
        FileNotFoundError: If there is no such file.
        ModuleNotFoundError: If PyAV is not installed.
        ValueError: If the file has no video stream, nothing decodes or a part of it is damaged, ``start`` lies after
            its end, a picture has more than 8192 x 8192 pixels, there is too much, or the arguments are out of range.
    """
    check_window(start, end)
    check_fps(fps)
    return join_frames(stream_frames(Path(path), Times(fps, start, end), []), path)


def join_frames(pictures: Iterator[tuple[NDArray[np.uint8], int]], path: str | Path) -> Tensor:
    """Join what :func:`stream_frames` gives, at most 2 GiB."""
    from torch import from_numpy

    frames: list[NDArray[np.uint8]] = []
    size = 0
    for frame, count in pictures:
        size += count * frame.size
        if size > LARGEST:
            raise ValueError(f"Expected at most 2 GiB of frames, got more in {path}; take a part, or use open_clip")
        frames += [frame.transpose(1, 2, 0)] * count
    # Stacked as they lie in memory, see to_rgb.
    return from_numpy(np.stack(frames)).permute(0, 3, 1, 2)


def stream_frames(path: Path, times: Times, remarks: list[str]) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Yield each picture that is shown at a wanted time as :func:`read_frames` does, when it is decoded.

    Args:
        path: Video or image file.
        times: The wanted times.
        remarks: What is noteworthy is added to it.

    Yields:
        uint8 array of shape (3, H, W), and the number of consecutive wanted times at which it is on screen.

    Raises:
        ValueError: As :func:`read_frames`, possibly after some frames.
    """
    size: tuple[int, int] | None = None
    with naming(path):
        for picture, count in _shown(path, times, remarks):
            size = size or (picture.frame.width, picture.frame.height)
            yield to_rgb(picture.frame, size), count
    if size is None:
        raise ValueError(f"Expected start before the end of {path}, got start={times.start} s, after its last frame")


def check_fps(fps: float) -> None:
    """Check a rate of frames.

    Args:
        fps: Frames per second.

    Raises:
        ValueError: If it is not finite and above 0.
    """
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"Expected fps > 0 in frames per second, got {fps}")


def _shown(path: Path, times: Times, remarks: list[str]) -> Iterator[tuple[Picture, int]]:
    """Yield the shown pictures, where that can be known without decoding those that matter to none of them."""
    with open_media(path) as container:
        stream, remark = choose_track(container, "video")
        if stream is None:
            raise ValueError(f"Expected a file with pictures, got {path}, which has no video stream")
        remarks += [remark] if remark else []
        pictures = Pictures(container, stream, path, times.end, remarks)
        if _is_image(container):
            yield next(pictures.decode(0.0)), 1
            return
        number = stream.index  # a closed container's streams are gone
        promised = _plan(container, stream, times)
        if not promised:
            yield from _every(pictures, times)
            return
        given = yield from _promised(pictures, times, promised)
    if given is not None:
        with open_media(path) as container:
            pictures = Pictures(container, container.streams[number], path, times.end, remarks)
            yield from _every(pictures, times, given)


def _is_image(container: InputContainer) -> bool:
    # ffmpeg reads still images with one demuxer per format ("png_pipe", "jpeg_pipe", ...) and gives them 1/25 s.
    return container.format.name == "image2" or container.format.name.endswith("_pipe")


def _plan(container: InputContainer, stream: Any, times: Times) -> list[tuple[int, int]]:
    """Find the stamps of the shown pictures and how often each is, where the others may be left out.

    A picture that is not shown, and to which no later one refers, need not be decoded, without a change of a bit, see
    :func:`.are_known`. Of the common containers these two hold exact stamps and seek exactly.
    """
    indexed = container.format.name.startswith(("mov,", "matroska,")) and stream.start_time is not None
    if not indexed or not are_known(stream):
        return []
    seek(container, math.floor(stream.start_time + times.start / stream.time_base), stream)
    promised = plan_shown(container, stream, times)
    seek(container, stream.start_time, stream)
    return promised


def _promised(
    pictures: Pictures, times: Times, promised: list[tuple[int, int]]
) -> Generator[tuple[Picture, int], None, int | None]:
    """Decode no more than is needed for the promised pictures.

    Returns:
        None, or for how many times pictures were given when it turned out that others come than were promised, as in a
        damaged file: what is shown in their place depends on all pictures.
    """
    given = number = 0
    shown = shown_at(pictures.decode(times.start, [stamp for stamp, _ in promised]), times, slack_of(pictures.stream))
    while True:
        try:
            picture, count = next(shown, (None, 0))
        except ValueError:
            return given
        if picture is None:
            break
        if number < len(promised):
            stamp, planned = promised[number]
            # The packets do not tell how long the last one is shown.
            if picture.frame.pts != stamp or count < planned or (count > planned and number < len(promised) - 1):
                return given
        given, number = given + count, number + 1
        yield picture, count
    return given if number < len(promised) else None


def _every(pictures: Pictures, times: Times, skip: int = 0) -> Iterator[tuple[Picture, int]]:
    """Decode all pictures, and leave out those of the first ``skip`` times."""
    given = 0
    for picture, count in shown_at(pictures.decode(times.start), times, slack_of(pictures.stream)):
        fresh = min(count, given + count - skip)
        given += count
        if fresh > 0:
            yield picture, fresh
