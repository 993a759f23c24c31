"""Human ratings, from 1 (worst) to 5: mean opinion scores, and how well a score agrees with them.

A column ``x`` with ``x_low`` and ``x_high`` beside it is a value with its 95 % interval.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from torchmetrics_majorscore.evaluation.consistency import Array, bootstrap, complete_rows
from torchmetrics_majorscore.evaluation.models import interval_cells
from torchmetrics_majorscore.evaluation.scores_file import require_columns, value_columns
from torchmetrics_majorscore.extras import needs_extra

if TYPE_CHECKING:
    import pandas as pd


def read_ratings(paths: Sequence[str | Path], key: str | Path | None = None) -> pd.DataFrame:
    """Read files of ratings, for example one of each rater.

    Args:
        paths: CSV files with ``id``, ``rater``, ``rating`` and, for several models, ``model``; or, with a key, with
            ``item``, ``rater`` and ``rating``. A row with an empty rating is no rating.
        key: CSV file that gives the ``id`` and ``model`` of each ``item``, see :func:`.write_sheet`.

    Returns:
        A DataFrame with the strings ``id``, ``model`` (empty without that column), ``rater``, and float64 ``rating``.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a column, a name or the key is missing, a rating is not in [1, 5], a rater rated a clip of a model
            twice, or an item is not in the key.
        ModuleNotFoundError: pandas is missing.
    """
    needs_extra("pandas", "evaluation")
    import pandas as pd

    items = None if key is None else {row["item"]: row for row in _read(key, ("item", "id", "model"))}
    columns = ("id" if key is None else "item", "rater", "rating")
    rows = [_rating(row, items, path) for path in paths for row in _read(path, columns) if row["rating"]]
    ratings = pd.DataFrame(rows, columns=["id", "model", "rater", "rating"])
    twice = ratings[ratings.duplicated(["id", "model", "rater"])]
    if len(twice):
        raise ValueError(
            f"Expected one rating of each clip and model by a rater, got two: {_words(twice.iloc[0].to_dict())}."
        )
    return ratings


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


def _rating(row: dict[str, str], items: dict[str, dict[str, str]] | None, path: str | Path) -> dict[str, Any]:
    try:
        value = float(row["rating"])
    except ValueError:
        value = math.nan
    if not 1 <= value <= 5:
        raise ValueError(f"Expected ratings from 1 to 5 in {path}, got {row['rating']!r}.")
    if items is None and "item" in row:
        raise ValueError(f"Expected the key of the items in {path}, got none.")
    if items is not None and row["item"] not in items:
        raise ValueError(f"Expected items of the key in {path}, got {row['item']!r}.")
    source = row if items is None else items[row["item"]]
    if not row["rater"] or not source["id"]:
        raise ValueError(f"Expected an id and a rater with each rating in {path}, got {_words(row)}.")
    return {"id": source["id"], "model": source.get("model", ""), "rater": row["rater"], "rating": value}


def _read(path: str | Path, columns: Sequence[str]) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restkey="", restval="", strict=True)
        header = [name.strip().lower() for name in reader.fieldnames or []]
        if missing := [name for name in columns if name not in header]:
            raise ValueError(f"Expected the columns {', '.join(columns)} in {path}, got no {', '.join(missing)}.")
        reader.fieldnames = header
        return [{name: cell.strip() for name, cell in row.items() if name} for row in reader]


def _words(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {row[name]}" for name in row)
