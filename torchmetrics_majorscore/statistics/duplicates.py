"""Clips that are in two places: near-duplicates by their embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import normalize

from torchmetrics_majorscore.extras import needs_extra

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings

ROWS_PER_BLOCK = 512


def near_duplicates(
    one: ClipEmbeddings,
    other: ClipEmbeddings | None = None,
    *,
    threshold: float,
    names: Sequence[str] = ("video", "audio"),
) -> pd.DataFrame:
    """Find pairs of clips that look and sound alike, for example one upload under two ids.

    All pairs are compared, N * M products of D numbers.

    Args:
        one: embeddings of N clips.
        other: embeddings of M further clips; None to compare the N clips with each other.
        threshold: a pair is found if the cosine of every modality is at least this. What cosine unrelated clips have
            depends on the encoder, so there is no default.
        names: the modalities to compare, names of ``one.vectors``. Clips without a value in one are in no pair.

    Returns:
        A DataFrame with ``id``, ``other``, a column of cosines for each modality and ``least``, the smallest of them;
        highest ``least`` first. Within one file each pair is there once, the earlier clip in ``id``: a set without
        the clips in ``other`` has no near-duplicates.

    Raises:
        ValueError: the files have different signatures or lack a modality, or the threshold is not in (-1, 1].
        ModuleNotFoundError: pandas is missing.
    """
    needs_extra("pandas", "evaluation")
    import pandas as pd

    second = one if other is None else other
    if one.signature != second.signature:
        raise ValueError(f"Expected embeddings of one signature, got {one.signature} and {second.signature}.")
    if not names or not set(names) <= one.vectors.keys() & second.vectors.keys():
        raise ValueError(f"Expected modalities out of {', '.join(one.vectors)}, got {', '.join(names) or 'none'}.")
    if not -1 < threshold <= 1:
        raise ValueError(f"Expected a threshold in (-1, 1], got {threshold}.")
    rows, columns = ({name: normalize(side.vectors[name], dim=-1) for name in names} for side in (one, second))
    found = [
        (one.ids[row], second.ids[column], *cosines, min(cosines))
        for row, column, cosines in _pairs(rows, columns, threshold, within=other is None)
    ]
    frame = pd.DataFrame(found, columns=["id", "other", *names, "least"])
    return frame.sort_values("least", ascending=False, kind="stable").set_index("id")


def _pairs(
    one: Mapping[str, Tensor], other: Mapping[str, Tensor], threshold: float, within: bool
) -> Iterator[tuple[int, int, list[float]]]:
    """Give row, column and cosines of the pairs; within one file only those above the diagonal."""
    for start in range(0, len(next(iter(one.values()))), ROWS_PER_BLOCK):
        block = slice(start, start + ROWS_PER_BLOCK)
        # A NaN is not above the threshold.
        alike = torch.stack([one[name][block] @ other[name].T >= threshold for name in one]).all(dim=0)
        for row, column in alike.nonzero().tolist():
            if not within or start + row < column:
                yield start + row, column, [float(one[name][start + row] @ other[name][column]) for name in one]
