"""A table of candidates ranked by prompt: best of N."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

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
    ranked = table[[column]].set_axis(["score"], axis=1)
    if penalty:
        ranked["score"] -= penalty * table["fairscore"]
    ranked["prompt"] = [_prompt(clip, prompts) for clip in table.index]
    ranked = ranked.reset_index().sort_values("id")
    ranked["rank"] = rank_within(ranked["score"], ranked["prompt"].tolist(), lower)
    return ranked.astype({"rank": "Int64"}).sort_values(["prompt", "rank"]).set_index(["prompt", "id"])


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
