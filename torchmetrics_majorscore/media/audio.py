"""Waveforms of media files, in the file's own rate and channels.

Time 0 is the first sample that ffmpeg gives, after it has removed the codec's priming; in a file with pictures, the
first picture, so that the same ``start`` and ``end`` mean the same moment for both. A sound that starts up to 0.1 s
before or after it is left alone, which is normal. Where time stamps differ from the count of samples by more than that,
samples belong at their stamps: zeros fill a gap, and what overlaps with earlier samples is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from torchmetrics_majorscore.media.container import check_window, naming, open_media
from torchmetrics_majorscore.media.places import Places, to_float
from torchmetrics_majorscore.media.sound import Sound
from torchmetrics_majorscore.media.tracks import choose_track
from torchmetrics_majorscore.media.video import LARGEST

if TYPE_CHECKING:
    from torch import Tensor

Block = NDArray[np.float32]

_PIECE = 2**17  # samples of all channels; large enough to cost little each, small beside a clip


def read_waveform(
    path: str | Path, *, start: float = 0.0, end: float | None = None, audio_track: int | None = None
) -> tuple[Tensor, int]:
    """Read the samples from ``start`` up to ``end`` of a sound, without resampling or mixing.

    The window is the samples ``round(start * rate)`` up to, but not including, ``round(end * rate)``, or up to the
    last one that decodes. Integer samples of b bits are divided by 2^(b-1); float samples are kept as they are, also
    outside [-1, 1]. A window far into a file is sought, and has every sample where decoding all would have it. After a
    seek, codecs that draw random noise (AAC, AC-3) draw another one.

    Args:
        path: Audio or video file.
        start: First moment in seconds, at least 0.
        end: Moment in seconds that the samples stop before; None is the end of the sound.
        audio_track: Which of several tracks, counted from 0; None is the one flagged as default, else the first.

    Returns:
        The waveform of shape (C, S), float32, nominally in [-1, 1], of at most 2 GiB, and its sample rate in Hz. For
        more see :func:`.open_clip`.

    Raises:
        FileNotFoundError: If there is no such file.
        ModuleNotFoundError: If PyAV is not installed.
        ValueError: If the file has no audio stream or none of that number, nothing decodes or a part of it is damaged,
            ``start`` lies after its end, the format changes within the file or is none of sound, there is too much, or
            the window is out of range.
    """
    check_window(start, end)
    sound = join_sound(stream_sound(Path(path), start, end, audio_track, []), path)
    if sound is None:
        raise ValueError(f"Expected a file with sound, got {path}, which has no audio stream")
    return sound


def join_sound(pieces: Iterator[tuple[Block, int]], path: str | Path | None) -> tuple[Tensor, int] | None:
    """Join what :func:`stream_sound` gives, at most 2 GiB; None if that is nothing."""
    from torch import from_numpy

    blocks: list[Block] = []
    size, rate = 0, 0
    for block, rate in pieces:  # noqa: B007, the last one is returned
        size += block.nbytes
        if size > LARGEST:
            raise ValueError(f"Expected at most 2 GiB of samples, got more in {path}; take a part, or use open_clip")
        blocks.append(block)
    return (from_numpy(np.concatenate(blocks, axis=1)), rate) if blocks else None


def stream_sound(
    path: Path, start: float, end: float | None, audio_track: int | None, remarks: list[str]
) -> Iterator[tuple[Block, int]]:
    """Yield consecutive blocks of what :func:`read_waveform` reads, as they are decoded.

    Args:
        path: Audio or video file.
        start: First moment in seconds.
        end: Moment in seconds that the samples stop before, or None.
        audio_track: Which track, or None.
        remarks: What is noteworthy is added to it.

    Yields:
        Samples of shape (C, s), s > 0, and the sample rate in Hz; nothing if the file has no audio stream.

    Raises:
        ValueError: As :func:`read_waveform`, possibly after some blocks.
    """
    none = True
    with naming(path), open_media(path) as container:
        try:
            stream, remark = choose_track(container, "audio", audio_track)
        except ValueError as error:
            raise ValueError(f"{error}, in {path}") from None
        if stream is None:
            return
        remarks += [remark] if remark else []
        sound = Sound(container, stream, path, end, remarks)
        for block in _pieces(_window(sound, start, end)):
            none = False
            yield block, sound.places.rate
    if none:
        raise ValueError(f"Expected start before the end of {path}, got start={start} s, after its last sample")
    remarks += _describe_jumps(sound.places, start, end)


def _window(sound: Sound, start: float, end: float | None) -> Iterator[Block]:
    """Yield the samples of the window, with zeros where there is none."""
    reached, last = None, None
    for placed in sound.decode(start):
        if reached is None:
            reached = round(start * sound.places.rate)
            last = None if end is None else round(end * sound.places.rate)
        stop = placed.until if last is None else min(placed.until, last)
        if stop > reached:
            samples = to_float(placed.frame)
            zeros = (placed.position if last is None else min(placed.position, last)) - reached
            piece = max(1, _PIECE // samples.shape[0])
            for done in range(0, zeros, piece):
                yield np.zeros((samples.shape[0], min(piece, zeros - done)), np.float32)
            reached += max(0, zeros)
            begin = placed.skip - placed.position
            yield samples[:, begin + reached : begin + max(reached, stop)]
            reached = stop
        if last is not None and placed.until >= last:
            return


def _pieces(blocks: Iterator[Block]) -> Iterator[Block]:
    """Join small blocks."""
    kept: list[Block] = []
    size = 0
    for block in blocks:
        kept.append(block)
        size += block.size
        if size >= _PIECE:
            yield np.ascontiguousarray(np.concatenate(kept, axis=1))
            kept, size = [], 0
    if size:
        yield np.ascontiguousarray(np.concatenate(kept, axis=1))


def _describe_jumps(places: Places, start: float, end: float | None) -> list[str]:
    """Say where zeros were filled in, or samples left out, within the window."""
    inside = [jump for jump in places.jumps if jump.time + max(0.0, jump.seconds) > start]
    inside = [jump for jump in inside if end is None or jump.time < end]
    gaps = [jump for jump in inside if jump.seconds > 0]
    remarks = []
    if gaps and gaps[0].time == 0:
        remarks.append(f"sound starts {gaps.pop(0).seconds:.3f} s after the picture")
    for found, what in (
        (gaps, "missing and filled with zeros"),
        ([j for j in inside if j.seconds < 0], "overlapping and left out"),
    ):
        if found:
            seconds = abs(sum(jump.seconds for jump in found))
            remarks.append(f"{seconds:.3f} s of the sound are {what}, first at {found[0].time:.3f} s")
    return remarks
