"""Bootstrap intervals over complete rows: what the other statistics share.

Arrays are (N,) of any real dtype with one clip per row; a row with a NaN is left out. Rows are resampled with a seed
that stands beside the interval.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]

LARGE = 20_000
"""Rows above which means are drawn with weights, see :mod:`.means`."""
ROUNDING = 1e-15  # a standard deviation below this share of the values is their rounding, as in scipy.stats.skew


@dataclass(frozen=True)
class Interval:
    """A statistic with its bootstrap interval, and what it takes to compute both again.

    Args:
        value, low, high: the statistic of all complete rows, and the ends of its interval.
        n, dropped: complete rows, and rows left out since a value is NaN.
        seed, resamples, confidence: how the interval was drawn, see :func:`bootstrap`.
    """

    value: float
    low: float
    high: float
    n: int
    dropped: int
    seed: int
    resamples: int
    confidence: float


def bootstrap(
    statistic: Callable[..., float],
    *arrays: ArrayLike,
    seed: int = 0,
    resamples: int = 1000,
    confidence: float = 0.95,
    of_drawn: Callable[[Array], Callable[[Index], float]] | None = None,
) -> Interval:
    """Compute a statistic and its percentile bootstrap interval; the arrays' rows are drawn together.

    Source: Efron, 1979. The interval is that of ``scipy.stats.bootstrap(..., paired=True, method="percentile")``.

    Args:
        statistic: takes the arrays, float64, and gives a number.
        arrays: one or more, each (N,). A NaN in one drops the row.
        seed: seed of ``numpy.random.default_rng``; equal seeds give equal intervals.
        resamples: how often N rows are drawn, with replacement.
        confidence: share of the resamples inside the interval, in (0, 1).
        of_drawn: a faster way to the same: takes the complete rows (K, N) and gives a function of the drawn indices;
            None computes the statistic of the drawn rows.

    Returns:
        Value and interval. The interval is NaN with fewer than two rows, or where a resample has no value.

    Raises:
        ValueError: the shapes differ or are not (N,), a value is infinite, or an option is out of range.

    Example:
        >>> bootstrap(np.median, [0.9, 0.5, 0.7, 0.8, 0.1]).value
        0.7
    """
    check_draw(resamples, confidence)
    rows = complete_rows(*arrays)
    n = rows.shape[1]
    value, low, high = float(statistic(*rows)) if n else math.nan, math.nan, math.nan
    if n > 1:
        of_rows = (of_drawn or partial(_of_taken, statistic))(rows)
        generator = np.random.default_rng(seed)
        values = [of_rows(generator.integers(n, size=(n,))) for _ in range(resamples)]
        low, high = ends(values, confidence)
    return Interval(value, low, high, n, np.asarray(arrays[0]).size - n, seed, resamples, confidence)


def check_draw(resamples: int, confidence: float) -> None:
    """Raise ValueError unless intervals can be drawn so."""
    if not 0 < confidence < 1 or resamples < 1:
        raise ValueError(f"Expected confidence in (0, 1) and resamples >= 1, got {confidence} and {resamples}.")


def ends(values: Array | list[float], confidence: float) -> tuple[float, float]:
    """Give the ends of the percentile interval of what resamples gave."""
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
    return low, high


def _of_taken(statistic: Callable[..., float], rows: Array) -> Callable[[Index], float]:
    def of_drawn(drawn: Index) -> float:
        taken: Array = rows.take(drawn, axis=1)
        return float(statistic(*taken))

    return of_drawn


def complete_rows(*arrays: ArrayLike) -> Array:
    """Stack K arrays (N,) to (K, n) in float64, with the rows that have no NaN; ValueError if they do not fit."""
    columns = [np.asarray(array, dtype=np.float64) for array in arrays]
    if any(column.ndim != 1 or column.shape != columns[0].shape for column in columns):
        raise ValueError(f"Expected arrays of one shape (N,), got {', '.join(str(c.shape) for c in columns)}.")
    rows = np.stack(columns)
    if np.isinf(rows).any():
        raise ValueError("Expected finite values, or NaN for a missing one, got an infinite one.")
    missing = np.isnan(rows).any(axis=0)
    return rows[:, ~missing] if missing.any() else rows
