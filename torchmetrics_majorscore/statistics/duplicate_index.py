"""Near-duplicates of very many clips by an index, without the N * M products, and how many of them it finds.

The cosine of two clips' joined vectors is the mean of the cosines of their modalities, so a pair that reaches the
threshold in each reaches it there. The joined vectors are sorted into cells about centres (k-means), and each clip is
compared with those in the cells whose centres are nearest to it: a near-duplicate in another cell is missed. Source:
Jégou, Douze and Schmid, "Product Quantization for Nearest Neighbor Search", 2011, whose inverted file this is, without
the quantisation; by faiss. What is found is compared again, exactly.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.statistics.bootstrap import Index

Vectors = NDArray[np.float32]

PROBED = 16
"""Cells that each clip is compared with."""
CHECKED = 1000
"""Clips whose near-duplicates are also found by all products."""
_LEARNED = 40  # clips for each cell that centres are learned from
_BLOCK = 4096  # rows at a time
_SLACK = 0.005  # of a cosine: vectors are kept in half precision, which moves it by less


@dataclass(frozen=True)
class Recall:
    """How an index was used, and what it found.

    Args:
        cells, probed: how many cells there are, and in how many each clip was looked for.
        clips: clips, drawn at random, that were also compared with all others.
        pairs, found: near-duplicates that these have, and how many of them the index found.
    """

    cells: int
    probed: int
    clips: int
    pairs: int
    found: int


class DuplicateIndex:
    """An index of the clips of one set.

    Args:
        right: modality to vectors of length 1, float32 (M, D), a row with a NaN for none.

    Raises:
        ModuleNotFoundError: faiss is missing.
    """

    def __init__(self, right: Mapping[str, Vectors], probed: int = PROBED) -> None:
        needs_extra("faiss", "scale")
        import faiss

        self._right = right
        self._rows = _whole(right)
        width = sum(vectors.shape[1] for vectors in right.values())
        self.cells = max(1, int(4 * math.sqrt(len(self._rows))))
        self.probed = min(probed, self.cells)
        # In half precision they take as much memory as one modality in single precision.
        kind = faiss.ScalarQuantizer.QT_fp16
        centres = faiss.IndexFlatIP(width)
        self._index = faiss.IndexIVFScalarQuantizer(centres, width, self.cells, kind, faiss.METRIC_INNER_PRODUCT)
        self._index.nprobe = self.probed
        self._index.cp.seed, self._index.cp.spherical, self._index.cp.niter = 0, True, 4
        count = min(len(self._rows), _LEARNED * self.cells)
        learned = np.random.default_rng(0).choice(self._rows, count, replace=False)
        self._index.cp.min_points_per_centroid = 1
        self._index.cp.max_points_per_centroid = _LEARNED
        self._index.train(_joined(right, np.sort(learned)))
        for rows in _blocks(self._rows):
            self._index.add(_joined(right, rows))

    def alike(self, left: Mapping[str, Vectors], threshold: float) -> Iterator[tuple[Index, Index]]:
        """Give pairs of rows whose cosine is at least the threshold in every modality, block by block."""
        for rows in _blocks(_whole(left)):
            limits, _, found = self._index.range_search(_joined(left, rows), threshold - _SLACK)
            row, column = np.repeat(rows, np.asarray(limits[1:] - limits[:-1], np.int64)), self._rows[found]
            alike = np.ones(len(row), bool)
            for name, vectors in left.items():
                for few in range(0, len(row), _BLOCK):  # the vectors of all pairs may not fit
                    part = slice(few, few + _BLOCK)
                    cosines = np.einsum("pd,pd->p", vectors[row[part]], self._right[name][column[part]])
                    alike[part] &= cosines >= threshold
            yield row[alike], column[alike]

    def recall(self, left: Mapping[str, Vectors], threshold: float, rows: Index, others: Index) -> Recall:
        """Compare what was found with all products of some clips.

        Args:
            left: what was looked for.
            threshold: see :meth:`alike`.
            rows: of all pairs that were found, those of a row with itself included.
            others: the other row of each.
        """
        whole = _whole(left)
        drawn = np.sort(np.random.default_rng(1).choice(whole, min(CHECKED, len(whole)), replace=False))
        mine = self._right is left
        size = len(next(iter(self._right.values())))
        known = np.unique(rows * size + others)
        pairs = found = 0
        for few in range(0, len(drawn), 64):
            own = drawn[few : few + 64]
            alike = np.logical_and.reduce([left[name][own] @ self._right[name].T >= threshold for name in left])
            row, column = alike.nonzero()
            places = own[row] * size + column
            places = places[own[row] != column] if mine else places
            pairs, found = pairs + places.size, found + int(np.isin(places, known).sum())
        return Recall(self.cells, self.probed, len(drawn), pairs, found)


def _whole(sides: Mapping[str, Vectors]) -> Index:
    """Give the rows that have a value in every modality."""
    return np.flatnonzero(~np.logical_or.reduce([np.isnan(vectors[:, 0]) for vectors in sides.values()]))


def _joined(sides: Mapping[str, Vectors], rows: Index) -> Vectors:
    joined: Vectors = np.concatenate([vectors[rows] for vectors in sides.values()], axis=1)
    joined /= np.float32(math.sqrt(len(sides)))
    return joined


def _blocks(rows: Index) -> Iterator[Index]:
    for start in range(0, len(rows), _BLOCK):
        yield rows[start : start + _BLOCK]
