"""Balance of two similarities (MAJORScore, Table II): how differently video-text and text-audio are distributed.

``x`` and ``y`` are two similarities of the same N samples. Standard deviations have the divisor N - 1, skewness is the
biased Fisher-Pearson g1. A statistic that the samples do not determine is NaN.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.statistics.bootstrap import ROUNDING, Array, complete_rows


@dataclass(frozen=True)
class Balance:
    """Balance statistics, named as in Table II, and what the paper leaves out. Nearer to 0 is better balanced.

    Differences and t are absolute, as in the paper; the direction is that of the means. P values are two-sided.

    Args:
        n: complete samples.
        dropped: samples left out since a similarity is NaN.
        mean_x, mean_y, sd_x, sd_y: means and standard deviations.
        mean_difference: abs(mean_x - mean_y).
        cohens_d: mean_difference / sqrt((sd_x^2 + sd_y^2) / 2).
        t: cohens_d * sqrt(N / 2), of two independent samples; Student's and Welch's are equal at equal N.
        std_difference: abs(sd_x - sd_y).
        skewness: abs(g1(x) - g1(y)).
        skewness_pooled, skewness_paired: g1 of the 2 N values of x and y together, and g1 of x - y.
        df_student, p_student, df_welch, p_welch: degrees of freedom and p of t, with one variance and with two.
        t_paired, p_paired: t of x - y with N - 1 degrees of freedom and its p, for x and y are not independent.
        pearson, spearman: correlation of x and y, and of their ranks.
    """

    n: int
    dropped: int = 0
    mean_x: float = math.nan
    mean_y: float = math.nan
    sd_x: float = math.nan
    sd_y: float = math.nan
    mean_difference: float = math.nan
    cohens_d: float = math.nan
    t: float = math.nan
    std_difference: float = math.nan
    skewness: float = math.nan
    skewness_pooled: float = math.nan
    skewness_paired: float = math.nan
    df_student: float = math.nan
    df_welch: float = math.nan
    p_student: float = math.nan
    p_welch: float = math.nan
    t_paired: float = math.nan
    p_paired: float = math.nan
    pearson: float = math.nan
    spearman: float = math.nan


def balance(x: ArrayLike, y: ArrayLike) -> Balance:
    """Compute the balance of two similarities.

    Source: Du et al., "MAJORScore", Table II, with the formulas at :class:`Balance` that fit its four columns. It does
    not say whose skewness; the other two readings are given beside it.

    Args:
        x: similarities, shape (N,), any real dtype, in [-1, 1]; for example video-text. A NaN drops the sample.
        y: similarities of the same samples, shape (N,); for example text-audio.

    Returns:
        The statistics. With N < 2 all but the counts are NaN; without variance those that divide by it.

    Raises:
        ValueError: the shapes differ or are not (N,), or a similarity is infinite.
        ModuleNotFoundError: SciPy is missing.

    Example:
        >>> found = balance([0.3, 0.2, 0.4, 0.1], [0.7, 0.4, 0.9, 0.6])
        >>> round(found.mean_difference, 4), round(found.cohens_d, 4), round(found.spearman, 4)
        (0.4, 2.3094, 0.8)
    """
    stream = StreamingBalance()
    stream.update(x, y)
    found = stream.result()
    if not (found.sd_x > 0 and found.sd_y > 0):
        return found
    from scipy import stats

    return replace(found, spearman=float(stats.spearmanr(*complete_rows(x, y)).statistic))


def from_moments(mean_difference: float, sd_x: float, sd_y: float, n: int) -> Balance:
    """Compute what means and standard deviations determine, for example from published ones.

    Args:
        mean_difference: mean x - mean y; its sign is not used.
        sd_x: standard deviation of x, divisor N - 1.
        sd_y: standard deviation of y.
        n: samples N; x and y have N each.

    Returns:
        Differences, Cohen's d, t with its degrees of freedom and p; the rest NaN. With N < 2 all but n is NaN.

    Raises:
        ValueError: a standard deviation or n is negative.
        ModuleNotFoundError: SciPy is missing.

    Example:
        >>> found = from_moments(0.0933, 0.2259, 0.1684, 199_200)
        >>> round(found.cohens_d, 3), round(found.t), round(found.std_difference, 4)
        (0.468, 148, 0.0575)
    """
    if sd_x < 0 or sd_y < 0 or n < 0:
        raise ValueError(f"Expected standard deviations and n >= 0, got {sd_x}, {sd_y} and {n}.")
    if n < 2:
        return Balance(n)
    total = sd_x**2 + sd_y**2
    d = _divide(abs(mean_difference), math.sqrt(total / 2))
    t = d * math.sqrt(n / 2)
    welch = (n - 1) * _divide(total**2, sd_x**4 + sd_y**4)
    return Balance(
        n,
        sd_x=sd_x,
        sd_y=sd_y,
        mean_difference=abs(mean_difference),
        cohens_d=d,
        t=t,
        std_difference=abs(sd_x - sd_y),
        df_student=2 * n - 2,
        df_welch=welch,
        p_student=_p_value(t, 2 * n - 2),
        p_welch=_p_value(t, welch),
    )


class StreamingBalance:
    """The balance of samples that come in batches or from several processes, without keeping them.

    Source: Pébay, "Formulas for Robust, One-Pass Parallel Computation of Covariances and Arbitrary-Order Statistical
    Moments", SAND2008-6212. In float64, counted from the first sample, so that a common offset costs no digits.

    Example:
        >>> stream, other = StreamingBalance(), StreamingBalance()
        >>> stream.update([0.3, 0.2], [0.7, 0.4])
        >>> other.update([0.4, 0.1], [0.9, 0.6])
        >>> stream.merge(other)
        >>> round(stream.result().cohens_d, 4)
        2.3094
    """

    def __init__(self) -> None:
        self.n = 0
        self.dropped = 0
        self._origin = np.zeros(2)
        # Of x, y and x - y, less the origin: means, and sums of squares and cubes about them.
        self._mean = self._squares = self._cubes = np.zeros(3)
        self._products = 0.0

    def update(self, x: ArrayLike, y: ArrayLike) -> None:
        """Add samples; see :func:`balance` for Args and Raises."""
        rows = complete_rows(x, y)
        batch = StreamingBalance()
        batch.n = rows.shape[1]
        batch.dropped = np.asarray(x).size - batch.n
        if batch.n:
            batch._origin = rows[:, 0]
            values = _with_difference(rows - rows[:, :1])
            batch._mean = values.mean(axis=1)
            apart = values - batch._mean[:, None]
            batch._squares = (apart * apart).sum(axis=1)
            batch._cubes = (apart * apart * apart).sum(axis=1)
            batch._products = float(apart[0] @ apart[1])
        self.merge(batch)

    def merge(self, other: "StreamingBalance") -> None:
        """Add the samples of another one, which stays as it is."""
        self.dropped += other.dropped
        if other.n == 0:
            return
        if self.n == 0:
            self._origin = other._origin.copy()
        n = self.n + other.n
        delta = other._mean + _with_difference(other._origin - self._origin) - self._mean
        self._products += other._products + float(delta[0] * delta[1]) * self.n * other.n / n
        powers = (self._squares, other._squares, self._cubes, other._cubes)
        self._squares, self._cubes = _merged(self.n, other.n, delta, *powers)
        self._mean = self._mean + delta * (other.n / n)
        self.n = n

    def result(self) -> Balance:
        """Give the statistics of all samples so far, as :func:`balance` does; Spearman, which needs ranks, is NaN."""
        if self.n < 2:
            return Balance(self.n, self.dropped)
        mean = self._origin + self._mean[:2]
        difference = float(self._origin[0] - self._origin[1] + self._mean[2])
        squares = self._squares_above_rounding(mean)
        sd_x, sd_y, sd_paired = (math.sqrt(value / (self.n - 1)) for value in squares)
        found = from_moments(difference, sd_x, sd_y, self.n)
        g1_x, g1_y, g1_paired = (_skewness(self.n, *sums) for sums in zip(squares, self._cubes, strict=True))
        pooled = _merged(self.n, self.n, -difference, *squares[:2], *self._cubes[:2])
        t_paired = _divide(abs(difference), sd_paired / math.sqrt(self.n))
        return replace(
            found,
            dropped=self.dropped,
            mean_x=float(mean[0]),
            mean_y=float(mean[1]),
            skewness=abs(g1_x - g1_y),
            skewness_pooled=_skewness(2 * self.n, *pooled),
            skewness_paired=g1_paired,
            t_paired=t_paired,
            p_paired=_p_value(t_paired, self.n - 1),
            # Rounding may carry a perfect correlation past 1.
            pearson=float(np.clip(_divide(self._products, math.sqrt(squares[0] * squares[1])), -1, 1)),
        )

    def _squares_above_rounding(self, mean: Array) -> Array:
        """Give the sums of squares, and 0 for what is but rounding: of a constant x, or of y = x + constant."""
        size = np.hypot(mean, np.sqrt(self._squares[:2] / self.n))
        noise = self.n * (ROUNDING * np.append(size, size.max())) ** 2
        return np.where(self._squares <= noise, 0.0, self._squares)


def _with_difference(rows: Array) -> Array:
    return np.stack([rows[0], rows[1], rows[0] - rows[1]])


def _merged(n: int, m: int, delta: Any, m2: Any, other_m2: Any, m3: Any, other_m3: Any) -> tuple[Any, Any]:
    """Merge the sums of squares and cubes of n and m values; the second mean less the first is ``delta``."""
    total = n + m
    cubes = delta**3 * (n * m * (n - m) / total**2) + 3 * delta * (n * other_m2 - m * m2) / total
    return m2 + other_m2 + delta**2 * (n * m / total), m3 + other_m3 + cubes


def _skewness(n: int, squares: float, cubes: float) -> float:
    return _divide(math.sqrt(n) * cubes, squares * math.sqrt(squares))


def _divide(one: float, other: float) -> float:
    """Divide by a spread: without one there is no value."""
    return float(one / other) if other > 0 else math.nan


def _p_value(t: float, df: float) -> float:
    needs_extra("scipy", "evaluation")
    from scipy import stats

    return float(2 * stats.t.sf(t, df))
