"""Recalls with intervals by query, in the layout of the quad-modal paper.

An array of recalls is float64 (S, Q, K): S training seeds (or one), Q queries, K numbers of places; NaN where nothing
of the gallery is relevant. A query's recall is the mean over the seeds, and queries are resampled: those of one
modality together for all galleries, and alike for every model, so that differences are paired.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchmetrics_majorscore.statistics.bootstrap import Interval

Array = NDArray[np.float64]
Direction = tuple[str, str]
"""Modality of the queries, and of the gallery or ``"any"``."""
MEAN: Direction = ("mean", "")
KS = (1, 5, 10)


@dataclass(frozen=True)
class Recall:
    """Recalls of one direction.

    Args:
        at: places to recall with its interval.
        by_seed: places to the recall of each training seed.
        without: queries of which nothing is relevant.
    """

    at: dict[int, Interval]
    by_seed: dict[int, list[float]]
    without: int


def recalls(
    values: Mapping[Direction, Array], ks: tuple[int, ...] = KS, *, seed: int = 0, resamples: int = 1000
) -> dict[Direction, Recall]:
    """Average recalls over queries, with percentile bootstrap intervals; and their mean over directions.

    Args:
        values: direction to recalls (S, Q, K); the queries of one modality are the same for all galleries.
        ks: the K numbers of places.
        seed: of the resampling.
        resamples: how often queries are drawn.

    Returns:
        Direction to recalls, and :data:`MEAN` to the mean of all, as in the last row of the paper's tables.

    Raises:
        ValueError: arrays of other shapes.

    Example:
        >>> hits = np.array([[[0.0, 1.0], [1.0, 1.0]]])
        >>> found = recalls({("text", "audio"): hits}, (1, 5))
        >>> found["text", "audio"].at[1].value, found[MEAN].by_seed[5]
        (0.5, [1.0])
    """
    _check(values, ks)
    drawn = {direction: _resampled(own, seed, resamples) for direction, own in values.items()}
    seeds = {direction: _known_mean(own, axis=1) for direction, own in values.items()}
    found = {}
    for direction in [*values, MEAN]:
        parts = list(values) if direction == MEAN else [direction]
        own = np.mean([drawn[part] for part in parts], axis=0)
        each = np.mean([seeds[part] for part in parts], axis=0)
        value = np.mean([_known_mean(_queries(values[part]), axis=0) for part in parts], axis=0)
        lost = sum(int(np.isnan(values[part]).any(axis=(0, 2)).sum()) for part in parts)
        count = sum(values[part].shape[1] for part in parts)
        at = {
            k: Interval(float(value[n]), *_ends(own[:, n]), count - lost, lost, seed, resamples, 0.95)
            for n, k in enumerate(ks)
        }
        found[direction] = Recall(at, {k: each[:, n].tolist() for n, k in enumerate(ks)}, lost)
    return found


def recall_difference(
    one: Mapping[Direction, Array],
    other: Mapping[Direction, Array],
    ks: tuple[int, ...] = KS,
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> Recall:
    """Compare two models by their mean recall over the directions that both have, on the same queries.

    Args:
        one: see :func:`recalls`.
        other: the same of another model, with as many seeds.
        ks: the K numbers of places.
        seed: of the resampling.
        resamples: how often queries are drawn.

    Returns:
        The mean recall of ``one`` less that of ``other``.

    Raises:
        ValueError: they have no direction in common, or arrays of other shapes.
    """
    common = [direction for direction in one if direction in other]
    if not common or any(one[direction].shape != other[direction].shape for direction in common):
        raise ValueError("Expected recalls of the same queries and as many seeds, in a common direction, got others.")
    return recalls(
        {direction: one[direction] - other[direction] for direction in common}, ks, seed=seed, resamples=resamples
    )[MEAN]


def _check(values: Mapping[Direction, Array], ks: tuple[int, ...]) -> None:
    shapes = {own.shape for own in values.values()}
    if not values or any(len(shape) != 3 or shape[2] != len(ks) for shape in shapes):
        raise ValueError(f"Expected recalls (S, Q, {len(ks)}) of at least one direction, got {sorted(shapes)}.")
    if len({shape[0] for shape in shapes}) > 1:
        raise ValueError(f"Expected as many seeds in every direction, got {sorted(shapes)}.")


def _queries(values: Array) -> Array:
    mean: Array = values.mean(axis=0)
    return mean


def _known_mean(values: Array, axis: int) -> Array:
    """Average over queries that have a value; NaN where none has."""
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    mean: Array = np.divide(total, count, out=np.full(total.shape, math.nan), where=count > 0)
    return mean


def _resampled(values: Array, seed: int, resamples: int) -> Array:
    """Draw queries, the same places for equal numbers of them, and average: (resamples, K)."""
    rows = _queries(values)
    if len(rows) < 2:
        return np.full((resamples, rows.shape[1]), math.nan)
    generator = np.random.default_rng(seed)
    return np.stack([_known_mean(rows[generator.integers(len(rows), size=len(rows))], 0) for _ in range(resamples)])


def _ends(drawn: Array) -> tuple[float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return low, high
