"""Tables of scores beside ratings: mean opinion scores, and how well scores agree with them.

A column ``x`` with ``x_low`` and ``x_high`` beside it is a value with its 95 % interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from torchmetrics_majorscore.statistics import agreement as statistics
from torchmetrics_majorscore.tables.read import require_columns, value_columns
from torchmetrics_majorscore.tables.render import interval_cells

if TYPE_CHECKING:
    import pandas as pd


def mean_opinions(ratings: pd.DataFrame) -> pd.DataFrame:
    """Compute the mean opinion score of each clip and model; see :func:`.agreement.mean_opinions`.

    Args:
        ratings: see :func:`.read_ratings`.

    Returns:
        A DataFrame with the index ``id``, ``model`` and the columns ``n`` (raters), ``mos``, ``mos_low``, ``mos_high``.
    """
    groups = ratings.groupby(["id", "model"], sort=False)
    found = statistics.mean_opinions(ratings["rating"], groups.ngroup())
    columns = {"n": found.n, "mos": found.mos, "mos_low": found.low, "mos_high": found.high}
    return groups.size().to_frame("n").assign(**columns)


def agree(
    tables: Mapping[str, pd.DataFrame], ratings: pd.DataFrame, columns: Sequence[str] | None = None, seed: int = 0
) -> pd.DataFrame:
    """Compute how well scores agree with mean opinion scores; see :func:`.agreement`.

    Args:
        tables: model to its table, see :func:`.read_tables`.
        ratings: see :func:`.read_ratings`; without models if there is one table.
        columns: value columns; None for those of the first table. Of FairScore low values are better, so agreement is
            negative.
        seed: see :func:`.bootstrap`.

    Returns:
        A row per column and level: ``n`` points, ``clips``, ``dropped``, and ``spearman`` and ``kendall`` with their
        intervals.

    Raises:
        ValueError: a table lacks a column, ratings and tables have different models, or nothing rated was scored.
        ModuleNotFoundError: SciPy is missing.
    """
    import pandas as pd

    names = list(columns or value_columns(next(iter(tables.values()))))
    for table in tables.values():
        require_columns(table, names)
    opinions = mean_opinions(_with_models(ratings, list(tables)))["mos"].unstack("model").reindex(columns=list(tables))
    rows = []
    for name in names:
        scores = np.stack([table[name].reindex(opinions.index) for table in tables.values()], axis=1)
        for level, found in statistics.agreement(scores, opinions, seed).items():
            counts = {"n": found.n, "clips": found.clips, "dropped": found.dropped}
            intervals = interval_cells("spearman", found.spearman) | interval_cells("kendall", found.kendall)
            rows.append({"column": name, "level": level} | counts | intervals)
    if not any(row["n"] for row in rows):
        raise ValueError(f"Expected rated clips with a score, got none of {len(opinions)} rated clips.")
    return pd.DataFrame(rows)


def _with_models(ratings: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    found = ratings["model"].unique().tolist()
    if found == [""] and len(models) == 1:
        return ratings.assign(model=models[0])
    if unknown := [model for model in found if model not in models]:
        raise ValueError(f"Expected ratings of {', '.join(models)}, got {', '.join(unknown) or 'no column model'}.")
    return ratings
