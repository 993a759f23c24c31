"""The picture and the sound of one clip, as a whole or piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from torchmetrics_majorscore.media.audio import join_sound, stream_sound
from torchmetrics_majorscore.media.container import check_window
from torchmetrics_majorscore.media.timing import Times
from torchmetrics_majorscore.media.video import check_fps, join_frames, stream_frames

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Clip:
    """What could be read of one clip; at least one of ``frames`` and ``waveform`` is there.

    Attributes:
        frames: RGB frames of shape (T, 3, H, W), uint8 in [0, 255], or None.
        waveform: Samples of shape (C, S), float32, nominally in [-1, 1], or None.
        sample_rate: Sample rate of ``waveform`` in Hz, or None.
        video_error: Why ``frames`` is None; None if they were read or not asked for.
        audio_error: Why ``waveform`` is None; None if it was read or the video simply has no sound.
        remarks: What is noteworthy of what was read, see :attr:`ClipStream.remarks`.
    """

    frames: Tensor | None
    waveform: Tensor | None
    sample_rate: int | None
    video_error: str | None = None
    audio_error: str | None = None
    remarks: tuple[str, ...] = ()


class ClipStream:
    """A clip that is read piece by piece, so that its length costs no memory; see :func:`open_clip`."""

    def __init__(self, video: Path | None, audio: Path | None, times: Times, audio_track: int | None) -> None:
        self.video, self.audio, self.times, self.audio_track = video, audio, times, audio_track
        self._remarks: list[str] = []

    def frames(self) -> Iterator[tuple[NDArray[np.uint8], int]]:
        """Read the pictures that are on screen at the wanted times, see :func:`.read_frames`.

        Yields:
            A picture as an array (3, H, W), uint8 in [0, 255], as it is decoded, of the size of the first; and the
            number of consecutive wanted times at which it is on screen, by which it weighs in a mean over frames. A
            still image has the number 1. Nothing if there is no video.

        Raises:
            OSError, ValueError: One line that names the file. It may come after some pictures, which then are not
                those of a whole clip.
        """
        if self.video is not None:
            yield from stream_frames(self.video, self.times, self._remarks)

    def sound(self) -> Iterator[tuple[NDArray[np.float32], int]]:
        """Read the samples of the window, see :func:`.read_waveform`.

        Yields:
            Consecutive blocks as arrays (C, s), float32 nominally in [-1, 1], and the sample rate in Hz; gaps are
            filled with zeros. Nothing if a video without a separate sound has no audio stream.

        Raises:
            OSError, ValueError: One line that names the file. It may come after some blocks, which then are not those
                of a whole clip.
        """
        source, none = self.audio or self.video, True
        if source is not None:
            for block in stream_sound(source, self.times.start, self.times.end, self.audio_track, self._remarks):
                none = False
                yield block
        if none and self.audio is not None:
            raise ValueError(f"Expected a file with sound, got {self.audio}, which has no audio stream")

    @property
    def remarks(self) -> list[str]:
        """What is noteworthy of what was read so far; complete when ``frames()`` and ``sound()`` are exhausted.

        An end that the file promises and does not hold, several tracks of which one was taken, sound that starts late,
        gaps and overlaps in its time stamps.
        """
        return list(dict.fromkeys(self._remarks))


def open_clip(
    video: str | Path | None,
    audio: str | Path | None = None,
    *,
    fps: float = 1.0,
    start: float = 0.0,
    end: float | None = None,
    audio_track: int | None = None,
) -> ClipStream:
    """Open a clip that is read piece by piece: an hour of 720p takes no more memory than a minute.

    Nothing is read yet. A picture of at most 8192 x 8192 pixels, or a second or so of sound, is in memory at a time.

    Args:
        video: Video or image file; None if there is only sound.
        audio: File of the sound; None is the video's own track.
        fps: Frames per second to take, above 0.
        start: First moment in seconds, at least 0, of both.
        end: Moment in seconds that both stop before; None is the end of each.
        audio_track: Which of several sound tracks, counted from 0; None is the one flagged as default, else the first.

    Returns:
        The clip.

    Raises:
        ValueError: If there is neither a video nor an audio file, or the arguments are out of range.
    """
    check_window(start, end)
    check_fps(fps)
    if video is None and audio is None:
        raise ValueError("Expected a video or an audio file, got neither")
    picture, sound = (None if path is None else Path(path) for path in (video, audio))
    return ClipStream(picture, sound, Times(fps, start, end), audio_track)


def read_clip(
    video: str | Path | None,
    audio: str | Path | None = None,
    *,
    fps: float = 1.0,
    start: float = 0.0,
    end: float | None = None,
    audio_track: int | None = None,
) -> Clip:
    """Read the frames and the waveform of one clip; one of them that is broken does not lose the other.

    Args:
        video: Video or image file; None if there is only sound.
        audio: File of the sound; None is the video's own track.
        fps: Frames per second to take, above 0.
        start: First moment in seconds, at least 0, of both.
        end: Moment in seconds that both stop before; None is the end of each.
        audio_track: Which of several sound tracks, counted from 0; None is the one flagged as default, else the first.

    Returns:
        The clip; at most 2 GiB of each.

    Raises:
        FileNotFoundError: If neither can be read and the video (without one, the sound) does not exist.
        ModuleNotFoundError: If PyAV is not installed.
        ValueError: If neither picture nor sound can be read, or the arguments are out of range.
    """
    clip = open_clip(video, audio, fps=fps, start=start, end=end, audio_track=audio_track)
    frames = sound = video_error = audio_error = None
    try:
        frames = None if clip.video is None else join_frames(clip.frames(), clip.video)
    except (OSError, ValueError) as error:
        video_error = error
    try:
        sound = join_sound(clip.sound(), clip.audio or clip.video)
    except (OSError, ValueError) as error:
        audio_error = error
    reasons = [str(error) if error else None for error in (video_error, audio_error)]
    if frames is None and sound is None:
        # Both of one file fail for one reason, which is said once.
        kind = type(video_error or audio_error or ValueError())
        raise kind("; ".join(dict.fromkeys(reason for reason in reasons if reason)))
    waveform, sample_rate = sound or (None, None)
    return Clip(frames, waveform, sample_rate, reasons[0], reasons[1], tuple(clip.remarks))
