"""DeSync: how far sound and video of a sample are apart in time."""

import torch
from torch import Tensor

LARGEST = 2.0  # seconds
CLASSES = 21


def sync_offsets(logits: Tensor) -> Tensor:
    """Give the offset that a synchrony network finds most likely.

    Source: Iashin et al., "Synchformer": 21 classes from -2 s to 2 s, 0.2 s apart.

    Args:
        logits: (..., 21), any floating dtype.

    Returns:
        Signed offsets in seconds, (...), float64; of equal logits that of the first. NaN where a logit is not finite.

    Raises:
        ValueError: there are not 21 classes.

    Example:
        >>> import torch
        >>> sync_offsets(torch.eye(21)[[0, 10, 13]])
        tensor([-2.0000,  0.0000,  0.6000], dtype=torch.float64)
    """
    if logits.ndim < 1 or logits.shape[-1] != CLASSES:
        raise ValueError(f"Expected logits (..., {CLASSES}), one per offset, got {tuple(logits.shape)}.")
    grid = torch.arange(CLASSES, dtype=torch.float64, device=logits.device)
    grid = (grid - CLASSES // 2) * (2 * LARGEST / (CLASSES - 1))
    return grid[logits.argmax(dim=-1)].masked_fill(~logits.isfinite().all(dim=-1), torch.nan)


def desync(logits: Tensor) -> Tensor:
    r"""Compute DeSync, the mean absolute offset over the windows of each sample, in seconds; lower is better.

    .. math:: \frac{1}{K} \sum_k |o_k|

    Source: Viertola et al., "Temporally Aligned Audio for Video with Autoregression" (Sync); Cheng et al., "MMAudio"
    (DeSync), where a sample of 8 s has K = 2 windows: its first 14 and its last 14 segments of 0.64 s. The mean of the
    absolute offsets is no mean of signed ones, which cancel. The value of a data set is the mean over samples.

    Args:
        logits: of the 21 offsets from -2 s to 2 s in each window, (B, K, 21), any floating dtype.

    Returns:
        One value per sample, (B,), float64, in [0, 2]. NaN where a logit is not finite.

    Raises:
        ValueError: the shape is not (B, K, 21) with K >= 1.

    Example:
        >>> import torch
        >>> desync(torch.eye(21)[[7, 14]][None])
        tensor([0.7000], dtype=torch.float64)
    """
    if logits.ndim != 3 or logits.shape[1] == 0:
        raise ValueError(f"Expected logits of shape (B, K, {CLASSES}), got {tuple(logits.shape)}.")
    return mean_offset(sync_offsets(logits))


def mean_offset(offsets: Tensor) -> Tensor:
    """Take the mean absolute offset of each sample, (B, K) to (B,)."""
    return offsets.abs().mean(dim=-1)
