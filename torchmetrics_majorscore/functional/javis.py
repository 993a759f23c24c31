"""JavisScore: how well the frames of short windows that fit worst fit the sound of their window."""

import torch
from torch import Tensor

from torchmetrics_majorscore.functional.similarity import cosines

SECONDS = 2.0
OVERLAP = 1.5  # seconds
WORST = 0.4


def javis_windows(frames: int, samples: int, fps: float, sample_rate: int) -> list[tuple[slice, slice]]:
    """Give the windows of JavisScore: 2 s long, every 0.5 s, the last one moved back so that it fits.

    Source: the code of JavisBench, which rounds both sizes down to whole frames and samples. A clip of which sound or
    video lasts 2 s or less is one window.

    Args:
        frames: of the video.
        samples: of its sound.
        fps: of the video.
        sample_rate: of the sound, in Hz.

    Returns:
        For each window its frames and its samples, as many as both have.

    Example:
        >>> javis_windows(22, 40_000, 8, 16_000)
        [(slice(0, 16, None), slice(0, 32000, None)), (slice(4, 20, None), slice(8000, 40000, None))]
    """
    if frames <= int(SECONDS * fps) or samples <= int(SECONDS * sample_rate):
        return [(slice(0, frames), slice(0, samples))]
    return list(zip(_windows(frames, fps), _windows(samples, sample_rate), strict=False))


def _windows(count: int, rate: float) -> list[slice]:
    size = int(SECONDS * rate)
    last, step = count - size, size - int(OVERLAP * rate)
    return [slice(start, start + size) for start in [*range(0, last, step), last]]


def javis_score(frames: Tensor, audio: Tensor) -> Tensor:
    r"""Compute JavisScore, the mean over windows of the mean of their lowest 40 % of cosines; higher is better.

    .. math:: \frac{1}{W} \sum_w \frac{1}{k} \sum_{n \in \mathrm{lowest}\ k} \cos(V_{wn}, A_w)
        \qquad k = \lfloor 0.4 N \rfloor

    Source: Liu et al., "JavisDiT", 2025, and JavisBench's code, over ImageBind.

    Args:
        frames: embeddings of the N frames of each window, (..., W, N, D), floating, any scale; see
            :func:`javis_windows`.
        audio: embedding of the sound of each window, (..., W, D).

    Returns:
        One value per sample, (...), float64, in [-1, 1]. NaN where an embedding is not finite, and where windows have
        fewer than three frames, so that k is 0.

    Raises:
        ValueError: there is no window, or the shapes do not fit.

    Example:
        >>> import torch
        >>> window = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
        >>> javis_score(window[None], torch.tensor([[1.0, 0.0]]))
        tensor(0., dtype=torch.float64)
    """
    if frames.ndim != audio.ndim + 1 or 0 in audio.shape or frames.shape[:-2] != audio.shape[:-1]:
        raise ValueError(
            f"Expected frames (..., W, N, D) and audio (..., W, D), got {tuple(frames.shape)} and {tuple(audio.shape)}."
        )
    found = cosines(frames, audio[..., None, :])
    lowest, _ = found.topk(int(WORST * found.shape[-1]), dim=-1, largest=False)
    broken = ~found.isfinite().all(dim=-1).all(dim=-1)  # a NaN would count as the largest
    return lowest.mean(dim=-1).mean(dim=-1).masked_fill(broken, torch.nan)
