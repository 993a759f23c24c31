"""Clips on disk to what encoders take: workers read ahead, and whatever they meet becomes that clip's reason."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from torchmetrics_majorscore.encoders.resize import prepare_frames
from torchmetrics_majorscore.media import Clip, Entry, read_clip
from torchmetrics_majorscore.modalities import MODALITIES
from torchmetrics_majorscore.modalities.text import is_empty

FPS = 1.0
APART = 1.0  # seconds


@dataclass
class ReadClip:
    """A clip that a worker has read.

    Args:
        entry: where it is.
        inputs: modality to frames (T, 3, H, W), uint8, to a mono waveform (S,), float32, or to a caption.
        sample_rate: of the waveform in Hz.
        reasons: why a modality, or the whole clip, is not there.
        remarks: what is noteworthy of what is there.
    """

    entry: Entry
    inputs: dict[str, Any] = field(default_factory=dict)
    sample_rate: int = 0
    reasons: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def read_ahead(entries: Sequence[Entry], frame_size: int | None, workers: int, ahead: int) -> Iterator[ReadClip]:
    """Read clips in workers, in order.

    Args:
        entries: the clips.
        frame_size: height and width to which workers bring frames, as the encoder would do with the same bytes; None
            to leave them as they are, 28 MB for each 10 s of 720p.
        workers: threads.
        ahead: clips that may wait for the encoder.
    """
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[Future[ReadClip]] = deque()
        remaining = iter(entries)
        try:
            while True:
                while len(pending) < ahead and (entry := next(remaining, None)) is not None:
                    pending.append(pool.submit(_read, entry, frame_size))
                if not pending:
                    return
                yield pending.popleft().result()
        finally:  # interrupted: nothing new is begun
            pool.shutdown(wait=False, cancel_futures=True)


def _read(entry: Entry, frame_size: int | None) -> ReadClip:
    read = ReadClip(entry)
    if is_empty(entry.text or ""):
        read.reasons.append("no caption")
    else:
        read.inputs["text"] = entry.text
    try:
        _take(read, read_clip(entry.video, entry.audio, fps=FPS, start=entry.start, end=entry.end), frame_size)
    except Exception as error:  # a clip that cannot be read, for whatever reason, costs that clip only
        read.reasons.insert(0, str(error) if isinstance(error, (OSError, ValueError)) else _describe(entry, error))
    return read


def _describe(entry: Entry, error: Exception) -> str:
    return f"Expected a clip that can be read, got {entry.video or entry.audio}: {type(error).__name__}: {error}"


def _take(read: ReadClip, clip: Clip, frame_size: int | None) -> None:
    """Take over what was read of a clip."""
    problems = [clip.video_error, clip.audio_error]
    problems += ["no picture"] if clip.frames is None and not clip.video_error else []
    problems += ["no audio stream"] if clip.waveform is None and not clip.audio_error else []
    read.reasons[:0] = [problem for problem in problems if problem]
    if clip.frames is not None:
        frames = prepare_frames(clip.frames, frame_size) if frame_size else clip.frames
        read.inputs["video"] = frames.contiguous()
    if clip.waveform is not None and clip.sample_rate:
        _take_sound(read, clip.waveform, clip.sample_rate)
        read.remarks += _compare_lengths(clip.frames, clip.waveform.shape[-1] / clip.sample_rate)


def _take_sound(read: ReadClip, waveform: Tensor, sample_rate: int) -> None:
    audio = MODALITIES["audio"]
    try:
        checked = audio.check([waveform], audio.check_rate(sample_rate))
    except ValueError as error:
        read.reasons.append(str(error))
        return
    read.reasons += [f"audio {reason}" for reason in checked.reasons.values()]
    read.remarks += [f"audio {remark}" for remark in checked.remarks.values()]
    read.inputs["audio"], read.sample_rate = checked.samples[0], sample_rate


def _compare_lengths(frames: Tensor | None, sound: float) -> list[str]:
    """Say that picture and sound last differently; of the picture only the whole seconds are known, rounded up."""
    if frames is None or len(frames) / FPS - 1 / FPS - APART <= sound <= len(frames) / FPS + APART:
        return []
    return [f"picture and sound last differently (about {len(frames) / FPS:.0f} s and {sound:.1f} s)"]


def source_of(entry: Entry) -> str:
    """Describe all that a clip's row depends on: names, sizes and times of its files, its caption and its window."""
    files = [_stamp(path) for path in (entry.video, entry.audio)]
    return repr((files, entry.text, entry.start, entry.end))


def _stamp(path: Path | None) -> tuple[object, ...]:
    if path is None:
        return ()
    try:
        status = path.stat()
    except OSError:
        return (path.name,)
    return path.name, status.st_size, status.st_mtime_ns
