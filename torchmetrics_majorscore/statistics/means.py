"""Bootstrap intervals of the means of many columns, over as many rows as there are.

Up to LARGE rows they are those of :func:`.bootstrap`. Beyond, each row of each resample has a weight drawn from a
Poisson distribution of mean 1 instead of the count of a multinomial draw, which it approaches as rows grow: the rows
are passed once, in parts, and all columns share the weights. Source: Chamandy et al., "Estimating Uncertainty for
Massive Data Streams", 2012.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchmetrics_majorscore.statistics.bootstrap import LARGE, Array, Interval, bootstrap, check_draw, ends

PART = 4096
"""Rows whose weights are drawn at a time, 16 MB for 1000 resamples."""


def bootstrap_means(
    columns: ArrayLike, *, seed: int = 0, resamples: int = 1000, confidence: float = 0.95
) -> list[Interval]:
    """Compute the mean of each column and its percentile bootstrap interval.

    Args:
        columns: of any real dtype, shape (K, N). A NaN drops the row for its column alone.
        seed: of ``numpy.random.default_rng``; equal seeds, and equal N, draw equal rows for every column.
        resamples: how often rows are drawn.
        confidence: share of the resamples inside the interval, in (0, 1).

    Returns:
        K means with their intervals, see :func:`.bootstrap`.

    Raises:
        ValueError: the shape is not (K, N), a value is infinite, or an option is out of range.

    Example:
        >>> [round(found.value, 4) for found in bootstrap_means([[0.2, 0.4], [1.0, 0.0]])]
        [0.3, 0.5]
    """
    values = np.asarray(columns, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"Expected columns of shape (K, N), got {values.shape}.")
    check_draw(resamples, confidence)
    if values.shape[1] <= LARGE:
        return [bootstrap(np.mean, c, seed=seed, resamples=resamples, confidence=confidence) for c in values]
    if np.isinf(values).any():
        raise ValueError("Expected finite values, or NaN for a missing one, got an infinite one.")
    there = ~np.isnan(values)
    counts = there.sum(axis=1)
    sums = np.where(there, values, 0.0).sum(axis=1)
    means = np.divide(sums, counts, out=np.full(counts.shape, math.nan), where=counts > 0)
    drawn = _drawn_means(values, there, means, seed, resamples)
    found = []
    for mean, n, of_draws in zip(means.tolist(), counts.tolist(), drawn, strict=True):
        low, high = ends(of_draws, confidence) if n > 1 else (math.nan, math.nan)
        found.append(Interval(mean, low, high, n, values.shape[1] - n, seed, resamples, confidence))
    return found


def _drawn_means(values: Array, there: NDArray[np.bool_], means: Array, seed: int, resamples: int) -> Array:
    """Compute the means of all resamples, (K, resamples)."""
    whole = bool(there.all())
    sums, totals = np.zeros((resamples, len(values))), np.zeros((resamples, 1 if whole else len(values)))
    start = 0
    for weights in _weights(seed, resamples, values.shape[1]):
        part = slice(start, start + weights.shape[1])
        # About the mean, single precision is enough: its rounding is a share of the spread.
        apart = np.where(there[:, part], values[:, part] - means[:, None], 0.0)
        sums += weights @ apart.T.astype(np.float32)
        totals += weights.sum(axis=1, keepdims=True) if whole else weights @ there[:, part].T.astype(np.float32)
        start += weights.shape[1]
    drawn: Array = means[:, None] + (sums / np.maximum(totals, 1)).T
    return drawn


def _weights(seed: int, resamples: int, rows: int) -> Iterator[NDArray[np.float32]]:
    """Draw weights (resamples, PART), part by part."""
    generator, table = np.random.default_rng(seed), _poisson_table()
    for start in range(0, rows, PART):
        bits = generator.integers(2**16, size=(resamples, min(PART, rows - start)), dtype=np.uint16)
        yield table[bits]


def _poisson_table() -> NDArray[np.float32]:
    """Give the weight for each of 2 ** 16 equally likely numbers; its mean is 1, and its variance too, within 4e-5."""
    cumulated = np.cumsum([math.exp(-1) / math.factorial(k) for k in range(9)])
    numbers = (np.arange(2**16) + 0.5) / 2**16
    return cumulated.searchsorted(numbers).astype(np.float32)
