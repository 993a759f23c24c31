"""Limits by which a dataset is refined (MAJORScore, III-D): a threshold, or the worst share of all or of each class."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from torchmetrics_majorscore.statistics.bootstrap import Array, Index
from torchmetrics_majorscore.statistics.ranking import number_groups


def find_limits(
    scores: ArrayLike,
    *,
    threshold: float | None = None,
    quantile: float | None = None,
    groups: Sequence[str] | Index | None = None,
    lower: bool = False,
) -> Array:
    """Give the limit that applies to each score; one that is equal to its limit is to be kept.

    Args:
        scores: shape (N,), without NaN.
        threshold: the limit; or
        quantile: share to reject, the worst ones, in (0, 1). Interpolated linearly, so a tie at the limit keeps all of
            its clips.
        groups: with a quantile, class of each score, or its number: the worst share of each class.
        lower: whether low scores are better, so that the limit is an upper one.

    Returns:
        Limits, float64 (N,).

    Raises:
        ValueError: both or neither of threshold and quantile, groups without a quantile, or one out of range.

    Example:
        >>> find_limits([0.1, 0.2, 0.3], quantile=0.5).tolist()
        [0.2, 0.2, 0.2]
    """
    if (threshold is None) == (quantile is None) or (groups is not None and quantile is None):
        raise ValueError("Expected a threshold or a quantile, classes only with a quantile, got another choice.")
    if not (math.isfinite(threshold or 0) if quantile is None else 0 < quantile < 1):
        raise ValueError(f"Expected a finite threshold, or 0 < quantile < 1, got {threshold} and {quantile}.")
    values = np.asarray(scores, dtype=np.float64)
    if quantile is None or not values.size:
        return np.full(values.shape, threshold, dtype=np.float64)
    share = 1 - quantile if lower else quantile
    members = np.zeros(values.size, np.int64)
    if groups is not None:
        members = number_groups(groups)
    order = members.argsort(kind="stable")
    parts = np.split(values[order], np.cumsum(np.bincount(members))[:-1])
    return np.array([np.quantile(part, share) if part.size else math.nan for part in parts])[members]
