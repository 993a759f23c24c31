"""How well scores of many clips tell consistent from mispaired captions: all intervals from one pass over the rows.

Rows have the weights of :mod:`.means`. A win rate is a mean, and d' follows from means of values and squares. The AUROC
of a resample is, but for a term that falls as 1 / N, the mean of what each row adds to it: the share of negatives below
its positive, and of positives above its negative, less the AUROC. Source: DeLong, DeLong and Clarke-Pearson, "Comparing
the Areas under Two or More Correlated Receiver Operating Characteristic Curves", 1988, whose components these are.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from torchmetrics_majorscore.statistics.bootstrap import ROUNDING, Array, Interval, ends
from torchmetrics_majorscore.statistics.means import draw_means

_COLUMNS = 6  # of each score


def separate(
    scores: Sequence[tuple[Array, Array]], seed: int, resamples: int = 1000, confidence: float = 0.95
) -> list[dict[str, Interval]]:
    """Compute AUROC, win rate and d' of K scores with their intervals.

    Args:
        scores: of each, the values of N consistent and N mispaired clips, float64 (N,), NaN in both or in neither.
        seed: see :func:`.bootstrap_means`.
        resamples: how often rows are drawn.
        confidence: share of the resamples inside an interval.

    Returns:
        ``auroc``, ``win_rate`` and ``d_prime`` of each, see :mod:`.consistency`.
    """
    drawn = draw_means([column for high, low in scores for column in _columns(high, low)], seed, resamples)
    found: list[dict[str, Interval]] = []
    for k, (high, low) in enumerate(scores):
        own = slice(k * _COLUMNS, (k + 1) * _COLUMNS)
        n, centres = int(drawn.counts[own][0]), np.array([_mean(high), _mean(low)])
        of_rows, of_draws = (_measures(part[own], centres, n) for part in (drawn.means, drawn.drawn))
        found.append({})
        for name, value in of_rows.items():
            low_end, high_end = ends(of_draws[name], confidence) if n > 1 else (math.nan, math.nan)
            how = n, high.size - n, seed, resamples, confidence
            found[-1][name] = Interval(float(value), low_end, high_end, *how)
    return found


def paired(consistent: ArrayLike, mispaired: ArrayLike) -> tuple[Array, Array]:
    """Give both in float64, NaN where one of them is; ValueError if they are not (N,)."""
    high, low = (np.array(values, dtype=np.float64) for values in (consistent, mispaired))
    if high.ndim != 1 or high.shape != low.shape:
        raise ValueError(f"Expected arrays of one shape (N,), got {high.shape}, {low.shape}.")
    missing = np.isnan(high) | np.isnan(low)
    high[missing] = low[missing] = math.nan
    return high, low


def _columns(high: Array, low: Array) -> list[Array]:
    """Give what a row adds to AUROC and win rate, and its values and their squares about their means; NaN stays NaN."""
    there = ~np.isnan(high)
    above, below = _share_below(high[there], low[there]), 1 - _share_below(low[there], high[there])
    added = np.full(high.shape, math.nan)
    added[there] = above + below - (above.mean() if above.size else math.nan)
    won = np.where(there, (high > low) + 0.5 * (high == low), math.nan)
    apart = high - _mean(high), low - _mean(low)
    return [added, won, *apart, *(values**2 for values in apart)]


def _share_below(own: Array, others: Array) -> Array:
    """Give the share of the others below each value, ties counted half."""
    order = own.argsort()
    ranked, sorted_own = np.sort(others), own[order]  # sorted queries stay in a processor's cache
    share = np.empty(own.shape)
    doubled = ranked.searchsorted(sorted_own) + ranked.searchsorted(sorted_own, side="right")
    share[order] = doubled / (2 * max(1, others.size))
    return share


def _mean(values: Array) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else math.nan


def _measures(means: Array, centres: Array, n: int) -> dict[str, Array]:
    """Compute the measures from the means of :func:`_columns`, (6,) or (6, resamples)."""
    auroc, win_rate, high, low, high_squares, low_squares = means
    positive, negative = centres[0] + high, centres[1] + low
    variances = (high_squares - high**2).clip(0), (low_squares - low**2).clip(0)
    spread = np.sqrt(sum(variances) / 2 * (n / max(1, n - 1)))
    vary = spread > ROUNDING * np.maximum(abs(positive), abs(negative))
    d_prime = np.where(vary, (positive - negative) / np.where(vary, spread, 1), math.nan)
    return {"auroc": auroc, "win_rate": win_rate, "d_prime": d_prime}
