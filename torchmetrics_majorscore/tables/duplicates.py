"""Near-duplicates in files of embeddings, for example one upload under two ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.statistics.duplicate_index import Recall
from torchmetrics_majorscore.statistics.duplicates import near_duplicates
from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings

if TYPE_CHECKING:
    import pandas as pd


def list_duplicates(
    one: ClipEmbeddings,
    other: ClipEmbeddings | None = None,
    *,
    threshold: float,
    names: Sequence[str] = ("video", "audio"),
    exact: bool | None = None,
) -> tuple[pd.DataFrame, Recall | None]:
    """List pairs of clips that look and sound alike.

    Args:
        one: embeddings of N clips.
        other: embeddings of M further clips; None to compare the N clips with each other.
        threshold: a pair is found if the cosine of every modality is at least this. What cosine unrelated clips have
            depends on the encoder, so there is no default.
        names: the modalities to compare, names of ``one.vectors``. Clips without a value in one are in no pair.
        exact: see :func:`.near_duplicates`.

    Returns:
        A DataFrame with ``id``, ``other``, a column of cosines for each modality and ``least``, the smallest of them;
        highest ``least`` first. Within one file each pair is there once, the earlier clip in ``id``: a set without
        the clips in ``other`` has no near-duplicates that were found. And how an index was used, None without one.

    Raises:
        ValueError: the files have different signatures or lack a modality, or the threshold is not in (-1, 1].
        ModuleNotFoundError: pandas is missing, or faiss for an index.
    """
    needs_extra("pandas", "evaluation")
    import pandas as pd

    second = one if other is None else other
    if one.signature != second.signature:
        raise ValueError(f"Expected embeddings of one signature, got {one.signature} and {second.signature}.")
    if not names or not set(names) <= one.vectors.keys() & second.vectors.keys():
        raise ValueError(f"Expected modalities out of {', '.join(one.vectors)}, got {', '.join(names) or 'none'}.")
    sides = [None if side is None else {name: side.vectors[name] for name in names} for side in (one, other)]
    found = near_duplicates(sides[0] or {}, sides[1], threshold=threshold, exact=exact)
    pairs = {"id": np.array(one.ids, object)[found.rows], "other": np.array(second.ids, object)[found.others]}
    frame = pd.DataFrame(pairs | found.cosines)
    return frame.assign(least=frame[list(names)].min(axis=1)).set_index("id"), found.recall
