"""Waveforms of media files, in the file's own rate and channels.

Time 0 is the first sample that ffmpeg gives, after it has removed the codec's priming. In a file with pictures, a sound
that starts more than 0.1 s after (before) the first picture is preceded by zeros (cut), so that the same ``start`` and
``end`` mean the same moment for both; smaller offsets are normal and are left alone. Samples are contiguous from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torchmetrics_majorscore.media.container import check_window, decode, open_media
from torchmetrics_majorscore.media.video import find_video_stream

if TYPE_CHECKING:
    from av.container import InputContainer

_NORMAL_OFFSET = 0.1  # seconds


def read_waveform(path: str | Path, *, start: float = 0.0, end: float | None = None) -> tuple[Tensor, int]:
    """Read the samples from ``start`` up to ``end`` of the first audio stream, without resampling or mixing.

    The window is the samples ``round(start * rate)`` up to, but not including, ``round(end * rate)``, or up to the
    last one that decodes. Integer samples of b bits are divided by 2^(b-1); float samples are kept as they are, also
    outside [-1, 1].

    Args:
        path: Audio or video file.
        start: First moment in seconds, at least 0.
        end: Moment in seconds that the samples stop before; None is the end of the sound.

    Returns:
        The waveform of shape (C, S), float32, nominally in [-1, 1], and its sample rate in Hz.

    Raises:
        FileNotFoundError: If there is no such file.
        ModuleNotFoundError: If PyAV is not installed.
        ValueError: If the file has no audio stream, nothing decodes, ``start`` lies after its end, the format changes
            within the file, or the window is out of range.
    """
    check_window(start, end)
    sound = read_sound(Path(path), start, end)
    if sound is None:
        raise ValueError(f"Expected a file with sound, got {path}, which has no audio stream")
    return sound


def read_sound(path: Path, start: float, end: float | None) -> tuple[Tensor, int] | None:
    """Do as :func:`read_waveform`, but return None for a file without an audio stream."""
    with open_media(path) as container:
        stream = next(iter(container.streams.audio), None)
        if stream is None:
            return None
        # Decoded from the beginning even if start > 0: after a seek, codecs need a few packets to settle and mkv knows
        # the position only to 1 ms, so the samples would be neither exact nor in their place.
        blocks = _blocks(decode(container, stream, path), path)
        rate, block = next(blocks)
        position = round(_offset(container, stream) * rate)
        first = round(start * rate)
        last = None if end is None else round(end * rate)
        waveform = _window(block, (later for _, later in blocks), position, first, last)
    if waveform.shape[1] == 0:
        raise ValueError(f"Expected start before the end of {path}, got start={start} s, after its last sample")
    return waveform, rate


def _offset(container: InputContainer, stream: Any) -> float:
    """Return how many seconds the sound starts after the picture, 0 if that is within the normal."""
    video = find_video_stream(container)
    if video is None or video.start_time is None or stream.start_time is None:
        return 0.0
    offset = float(stream.start_time * stream.time_base - video.start_time * video.time_base)
    return offset if abs(offset) > _NORMAL_OFFSET else 0.0


def _window(block: Tensor, later: Iterator[Tensor], position: int, first: int, last: int | None) -> Tensor:
    """Cut samples ``first`` up to ``last`` out of consecutive blocks, the first of which starts at ``position``."""
    front = max(0, (position if last is None else min(position, last)) - first)
    kept = [block.new_zeros(block.shape[0], front)]
    current: Tensor | None = block
    while current is not None and (last is None or position < last):
        size = current.shape[1]
        kept.append(current[:, max(0, first - position) : size if last is None else min(size, last - position)])
        position += size
        current = next(later, None)
    return torch.cat(kept, dim=1)


def _blocks(frames: Iterator[Any], path: Path) -> Iterator[tuple[int, Tensor]]:
    """Yield the sample rate in Hz and the samples of shape (C, S) of each frame."""
    known: tuple[int, int] | None = None
    for frame in frames:
        form = (frame.sample_rate, frame.layout.nb_channels)
        known = known or form
        if form != known:
            raise ValueError(f"Expected one sample rate and channel count in {path}, got {known}, then {form}")
        yield frame.sample_rate, _to_float(frame)


def _to_float(frame: Any) -> Tensor:
    samples: Tensor = torch.from_numpy(frame.to_ndarray())
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.is_floating_point:
        return samples.float()
    if samples.dtype == torch.uint8:
        return (samples.float() - 128) / 128
    return samples.float() / 2.0 ** (8 * samples.element_size() - 1)
