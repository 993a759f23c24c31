"""Consistency protocol (MAJORScore, III): mispaired captions, and how well a score tells them from consistent ones.

Higher scores are better. Arrays are (N,) of any real dtype with one clip per row; a row with a NaN is left out.
Intervals come from rows resampled with a seed that stands beside them.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]

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


def derange(classes: Sequence[str], seed: int) -> list[int]:
    """Give every row a partner of another class, each row once: the captions of the mispaired set.

    A random permutation whose same-class rows then swap partners with random rows. If no class fills more than half
    of the rows, some swap always mends a row and breaks none.

    Args:
        classes: class of each of N rows, for example its VGGSound label.
        seed: seed of ``random.Random``; equal seeds give equal partners.

    Returns:
        Index of each row's partner, N of them: a permutation.

    Raises:
        ValueError: a class has more than half of the rows.

    Example:
        >>> derange(["dog", "cat", "dog", "cat"], seed=0)
        [3, 0, 1, 2]
    """
    n = len(classes)
    for name, count in Counter(classes).most_common(1):
        if 2 * count > n:
            raise ValueError(f"Expected no class with more than half of the {n} rows, got {name!r} with {count}.")
    generator = random.Random(seed)
    partners = generator.sample(range(n), n)
    for row in generator.sample(range(n), n):
        while classes[row] == classes[partners[row]]:
            other = generator.randrange(n)
            if classes[row] not in (classes[other], classes[partners[other]]):
                partners[row], partners[other] = partners[other], partners[row]
    return partners


def auroc(positive: ArrayLike, negative: ArrayLike) -> float:
    """Compute P(p > n) + P(p = n) / 2, the chance that a random positive scores above a random negative.

    Source: Mann and Whitney, 1947: U / (N M), with ties counted half.

    Args:
        positive: scores that should be high, shape (N,). NaN is left out.
        negative: scores that should be low, shape (M,).

    Returns:
        A value in [0, 1], 0.5 for no discrimination. NaN without a positive or a negative.

    Raises:
        ValueError: an array is not one-dimensional, or has an infinite value.

    Example:
        >>> auroc([0.9, 0.5], [0.5, 0.1])
        0.875
    """
    high, low = complete_rows(positive)[0], np.sort(complete_rows(negative)[0])
    doubled = (low.searchsorted(high) + low.searchsorted(high, side="right")).sum()
    return float(doubled / (2 * high.size * low.size)) if high.size and low.size else math.nan


def win_rate(positive: ArrayLike, negative: ArrayLike) -> float:
    """Compute the share of rows whose positive scores above the row's own negative; ties count half.

    Args:
        positive: scores that should be high, shape (N,). NaN drops the row.
        negative: scores that should be low, shape (N,).

    Returns:
        A value in [0, 1], 0.5 for no discrimination. NaN without a complete row.

    Raises:
        ValueError: the shapes differ or are not (N,), or a value is infinite.

    Example:
        >>> win_rate([0.9, 0.5, 0.2, 0.6], [0.5, 0.5, 0.1, 0.7])
        0.625
    """
    high, low = complete_rows(positive, negative)
    return float(np.mean((high > low) + 0.5 * (high == low))) if high.size else math.nan


def d_prime(positive: ArrayLike, negative: ArrayLike) -> float:
    """Compute d' = (m1 - m2) / sqrt((s1^2 + s2^2) / 2), the distance of the means in standard deviations.

    Source: Green and Swets, "Signal Detection Theory and Psychophysics", 1966. Variances have the divisor N - 1.

    Args:
        positive: scores that should be high, shape (N,). NaN is left out.
        negative: scores that should be low, shape (M,).

    Returns:
        The signed distance. NaN with fewer than two positives or negatives, or without variance.

    Raises:
        ValueError: an array is not one-dimensional, or has an infinite value.

    Example:
        >>> round(d_prime([0.9, 0.7, 0.8], [0.3, 0.1, 0.2]), 9)
        6.0
    """
    high, low = complete_rows(positive)[0], complete_rows(negative)[0]
    if min(high.size, low.size) < 2:
        return math.nan
    spread = math.sqrt((high.var(ddof=1) + low.var(ddof=1)) / 2)
    means = np.array([high.mean(), low.mean()])
    return float((means[0] - means[1]) / spread) if spread > ROUNDING * np.abs(means).max() else math.nan


def relative_change(score: float, baseline: float) -> float:
    """Compute 100 (M - B) / B, the change against a baseline in percent.

    Source: Du et al., "MAJORScore", III-C. No evidence of discrimination: give :func:`compare` beside it.

    Args:
        score: mean MAJORScore M.
        baseline: mean CLIPCLAP score B, of the same combination.

    Returns:
        Percent. NaN unless the baseline is above 0: nothing is a share of 0, and a negative B would turn the sign.

    Example:
        >>> round(relative_change(0.63, 0.5), 9)
        26.0
    """
    return 100 * (score - baseline) / baseline if baseline > 0 else math.nan


def bootstrap(
    statistic: Callable[..., float], *arrays: ArrayLike, seed: int = 0, resamples: int = 1000, confidence: float = 0.95
) -> Interval:
    """Compute a statistic and its percentile bootstrap interval; the arrays' rows are drawn together.

    Source: Efron, 1979. The interval is that of ``scipy.stats.bootstrap(..., paired=True, method="percentile")``.

    Args:
        statistic: takes the arrays, float64, and gives a number.
        arrays: one or more, each (N,). A NaN in one drops the row.
        seed: seed of ``numpy.random.default_rng``; equal seeds give equal intervals.
        resamples: how often N rows are drawn, with replacement.
        confidence: share of the resamples inside the interval, in (0, 1).

    Returns:
        Value and interval. The interval is NaN with fewer than two rows, or where a resample has no value.

    Raises:
        ValueError: the shapes differ or are not (N,), a value is infinite, or an option is out of range.

    Example:
        >>> bootstrap(win_rate, [0.9, 0.5, 0.7, 0.8], [0.5, 0.1, 0.8, 0.2]).value
        0.75
    """
    if not 0 < confidence < 1 or resamples < 1:
        raise ValueError(f"Expected confidence in (0, 1) and resamples >= 1, got {confidence} and {resamples}.")
    rows = complete_rows(*arrays)
    n = rows.shape[1]
    value, low, high = float(statistic(*rows)) if n else math.nan, math.nan, math.nan
    if n > 1:
        of_rows = _of_rows(statistic, rows)
        generator = np.random.default_rng(seed)
        values = [of_rows(generator.integers(n, size=(n,))) for _ in range(resamples)]
        low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
    return Interval(value, low, high, n, np.asarray(arrays[0]).size - n, seed, resamples, confidence)


def compare(consistent: ArrayLike, mispaired: ArrayLike, seed: int = 0) -> dict[str, Interval]:
    """Compute how well a score tells consistent from mispaired captions.

    Args:
        consistent: scores of the clips with their own captions, shape (N,). A NaN drops the clip.
        mispaired: scores of the same clips with the captions of :func:`derange`, shape (N,).
        seed: see :func:`bootstrap`.

    Returns:
        ``auroc``, ``win_rate`` and ``d_prime``, each with its 95 % interval.

    Raises:
        ValueError: the shapes differ or are not (N,), or a value is infinite.

    Example:
        >>> compare([0.9, 0.5, 0.7, 0.8], [0.5, 0.1, 0.6, 0.2])["auroc"].value
        0.90625
    """
    return {m.__name__: bootstrap(m, consistent, mispaired, seed=seed) for m in (auroc, win_rate, d_prime)}


def _of_rows(statistic: Callable[..., float], rows: Array) -> Callable[[Index], float]:
    """Make a function that computes the statistic of drawn rows; for AUROC, one that counts and need not sort again."""
    if statistic is not auroc:
        return lambda drawn: statistic(*rows.take(drawn, axis=1))
    order = rows[1].argsort()
    below, not_above = (rows[1, order].searchsorted(rows[0], side=side) for side in ("left", "right"))

    def of_rows(drawn: Index) -> float:
        times = np.bincount(drawn, minlength=rows.shape[1])
        negatives = np.append(0, times[order].cumsum())
        return float((negatives[below] + negatives[not_above]) @ times / (2 * drawn.size**2))

    return of_rows


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
