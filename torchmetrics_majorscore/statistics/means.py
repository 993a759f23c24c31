"""Bootstrap intervals of the means of many columns, over as many rows as there are.

Up to LARGE rows they are those of :func:`.bootstrap`. Beyond, each row of each resample has a weight drawn from a
Poisson distribution of mean 1 instead of the count of a multinomial draw, which it approaches as rows grow: the rows
are passed once, in parts, and all columns share the weights. Source: Chamandy et al., "Estimating Uncertainty for
Massive Data Streams", 2012.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchmetrics_majorscore.statistics.bootstrap import LARGE, Array, Index, Interval, bootstrap, check_draw, ends

PART = 4096
"""Rows whose weights are drawn at a time, 16 MB for 1000 resamples."""


def bootstrap_means(
    columns: ArrayLike | Sequence[ArrayLike], *, seed: int = 0, resamples: int = 1000, confidence: float = 0.95
) -> list[Interval]:
    """Compute the mean of each column and its percentile bootstrap interval.

    Args:
        columns: K of any real dtype, each (N,). A NaN drops the row for its column alone.
        seed: of ``numpy.random.default_rng``; equal seeds, and equal N, draw equal rows for every column.
        resamples: how often rows are drawn.
        confidence: share of the resamples inside the interval, in (0, 1).

    Returns:
        K means with their intervals, see :func:`.bootstrap`.

    Raises:
        ValueError: the shapes are not (N,) or differ, a value is infinite, or an option is out of range.

    Example:
        >>> [round(found.value, 4) for found in bootstrap_means([[0.2, 0.4], [1.0, 0.0]])]
        [0.3, 0.5]
    """
    values = check_columns(columns)
    check_draw(resamples, confidence)
    if not values or values[0].size <= LARGE:
        return [bootstrap(np.mean, c, seed=seed, resamples=resamples, confidence=confidence) for c in values]
    drawn = draw_means(values, seed, resamples)
    found = []
    for mean, n, of_draws in zip(drawn.means.tolist(), drawn.counts.tolist(), drawn.drawn, strict=True):
        low, high = ends(of_draws, confidence) if n > 1 else (math.nan, math.nan)
        found.append(Interval(mean, low, high, n, values[0].size - n, seed, resamples, confidence))
    return found


def check_columns(columns: ArrayLike | Sequence[ArrayLike]) -> list[Array]:
    """Give columns in float64; ValueError unless all are (N,)."""
    values = [np.asarray(column, dtype=np.float64) for column in cast("Iterable[ArrayLike]", columns)]
    if any(column.ndim != 1 or column.size != values[0].size for column in values):
        shapes = " and ".join(sorted({str(column.shape) for column in values}))
        raise ValueError(f"Expected columns of shape (K, N), got some of {shapes}.")
    return values


class Drawn(NamedTuple):
    """Means of K columns: those of all rows, (K,); of how many; and those of the resamples, (K, resamples)."""

    means: Array
    counts: Index
    drawn: Array


def draw_means(values: Sequence[Array], seed: int, resamples: int) -> Drawn:
    """Compute the means of weighted resamples in one pass over the rows; see :func:`bootstrap_means` for Args."""
    counts = np.empty(len(values), np.int64)
    means = np.full(len(values), math.nan)
    for k, column in enumerate(values):
        if np.isinf(column).any():
            raise ValueError("Expected finite values, or NaN for a missing one, got an infinite one.")
        there = ~np.isnan(column)
        counts[k] = there.sum()
        if counts[k]:
            means[k] = np.where(there, column, 0.0).sum() / counts[k]
    whole = bool((counts == values[0].size).all())
    sums = np.zeros((resamples, len(values)))
    totals = np.zeros((resamples, 1 if whole else len(values)))
    start = 0
    for weights in _weights(seed, resamples, values[0].size):
        part = slice(start, start + weights.shape[1])
        rows = np.stack([column[part] for column in values], axis=1)
        there = ~np.isnan(rows)
        # About the mean, single precision is enough: its rounding is a share of the spread.
        apart = np.where(there, rows - means, 0.0)
        counted = np.ones((len(rows), 1)) if whole else there
        found = weights @ np.concatenate([apart, counted], axis=1, dtype=np.float32)
        sums += found[:, : len(values)]
        totals += found[:, len(values) :]
        start += weights.shape[1]
    return Drawn(means, counts, means[:, None] + (sums / np.maximum(totals, 1)).T)


def _weights(seed: int, resamples: int, rows: int) -> Iterator[NDArray[np.float32]]:
    """Draw weights (resamples, PART), part by part."""
    generator, limits = np.random.default_rng(seed).bit_generator, _poisson_limits()
    for start in range(0, rows, PART):
        shape = resamples, min(PART, rows - start)
        size = math.prod(shape)
        numbers = generator.random_raw(-(-size // 4)).view(np.uint16)[:size].reshape(shape)
        weights = np.empty(shape, np.float32)
        for few in range(0, resamples, 64):  # so many at a time stay in a processor's cache
            own = numbers[few : few + 64]
            times = (own >= limits[0]).view(np.uint8)
            for limit in limits[1:]:
                times += own >= limit
            weights[few : few + 64] = times
        yield weights


def _poisson_limits() -> NDArray[np.uint16]:
    """Give the first of 2 ** 16 equally likely numbers that stand for a weight of 1, 2, ..., 8.

    The mean of the weights is 1, and their variance too, within 4e-5.
    """
    cumulated = np.cumsum([math.exp(-1) / math.factorial(k) for k in range(8)])
    return np.ceil(cumulated * 2**16 - 0.5).astype(np.uint16)
