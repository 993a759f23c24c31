"""Clips that look and sound alike, by the cosines of their embeddings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchmetrics_majorscore.statistics.bootstrap import Index
from torchmetrics_majorscore.statistics.duplicate_index import DuplicateIndex, Recall

ROWS_PER_BLOCK = 512
LARGE_PRODUCTS = 50_000**2
"""Pairs of clips up to which all are compared: minutes on two cores."""


@dataclass(frozen=True)
class Duplicates:
    """Pairs of rows that are alike.

    Args:
        rows, others: row of each of P pairs in the one array and in the other, int64 (P,).
        cosines: modality to the cosines of the pairs, float32 (P,).
        recall: how an index was used, which may miss pairs; None if all were compared.
    """

    rows: Index
    others: Index
    cosines: dict[str, NDArray[np.float32]]
    recall: Recall | None = None


def near_duplicates(
    one: Mapping[str, ArrayLike],
    other: Mapping[str, ArrayLike] | None = None,
    *,
    threshold: float,
    exact: bool | None = None,
) -> Duplicates:
    """Find pairs whose cosine is at least the threshold in every modality.

    Args:
        one: modality to vectors of any length, each (N, D). A row with a NaN in one modality is in no pair.
        other: the same modalities, each (M, D); None to compare the N rows with each other.
        threshold: in (-1, 1].
        exact: whether all N * M products are made; if not, see :mod:`.duplicate_index`. None for yes up to
            :data:`LARGE_PRODUCTS`.

    Returns:
        The pairs, those with the highest least cosine first. Of one array each pair is there once, with the earlier
        row in ``rows``.

    Raises:
        ValueError: the threshold is out of range.
        ModuleNotFoundError: there are more, and faiss is missing.

    Example:
        >>> found = near_duplicates({"audio": [[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]}, threshold=0.9)
        >>> found.rows.tolist(), found.others.tolist()
        ([0], [2])
    """
    if not -1 < threshold <= 1:
        raise ValueError(f"Expected a threshold in (-1, 1], got {threshold}.")
    left = {name: _normalised(vectors) for name, vectors in one.items()}
    right = left if other is None else {name: _normalised(other[name]) for name in one}
    sizes = [len(next(iter(side.values()))) for side in (left, right)]
    if exact or (exact is None and sizes[0] * sizes[1] <= LARGE_PRODUCTS):
        index = None
        found = list(_alike(left, right, threshold))
    else:
        index = DuplicateIndex(right)
        found = list(index.alike(left, threshold))
    rows, others = (np.concatenate([np.empty(0, np.int64), *part]) for part in zip(*found, strict=True))
    recall = None if index is None else index.recall(left, threshold, rows, others)
    if other is None:
        rows, others = rows[rows < others], others[rows < others]
    cosines = {name: np.einsum("pd,pd->p", left[name][rows], right[name][others]) for name in left}
    order = (-np.min([*cosines.values()], axis=0)).argsort(kind="stable")
    return Duplicates(rows[order], others[order], {name: x[order] for name, x in cosines.items()}, recall)


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
