"""Files of human ratings, from 1 (worst) to 5."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.media.cells import original

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
    with Path(path).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.DictReader(file, restkey="", restval="", strict=True)
        try:
            header = [name.strip().lower() for name in reader.fieldnames or []]
            if missing := [name for name in columns if name not in header]:
                raise ValueError(f"Expected the columns {', '.join(columns)} in {path}, got no {', '.join(missing)}.")
            reader.fieldnames = header
            return [{name: original(cell).strip() for name, cell in row.items() if name} for row in reader]
        except csv.Error as error:
            raise ValueError(f"Expected a table, got {path}, line {reader.line_num}: {error}.") from error


def _words(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {row[name]}" for name in row)
