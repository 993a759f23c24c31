"""A clip for the eye and the ear, as the scorer reads it, but without torch: small pictures and mono sound."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmetrics_majorscore.media import ClipStream
from torchmetrics_majorscore.media.container import import_av

FPS = 8.0
LONGEST_SIDE = 320  # pixels
SAMPLE_RATE = 44_100  # Hz
Samples = NDArray[np.float32]


def read_pictures(clip: ClipStream, reasons: list[str]) -> list[Any]:
    """Read the pictures on screen, up to the first that does not decode.

    Args:
        clip: what to read, at FPS.
        reasons: gets one if a part cannot be read.

    Returns:
        ``av.VideoFrame`` in yuv420p, all of one size with no side above LONGEST_SIDE; the same object again while a
        picture stays on screen.
    """
    pictures: list[Any] = []
    try:
        for pixels, count in clip.frames():
            pictures += [_shrink(pixels)] * count
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        reasons.append(str(error))
    return pictures


def read_sound(clip: ClipStream, reasons: list[str]) -> Samples | None:
    """Read the sound, up to the first part that does not decode.

    Args:
        clip: what to read.
        reasons: gets one if a part cannot be read.

    Returns:
        Mono samples (S,) in [-1, 1] at SAMPLE_RATE; None if there are none.
    """
    blocks: list[Samples] = []
    try:
        blocks += _resample(clip.sound())
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        reasons.append(str(error))
    return np.concatenate(blocks).clip(-1, 1) if blocks else None


def _shrink(pixels: NDArray[np.uint8]) -> Any:
    """Give a picture of the longest side; both sides even, as H.264 with halved colours asks for."""
    frame = import_av().VideoFrame.from_ndarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)), "rgb24")
    scale = min(1.0, LONGEST_SIDE / max(frame.height, frame.width))
    width, height = (max(2, round(scale * side / 2) * 2) for side in (frame.width, frame.height))
    return frame.reformat(width, height, format="yuv420p", interpolation="AREA")


def _resample(blocks: Iterator[tuple[Samples, int]]) -> Iterator[Samples]:
    """Mix blocks, and bring them to SAMPLE_RATE."""
    av = import_av()
    resampler = av.AudioResampler("fltp", "mono", SAMPLE_RATE)
    for block, rate in chain(blocks, [(None, 0)]):
        frame = None
        if block is not None:
            frame = av.AudioFrame.from_ndarray(block.mean(axis=0, keepdims=True), "fltp", "mono")
            frame.sample_rate = rate
        yield from (resampled.to_ndarray()[0] for resampled in resampler.resample(frame))
