"""Ranks of the candidates that were generated for one prompt (MAJORScore, III-D): best of N."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from torchmetrics_majorscore.statistics.bootstrap import Array, Index


def rank_within(scores: ArrayLike, groups: Sequence[str] | Index, lower: bool = False) -> Array:
    """Rank scores within their groups, the best as 1; equal ones in the order given.

    Args:
        scores: shape (N,). NaN for none.
        groups: name of the group of each, N of them, or its number, counted from 0.
        lower: whether low scores are better.

    Returns:
        Ranks, float64 (N,), NaN without a score.

    Example:
        >>> rank_within([0.5, 0.9, 0.7, 0.9], ["a", "a", "b", "a"]).tolist()
        [3.0, 1.0, 1.0, 2.0]
    """
    values = np.asarray(scores, dtype=np.float64)
    members = number_groups(groups)
    order = np.lexsort((values if lower else -values, members))  # stable, NaN last
    sizes = np.bincount(members)
    starts = np.cumsum(sizes) - sizes
    ranks = np.empty(values.size)
    ranks[order] = np.arange(1, values.size + 1) - starts[members[order]]
    ranks[np.isnan(values)] = math.nan
    return ranks


def number_groups(groups: Sequence[str] | Index) -> Index:
    """Give the number of each one's group, in the order of their names; numbers stay as they are."""
    if isinstance(groups, np.ndarray) and groups.dtype.kind == "i":
        return groups
    return np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)[1]
