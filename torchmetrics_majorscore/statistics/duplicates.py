"""Clips that look and sound alike, by the cosines of their embeddings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchmetrics_majorscore.statistics.bootstrap import Index

ROWS_PER_BLOCK = 512


@dataclass(frozen=True)
class Duplicates:
    """Pairs of rows that are alike.

    Args:
        rows, others: row of each of P pairs in the one array and in the other, int64 (P,).
        cosines: modality to the cosines of the pairs, float32 (P,).
    """

    rows: Index
    others: Index
    cosines: dict[str, NDArray[np.float32]]


def near_duplicates(
    one: Mapping[str, ArrayLike], other: Mapping[str, ArrayLike] | None = None, *, threshold: float
) -> Duplicates:
    """Find pairs whose cosine is at least the threshold in every modality: N * M products of D numbers.

    Args:
        one: modality to vectors of any length, each (N, D). A row with a NaN in one modality is in no pair.
        other: the same modalities, each (M, D); None to compare the N rows with each other.
        threshold: in (-1, 1].

    Returns:
        The pairs, those with the highest least cosine first. Of one array each pair is there once, with the earlier
        row in ``rows``.

    Raises:
        ValueError: the threshold is out of range.

    Example:
        >>> found = near_duplicates({"audio": [[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]}, threshold=0.9)
        >>> found.rows.tolist(), found.others.tolist()
        ([0], [2])
    """
    if not -1 < threshold <= 1:
        raise ValueError(f"Expected a threshold in (-1, 1], got {threshold}.")
    left = {name: _normalised(vectors) for name, vectors in one.items()}
    right = left if other is None else {name: _normalised(other[name]) for name in one}
    found = list(_alike(left, right, threshold))
    rows, others = (np.concatenate([np.empty(0, np.int64), *part]) for part in zip(*found, strict=True))
    if other is None:
        rows, others = rows[rows < others], others[rows < others]
    cosines = {name: np.einsum("pd,pd->p", left[name][rows], right[name][others]) for name in left}
    order = (-np.min([*cosines.values()], axis=0)).argsort(kind="stable")
    return Duplicates(rows[order], others[order], {name: values[order] for name, values in cosines.items()})


def _normalised(vectors: ArrayLike) -> NDArray[np.float32]:
    array = np.asarray(vectors, dtype=np.float32)
    length = np.linalg.norm(array, axis=-1, keepdims=True).clip(np.finfo(np.float32).tiny)
    unit: NDArray[np.float32] = array / length
    return unit


def _alike(
    one: Mapping[str, NDArray[np.float32]], other: Mapping[str, NDArray[np.float32]], threshold: float
) -> Iterator[tuple[Index, Index]]:
    """Give the pairs block by block: all products at once would not fit."""
    for start in range(0, max(1, len(next(iter(one.values())))), ROWS_PER_BLOCK):
        block = slice(start, start + ROWS_PER_BLOCK)
        # A NaN is not above the threshold.
        alike = np.logical_and.reduce([one[name][block] @ other[name].T >= threshold for name in one])
        row, column = alike.nonzero()
        yield row + start, column
