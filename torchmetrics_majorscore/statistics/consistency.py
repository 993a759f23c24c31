"""Consistency protocol (MAJORScore, III): mispaired captions, and how well a score tells them from consistent ones.

Higher scores are better. Arrays are (N,) of any real dtype with one clip per row; a row with a NaN is left out.
Intervals come from rows resampled with a seed that stands beside them.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from torchmetrics_majorscore.statistics.bootstrap import (
    LARGE,
    ROUNDING,
    Array,
    Index,
    Interval,
    bootstrap,
    complete_rows,
)
from torchmetrics_majorscore.statistics.separation import paired, separate

T = TypeVar("T")
TRIES = 100
"""Draws for each row until a swap counts as impossible."""


def derange(classes: Sequence[str], seed: int, others: Sequence[Collection[str]] | None = None) -> list[int]:
    """Give every row a partner of another class, each row once: the captions of the mispaired set.

    A random permutation whose same-class rows then swap partners with random rows. If no class fills more than half
    of the rows, some swap always mends a row and breaks none.

    Args:
        classes: class of each of N rows, for example its VGGSound label.
        seed: seed of ``random.Random``; equal seeds give equal partners.
        others: of each row, more classes that are true of it: its partner is of none of them either.

    Returns:
        Index of each row's partner, N of them: a permutation.

    Raises:
        ValueError: a class has more than half of the rows, or so much is true of a row that no partner was found.

    Example:
        >>> derange(["dog", "cat", "dog", "cat"], seed=0)
        [3, 0, 1, 2]
    """
    n = len(classes)
    for name, count in Counter(classes).most_common(1):
        if 2 * count > n:
            raise ValueError(f"Expected no class with more than half of the {n} rows, got {name!r} with {count}.")
    true = [{own, *more} for own, more in zip(classes, others or [()] * n, strict=True)]

    def fits(row: int, partner: int) -> bool:
        return classes[partner] not in true[row]

    generator = random.Random(seed)
    partners = generator.sample(range(n), n)
    for row in generator.sample(range(n), n):
        tries = 0
        while not fits(row, partners[row]):
            other, tries = generator.randrange(n), tries + 1
            if fits(row, partners[other]) and fits(other, partners[row]):
                partners[row], partners[other] = partners[other], partners[row]
            elif tries > TRIES * n and not _rotate(partners, row, fits):
                raise ValueError(f"Expected rows of other classes than {', '.join(sorted(true[row]))}, got too few.")
    return partners


def _rotate(partners: list[int], row: int, fits: Callable[[int, int], bool]) -> bool:
    """Pass partners on along a chain of rows that begins at a misfit; False if no chain helps.

    Source: Berge, 1957: a matching without an augmenting path is a largest one. The chain ends at a row that fits the
    partner of the misfit, or is a misfit itself.
    """
    before = {row: row}
    reached = [row]
    for one in reached:
        for other in range(len(partners)):
            if other in before or not fits(one, partners[other]):
                continue
            before[other] = one
            reached.append(other)
            if fits(other, partners[row]) or not fits(other, partners[other]):
                given = partners[row]
                while other != row:
                    partners[other], given, other = given, partners[other], before[other]
                partners[row] = given
                return True
    return False


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
    return compare_scores({"": (consistent, mispaired)}, seed)[""]


def compare_scores(scores: Mapping[T, tuple[ArrayLike, ArrayLike]], seed: int = 0) -> dict[T, dict[str, Interval]]:
    """Compute how well each of several scores of the same clips tells consistent from mispaired captions.

    Args:
        scores: name to what :func:`compare` takes.
        seed: see :func:`bootstrap`. Of more than LARGE clips, rows have weights, see :mod:`.separation`.

    Returns:
        Name to what :func:`compare` gives.

    Raises:
        ValueError: see :func:`compare`.
    """
    pairs = [paired(*pair) for pair in scores.values()]
    if pairs and min(high.size for high, _ in pairs) > LARGE:
        return dict(zip(scores, separate(pairs, seed), strict=True))
    faster = {auroc: _auroc_of_drawn}
    return {
        name: {
            measure.__name__: bootstrap(measure, *pair, seed=seed, of_drawn=faster.get(measure))
            for measure in (auroc, win_rate, d_prime)
        }
        for name, pair in zip(scores, pairs, strict=True)
    }


def _auroc_of_drawn(rows: Array) -> Callable[[Index], float]:
    """Make a function that computes the AUROC of drawn rows: it counts how often each was drawn and sorts only once."""
    order = rows[1].argsort()
    below, not_above = (rows[1, order].searchsorted(rows[0], side=side) for side in ("left", "right"))

    def of_drawn(drawn: Index) -> float:
        times = np.bincount(drawn, minlength=rows.shape[1])
        negatives = np.append(0, times[order].cumsum())
        return float((negatives[below] + negatives[not_above]) @ times / (2 * drawn.size**2))

    return of_drawn
