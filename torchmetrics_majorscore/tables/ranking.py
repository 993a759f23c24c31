"""A table of candidates ranked by prompt: best of N."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from torchmetrics_majorscore.statistics.ranking import rank_within
from torchmetrics_majorscore.tables.read import LOWER_IS_BETTER, require_columns

if TYPE_CHECKING:
    import pandas as pd


def rank_candidates(
    table: pd.DataFrame,
    column: str,
    prompts: Mapping[str, str] | None = None,
    penalty: float = 0.0,
) -> pd.DataFrame:
    """Rank the candidates of each prompt by ``score = column - penalty * fairscore``.

    Candidates of one score stand in the order of their ids. One without a value stands last and has no rank.

    Args:
        table: see :func:`.read_scores`.
        column: what to rank by; of FairScore low values are better, of the others high ones.
        prompts: candidate id to its prompt; None if ids are like ``prompt/candidate``, divided at the last slash.
        penalty: weight of FairScore, at least 0.

    Returns:
        A DataFrame with the index ``prompt``, ``id`` and the columns ``score`` and ``rank``, which starts at 1; sorted
        by prompt and rank.

    Raises:
        ValueError: a candidate has no prompt, there is no such column, or an option is out of range.
        ModuleNotFoundError: pandas is missing.
    """
    require_columns(table, [column, *(["fairscore"] if penalty else [])])
    lower = column in LOWER_IS_BETTER
    if not 0 <= penalty < float("inf") or (penalty and lower):
        raise ValueError(f"Expected a finite penalty >= 0, and 0 for {', '.join(LOWER_IS_BETTER)}, got {penalty}.")
    import pandas as pd

    score = table[column].to_numpy(copy=True)
    if penalty:
        score -= penalty * table["fairscore"].to_numpy()
    groups, names = pd.factorize(pd.Index([_prompt(clip, prompts) for clip in table.index.tolist()]), sort=True)
    by_id = table.index.argsort()
    rank = np.empty(len(table))
    rank[by_id] = rank_within(score[by_id], groups[by_id], lower)
    order = by_id[np.lexsort((rank[by_id], groups[by_id]))]  # stable; NaN last
    # Both are unique and known: an index that is made of columns would look for that.
    levels, codes = [names, table.index[order]], [groups[order], np.arange(len(order))]
    index = pd.MultiIndex(levels, codes, names=["prompt", "id"], verify_integrity=False)
    places = pd.array(rank[order], dtype="Float64").astype("Int64")
    return pd.DataFrame({"score": score[order], "rank": places}, index)


def best_candidates(ranked: pd.DataFrame, count: int) -> pd.DataFrame:
    """Keep the best candidates of each prompt; one without a rank is never among them.

    Args:
        ranked: see :func:`rank_candidates`.
        count: how many of each prompt.

    Returns:
        Their rows.

    Raises:
        ValueError: the count is below 1.
    """
    if count < 1:
        raise ValueError(f"Expected 1 or more best candidates, got {count}.")
    return ranked[(ranked["rank"] <= count).fillna(False).astype(bool)]


def _prompt(clip: str, prompts: Mapping[str, str] | None) -> str:
    found = clip.rpartition("/")[0] if prompts is None else prompts.get(clip, "")
    if not found:
        raise ValueError(f"Expected a prompt for each candidate, or ids like prompt/candidate, got none for {clip!r}.")
    return found
