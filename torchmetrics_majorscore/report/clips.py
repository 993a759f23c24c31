"""The clips of a page for its script, which shows them page by page: all, or of very many a sample."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from torchmetrics_majorscore.report.summary import give_titles

if TYPE_CHECKING:
    import pandas as pd

LISTED = 20_000
"""Clips that a page lists; of more, a sample of so many."""
DIGITS = 4  # after the point, on the page
NOTES = {"error": "Error", "remarks": "Remarks"}


def choose_clips(models: Mapping[str, "pd.DataFrame"], always: Collection[str]) -> tuple[list[str], int]:
    """Choose the clips that a page lists.

    Args:
        models: name of each model to its table.
        always: ids that are listed in any case.

    Returns:
        Ids in the order of the tables: all, or if there are more than :data:`LISTED`, so many at random (seed 0) and
        those of ``always``; and how many there are in all.
    """
    first, *others = (table.index for table in models.values())
    ids = first if all(index.equals(first) for index in others) else first.append(others).unique()
    if len(ids) <= LISTED:
        return ids.tolist(), len(ids)
    chosen = np.zeros(len(ids), bool)
    chosen[np.random.default_rng(0).choice(len(ids), LISTED, replace=False)] = True
    return ids[chosen | ids.isin(list(always))].tolist(), len(ids)


def list_clips(
    models: Mapping[str, "pd.DataFrame"], captions: Sequence[str] | None, clips: Sequence[str]
) -> dict[str, Any]:
    """Give the values and texts of all clips.

    Args:
        models: name of each model to its table, see :func:`.read_scores`.
        captions: of ``clips``; None without a manifest.
        clips: ids to list.

    Returns:
        ``models``, ``scores`` (titles), ``clips``, ``captions``; ``values``: of each model one list per clip, None for
        a clip that its table lacks, with four digits and None for a missing value; ``notes``: title of a column of
        texts to one object for each model, place of the clip to text.
    """
    titles = {column: title for table in models.values() for column, title in give_titles(table).items()}
    scores = [column for column in titles if not column.startswith("clipclap")]
    models = {name: table[table.index.isin(clips)] for name, table in models.items()}
    return {
        "models": list(models),
        "scores": [titles[column] for column in scores],
        "clips": clips,
        "captions": captions,
        "values": [_values(table.reindex(columns=scores), clips) for table in models.values()],
        "notes": {
            title: [_texts(table[column], clips) if column in table else {} for table in models.values()]
            for column, title in NOTES.items()
            if any(column in table and (table[column] != "").any() for table in models.values())
        },
    }


def _values(table: "pd.DataFrame", clips: Sequence[str]) -> list[list[float | None] | None]:
    rounded = table.to_numpy(dtype=np.float64).round(DIGITS).astype(object)
    rounded[table.isna().to_numpy()] = None
    rows = dict(zip(table.index, rounded.tolist(), strict=True))
    return [rows.get(clip) for clip in clips]


def _texts(column: "pd.Series[str]", clips: Sequence[str]) -> dict[int, str]:
    texts = column[column != ""].to_dict()
    return {place: texts[clip] for place, clip in enumerate(clips) if clip in texts}
