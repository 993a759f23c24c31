"""Human ratings, from 1 (worst) to 5: mean opinion scores, and how well a score agrees with them.

A column ``x`` with ``x_low`` and ``x_high`` beside it is a value with its 95 % interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.statistics.comparison import interval_cells
from torchmetrics_majorscore.statistics.consistency import Array, bootstrap, complete_rows
from torchmetrics_majorscore.tables.read import require_columns, value_columns

if TYPE_CHECKING:
    import pandas as pd


def mean_opinions(ratings: pd.DataFrame) -> pd.DataFrame:
    """Compute the mean opinion score of each clip and model, with Student's t interval over its raters.

    Source: ITU-T P.800, B.4. A bootstrap over so few raters would be too narrow.

    Args:
        ratings: see :func:`read_ratings`.

    Returns:
        A DataFrame with the index ``id``, ``model`` and the columns ``n`` (raters), ``mos``, ``mos_low``, ``mos_high``.
        The interval of one rating is NaN.
    """
    from scipy import stats

    groups = ratings.groupby(["id", "model"], sort=False)["rating"]
    opinions = groups.agg(n="count", mos="mean")
    n = opinions["n"].to_numpy(dtype=float)
    df = np.where(n > 1, n - 1, math.nan)
    half = stats.t.ppf(0.975, df) * groups.std().to_numpy() / np.sqrt(n)
    return opinions.assign(mos_low=opinions["mos"] - half, mos_high=opinions["mos"] + half)


def agree(
    tables: Mapping[str, pd.DataFrame], ratings: pd.DataFrame, columns: Sequence[str] | None = None, seed: int = 0
) -> pd.DataFrame:
    """Compute how well scores agree with mean opinion scores.

    Intervals come from resampled clips, each with the outputs of all models, for these are not independent; at model
    level too, since there are few models. That raters might have been others is not in them.

    Args:
        tables: model to its table, see :func:`.read_tables`.
        ratings: see :func:`read_ratings`; without models if there is one table.
        columns: value columns; None for those of the first table. Of FairScore low values are better, so agreement is
            negative.
        seed: see :func:`.bootstrap`.

    Returns:
        A row per column and level. ``clip``: a point is a clip of a model; ``model``, with several tables: a point is a
        model, with its means over the clips that are rated and scored for all models. ``n`` points, ``clips``,
        ``dropped`` points or clips without a score (or a rating, at model level), and ``spearman`` and ``kendall``
        (tau-b) with their intervals. A correlation without two points or without variance is NaN.

    Raises:
        ValueError: a table lacks a column, ratings and tables have different models, or nothing rated was scored.
        ModuleNotFoundError: SciPy is missing.
    """
    needs_extra("scipy", "evaluation")
    import pandas as pd

    names = list(columns or value_columns(next(iter(tables.values()))))
    for table in tables.values():
        require_columns(table, names)
    opinions = mean_opinions(_with_models(ratings, list(tables)))["mos"].unstack("model").reindex(columns=list(tables))
    rated = opinions.to_numpy(dtype=float)
    rows = []
    for name in names:
        scores = np.stack([table[name].reindex(opinions.index) for table in tables.values()], axis=1)
        rows += [{"column": name, "level": "clip"} | _clip_level(scores, rated, seed)]
        rows += [{"column": name, "level": "model"} | _model_level(scores, rated, seed)] if len(tables) > 1 else []
    if not any(row["n"] for row in rows):
        raise ValueError(f"Expected rated clips with a score, got none of {len(opinions)} rated clips.")
    return pd.DataFrame(rows)


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Compute Spearman's rank correlation.

    Args:
        x: shape (N,). A NaN drops the row.
        y: shape (N,).

    Returns:
        A value in [-1, 1]. NaN with fewer than two rows, or without variance.

    Raises:
        ValueError: the shapes differ or are not (N,), or a value is infinite.
    """
    from scipy import stats

    # scipy.stats.spearmanr computes a P value too, at 10 times the cost.
    rows = complete_rows(x, y)
    ranks = stats.rankdata(rows, axis=1)
    return float(np.corrcoef(ranks)[0, 1].clip(-1, 1)) if _vary(rows) else math.nan


def kendall(x: ArrayLike, y: ArrayLike) -> float:
    """Compute Kendall's tau-b, which allows for ties; see :func:`spearman`."""
    from scipy import stats

    rows = complete_rows(x, y)
    return float(stats.kendalltau(*rows).statistic) if _vary(rows) else math.nan


def _vary(rows: Array) -> bool:
    return rows.shape[1] > 1 and bool((np.ptp(rows, axis=1) > 0).all())


def _clip_level(scores: Array, rated: Array, seed: int) -> dict[str, float]:
    complete = ~np.isnan(scores) & ~np.isnan(rated)
    used = complete.any(axis=1)
    counts = {"n": int(complete.sum()), "clips": int(used.sum()), "dropped": int((~np.isnan(rated) & ~complete).sum())}
    return counts | _correlations(scores[used], rated[used], np.ravel, seed)


def _model_level(scores: Array, rated: Array, seed: int) -> dict[str, float]:
    used = ~(np.isnan(scores) | np.isnan(rated)).any(axis=1)
    counts = {"n": scores.shape[1] if used.any() else 0, "clips": int(used.sum()), "dropped": int((~used).sum())}
    return counts | _correlations(scores[used], rated[used], lambda rows: rows.mean(axis=0), seed)


def _correlations(scores: Array, rated: Array, points: Callable[[Array], Array], seed: int) -> dict[str, float]:
    """Correlate the points of all clips, and of resampled ones; both are (clips, models)."""
    cells: dict[str, float] = {}
    for method in (spearman, kendall):

        def statistic(drawn: Array, method: Callable[[Array, Array], float] = method) -> float:
            clips = drawn.astype(int)
            return method(points(scores[clips]), points(rated[clips]))

        cells |= interval_cells(method.__name__, bootstrap(statistic, np.arange(len(scores)), seed=seed))
    return cells


def _with_models(ratings: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    found = ratings["model"].unique().tolist()
    if found == [""] and len(models) == 1:
        return ratings.assign(model=models[0])
    if unknown := [model for model in found if model not in models]:
        raise ValueError(f"Expected ratings of {', '.join(models)}, got {', '.join(unknown) or 'no column model'}.")
    return ratings
