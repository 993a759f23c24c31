"""Generators compared in pairs, clip by clip (the VITAS protocol of MAJORScore, III-A)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.statistics.bootstrap import LARGE, ROUNDING, Array, Interval
from torchmetrics_majorscore.statistics.means import bootstrap_means


@dataclass(frozen=True)
class PairedComparison:
    """A generator a against another one b. What the clips do not determine is NaN.

    Args:
        difference: the mean of a - b with its paired bootstrap interval.
        t, p_t: the paired t test, two-sided; NaN for one clip, and for differences without variance.
        wilcoxon, p_wilcoxon: the signed-rank test, two-sided; NaN for one clip, and for differences that are all 0.
        p_t_holm, p_wilcoxon_holm: the P values, corrected over the pairs that were compared together.
    """

    difference: Interval
    t: float = math.nan
    p_t: float = math.nan
    wilcoxon: float = math.nan
    p_wilcoxon: float = math.nan
    p_t_holm: float = math.nan
    p_wilcoxon_holm: float = math.nan


def compare_pairs(
    scores: Mapping[str, ArrayLike], seed: int = 0, differences: Mapping[tuple[str, str], Interval] | None = None
) -> dict[tuple[str, str], PairedComparison]:
    """Compare each generator with each one behind it.

    Source: Du et al., "MAJORScore", III-A, which gives no intervals and no tests. Holm, "A Simple Sequentially
    Rejective Multiple Test Procedure", 1979.

    Args:
        scores: generator to its scores of the same N clips, each (N,), without NaN.
        seed: see :func:`.bootstrap_means`.
        differences: what :func:`.bootstrap_means` gives of a - b for each pair, if that is known already.

    Returns:
        Generators a and b to their comparison, in the order given.

    Raises:
        ValueError: the shapes differ or are not (N,), or a value is infinite.
        ModuleNotFoundError: SciPy is missing.

    Example:
        >>> found = compare_pairs({"ours": [0.5, 0.7, 0.6], "theirs": [0.4, 0.5, 0.4]})["ours", "theirs"]
        >>> round(found.difference.value, 4), round(found.p_t, 4)
        (0.1667, 0.0377)
    """
    needs_extra("scipy", "evaluation")
    arrays = {model: np.asarray(values, dtype=np.float64) for model, values in scores.items()}
    known = differences or {}
    found = {
        pair: _compare(arrays[pair[0]], arrays[pair[1]], seed, known.get(pair)) for pair in combinations(arrays, 2)
    }
    t, wilcoxon = (holm([getattr(pair, test) for pair in found.values()]) for test in ("p_t", "p_wilcoxon"))
    return {
        names: replace(pair, p_t_holm=float(p_t), p_wilcoxon_holm=float(p_wilcoxon))
        for (names, pair), p_t, p_wilcoxon in zip(found.items(), t, wilcoxon, strict=True)
    }


def holm(p_values: ArrayLike) -> Array:
    """Correct P values of m tests: of the sorted ones, max over j <= i of min(1, (m - j + 1) p_j).

    Args:
        p_values: shape (m,), in [0, 1]. A NaN stays NaN and does not count.

    Returns:
        Corrected values, float64, shape (m,).

    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(p.shape, math.nan)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(order.size, 0, -1)))
    return corrected


def _compare(a: Array, b: Array, seed: int, known: Interval | None) -> PairedComparison:
    from scipy import special

    if a.shape != b.shape:
        raise ValueError(f"Expected scores of the same clips, got shapes {a.shape} and {b.shape}.")
    differences = a - b
    found = PairedComparison(known or bootstrap_means([differences], seed=seed)[0])
    n = differences.size
    if n < 2:
        return found
    spread = differences.std(ddof=1)
    # Equal differences leave a rounding error for a spread, and t would be its reciprocal.
    if spread > ROUNDING * max(np.abs(a).max(), np.abs(b).max()):
        t = float(differences.mean() / (spread / math.sqrt(n)))
        found = replace(found, t=t, p_t=float(2 * special.stdtr(n - 1, -abs(t))))
    if differences.any():
        statistic, p = _signed_ranks(differences)
        found = replace(found, wilcoxon=statistic, p_wilcoxon=p)
    return found


def _signed_ranks(differences: Array) -> tuple[float, float]:
    """Compute the signed-rank test: SciPy's, and of many differences its normal approximation with one sort.

    Importing ``scipy.stats`` takes longer than the test itself, and its ranks several times the memory.
    """
    if differences.size <= LARGE:
        from scipy import stats

        found = stats.wilcoxon(differences)
        return float(found.statistic), float(found.pvalue)
    apart = differences[differences != 0]
    order = np.abs(apart).argsort()
    sizes = np.abs(apart)[order]
    starts = np.flatnonzero(np.diff(sizes, prepend=-1.0))  # of runs of equal ones, which share their mean rank
    ties = np.diff(starts, append=sizes.size).astype(np.float64)
    ranks = starts + (ties + 1) / 2
    n = float(sizes.size)
    above = float(np.add.reduceat((apart > 0)[order], starts, dtype=np.float64) @ ranks)
    variance = (n * (n + 1) * (2 * n + 1) - ((ties**3 - ties).sum()) / 2) / 24
    z = (above - n * (n + 1) / 4) / math.sqrt(variance)
    return min(above, n * (n + 1) / 2 - above), math.erfc(abs(z) / math.sqrt(2))
