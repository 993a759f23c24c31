"""Human ratings, from 1 (worst) to 5: mean opinion scores, and how well scores agree with them."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.statistics.bootstrap import Array, Index, Interval, bootstrap, complete_rows

SCALE = (1.0, 5.0)


@dataclass(frozen=True)
class Opinions:
    """Mean opinion scores of K items.

    Args:
        n: raters, int64 (K,).
        mos: mean opinion scores, float64 (K,).
        low, high: ends of their 95 % intervals, float64 (K,).
    """

    n: Index
    mos: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Agreement:
    """How well scores agree with opinions.

    Args:
        n: points that are correlated.
        clips: clips they come from.
        dropped: points, or at model level clips, without a score or a rating.
        spearman, kendall: rank correlations (Kendall's is tau-b), with their intervals over resampled clips.
    """

    n: int
    clips: int
    dropped: int
    spearman: Interval
    kendall: Interval


def mean_opinions(ratings: ArrayLike, items: ArrayLike) -> Opinions:
    """Compute the mean opinion score of each item, with Student's t interval over its raters.

    Source: ITU-T P.800, B.4. A bootstrap over so few raters would be too narrow. The interval ends where the scale
    does, for no opinion lies beyond; its coverage stays.

    Args:
        ratings: shape (N,), in [1, 5].
        items: what each rating is of, integers from 0 to K - 1, shape (N,); each has a rating.

    Returns:
        Means and intervals. The interval of one rating is NaN.

    Raises:
        ModuleNotFoundError: SciPy is missing.

    Example:
        >>> found = mean_opinions([5, 4, 5, 2], [0, 0, 0, 1])
        >>> found.mos.round(4).tolist(), found.high.tolist()
        ([4.6667, 2.0], [5.0, nan])
    """
    needs_extra("scipy", "evaluation")
    from scipy import stats

    values, of = np.asarray(ratings, dtype=np.float64), np.asarray(items, dtype=np.int64)
    n = np.bincount(of)
    mos = np.bincount(of, values) / n
    degrees = np.where(n > 1, n - 1, math.nan)
    half = stats.t.ppf(0.975, degrees) * np.sqrt(np.bincount(of, (values - mos[of]) ** 2) / degrees / n)
    return Opinions(n, mos, (mos - half).clip(*SCALE), (mos + half).clip(*SCALE))


def agreement(scores: ArrayLike, opinions: ArrayLike, seed: int = 0) -> dict[str, Agreement]:
    """Compute how well scores agree with mean opinion scores.

    Intervals come from resampled clips, each with the outputs of all models, for these are not independent; at model
    level too, since there are few models. That raters might have been others is not in them.

    Args:
        scores: of C clips by M models, shape (C, M). NaN for none.
        opinions: mean opinion scores, shape (C, M). NaN for a clip of a model that was not rated.
        seed: see :func:`.bootstrap`.

    Returns:
        ``clip``: a point is a clip of a model; ``model``, if M > 1: a point is a model, with its means over the clips
        that are rated and scored for all models. A correlation without two points or without variance is NaN.

    Raises:
        ModuleNotFoundError: SciPy is missing.
    """
    needs_extra("scipy", "evaluation")
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(opinions, dtype=np.float64)
    complete = ~np.isnan(x) & ~np.isnan(y)
    some, whole = complete.any(axis=1), complete.all(axis=1)
    lost = int((~np.isnan(y) & ~complete).sum())
    pairs = _correlate(x[some], y[some], np.ravel, seed)
    found = {"clip": Agreement(int(complete.sum()), int(some.sum()), lost, *pairs)}
    if x.shape[1] > 1:
        models = x.shape[1] if whole.any() else 0
        pairs = _correlate(x[whole], y[whole], lambda rows: rows.mean(axis=0), seed)
        found["model"] = Agreement(models, int(whole.sum()), int((~whole).sum()), *pairs)
    return found


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Compute Spearman's rank correlation.

    Args:
        x: shape (N,). A NaN drops the row.
        y: shape (N,).

    Returns:
        A value in [-1, 1]. NaN with fewer than two rows, or without variance.

    Raises:
        ValueError: the shapes differ or are not (N,), or a value is infinite.
    """
    from scipy import stats

    # scipy.stats.spearmanr computes a P value too, at 10 times the cost.
    rows = complete_rows(x, y)
    ranks = stats.rankdata(rows, axis=1)
    return float(np.corrcoef(ranks)[0, 1].clip(-1, 1)) if _vary(rows) else math.nan


def kendall(x: ArrayLike, y: ArrayLike) -> float:
    """Compute Kendall's tau-b, which allows for ties; see :func:`spearman`."""
    from scipy import stats

    rows = complete_rows(x, y)
    return float(stats.kendalltau(*rows).statistic) if _vary(rows) else math.nan


def _vary(rows: Array) -> bool:
    return rows.shape[1] > 1 and bool((np.ptp(rows, axis=1) > 0).all())


def _correlate(
    scores: Array, opinions: Array, points: Callable[[Array], Array], seed: int
) -> tuple[Interval, Interval]:
    """Correlate the points of all clips, and of resampled ones; both are (clips, models)."""

    def interval(method: Callable[[Array, Array], float]) -> Interval:
        def statistic(drawn: Array) -> float:
            clips = drawn.astype(int)
            return method(points(scores[clips]), points(opinions[clips]))

        return bootstrap(statistic, np.arange(len(scores)), seed=seed)

    return interval(spearman), interval(kendall)
