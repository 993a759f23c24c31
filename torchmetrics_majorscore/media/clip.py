"""The picture and the sound of one clip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from torchmetrics_majorscore.media.audio import read_sound, read_waveform
from torchmetrics_majorscore.media.container import check_window
from torchmetrics_majorscore.media.video import check_fps, read_frames


@dataclass(frozen=True)
class Clip:
    """What could be read of one clip; at least one of ``frames`` and ``waveform`` is there.

    Attributes:
        frames: RGB frames of shape (T, 3, H, W), uint8 in [0, 255], or None.
        waveform: Samples of shape (C, S), float32, nominally in [-1, 1], or None.
        sample_rate: Sample rate of ``waveform`` in Hz, or None.
        video_error: Why ``frames`` is None; None if they were read or not asked for.
        audio_error: Why ``waveform`` is None; None if it was read or the video simply has no sound.
    """

    frames: Tensor | None
    waveform: Tensor | None
    sample_rate: int | None
    video_error: str | None = None
    audio_error: str | None = None


def read_clip(
    video: str | Path | None,
    audio: str | Path | None = None,
    *,
    fps: float = 1.0,
    start: float = 0.0,
    end: float | None = None,
) -> Clip:
    """Read the frames and the waveform of one clip; one of them that is broken does not lose the other.

    Args:
        video: Video or image file; None if there is only sound.
        audio: File of the sound; None is the video's own track.
        fps: Frames per second to take, above 0.
        start: First moment in seconds, at least 0, of both.
        end: Moment in seconds that both stop before; None is the end of each.

    Returns:
        The clip.

    Raises:
        FileNotFoundError: If neither can be read and the video (without one, the sound) does not exist.
        ModuleNotFoundError: If PyAV is not installed.
        ValueError: If neither picture nor sound can be read, or the arguments are out of range.
    """
    check_window(start, end)
    check_fps(fps)
    if video is None and audio is None:
        raise ValueError("Expected a video or an audio file, got neither")
    frames = sound = video_error = audio_error = None
    if video is not None:
        try:
            frames = read_frames(video, fps=fps, start=start, end=end)
        except (FileNotFoundError, ValueError) as error:
            video_error = error
    try:
        if audio is not None:
            sound = read_waveform(audio, start=start, end=end)
        elif video is not None:
            sound = read_sound(Path(video), start, end)
    except (FileNotFoundError, ValueError) as error:
        audio_error = error
    reasons = [str(error) if error else None for error in (video_error, audio_error)]
    if frames is None and sound is None:
        # Both of one file fail for one reason, which is said once.
        kind = type(video_error or audio_error or ValueError())
        raise kind("; ".join(dict.fromkeys(reason for reason in reasons if reason)))
    waveform, sample_rate = sound or (None, None)
    return Clip(frames, waveform, sample_rate, *reasons)
