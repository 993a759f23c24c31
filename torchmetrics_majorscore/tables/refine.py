"""Refine a dataset: split a manifest into clips to keep and clips to reject by a score (MAJORScore, III-D)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from torchmetrics_majorscore.statistics.refinement import find_limits
from torchmetrics_majorscore.tables.manifest import read_listed
from torchmetrics_majorscore.tables.read import LOWER_IS_BETTER, require_columns

if TYPE_CHECKING:
    import pandas as pd


def judge(
    table: pd.DataFrame,
    column: str,
    *,
    threshold: float | None = None,
    quantile: float | None = None,
    classes: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Say for each clip why it is rejected.

    A clip with an error, or without a value, is rejected for that and counts for no quantile. A score equal to the
    limit is kept.

    Args:
        table: see :func:`.read_scores`.
        column: the score to judge by; of FairScore low values are kept, of the others high ones.
        threshold: see :func:`.find_limits`.
        quantile: see :func:`.find_limits`.
        classes: clip to class, with a quantile: the worst share of each class is rejected. A clip without a class is
            rejected.

    Returns:
        A DataFrame with the table's index, ``score`` and ``reason``; an empty reason means keep.

    Raises:
        ValueError: both or neither of threshold and quantile, one out of range, or no such column.
        ModuleNotFoundError: pandas is missing.
    """
    require_columns(table, [column])
    lower = column in LOWER_IS_BETTER
    import pandas as pd

    scores, reasons = table[column].to_numpy(), table["error"].to_numpy(dtype=object, copy=True)
    reasons[(reasons == "") & np.isnan(scores)] = f"no {column}"
    names, of = pd.Index([""]), np.zeros(len(table), np.int64)
    if classes is not None:
        of, names = pd.factorize(pd.Index([classes.get(clip, "") for clip in table.index.tolist()], dtype=object))
        reasons[(reasons == "") & (names == "")[of]] = "no class"
    valid = np.flatnonzero(reasons == "")
    own, groups = scores[valid], of[valid]
    by = None if classes is None else groups
    limits = find_limits(own, threshold=threshold, quantile=quantile, groups=by, lower=lower)
    beyond = own > limits if lower else own < limits
    side, source = "above" if lower else "below", "" if quantile is None else f", quantile {quantile:g}"
    # One limit, and one text, for each class.
    first = {group: limits[place] for group, place in zip(*np.unique(groups, return_index=True), strict=True)}
    said = np.empty(len(names), object)
    for group, limit in first.items():
        said[group] = f"{column} {side} {limit:.6g}{source}{f' of {names[group]}' if names[group] else ''}"
    reasons[valid[beyond]] = said[groups[beyond]]
    return pd.DataFrame({"score": scores, "reason": reasons}, table.index)


def split_manifest(
    manifest: str | Path,
    table: pd.DataFrame,
    column: str,
    *,
    threshold: float | None = None,
    quantile: float | None = None,
    by_class: str | None = None,
    folder: Path | None = None,
    overwrite: bool = False,
) -> dict[str, tuple[Path, int]]:
    """Write the rows of a manifest to two manifests, with the columns ``score`` and ``reason`` added.

    Each row goes to exactly one of them, in its order. Columns that have these names already are replaced. A clip that
    is not in the table is rejected as ``not scored``; one that is only in the table counts for nothing.

    Args:
        manifest: CSV, TSV, JSONL or Parquet file.
        table: see :func:`.read_scores`.
        column: see :func:`judge`.
        threshold: see :func:`judge`.
        quantile: see :func:`judge`.
        by_class: column of the manifest that has the classes.
        folder: gets ``NAME.kept.csv`` and ``NAME.rejected.csv``, or .tsv, .jsonl or .parquet; None for the manifest's
            own, which relative paths start from.
        overwrite: whether files that have these names are replaced.

    Returns:
        ``kept`` and ``rejected``, each with its file and number of clips.

    Raises:
        FileNotFoundError: there is no manifest.
        FileExistsError: there is a file with one of the names.
        ValueError: it is none or lacks the column of classes, the table has none of its clips, or see :func:`judge`.
    """
    manifest = Path(manifest)
    paths = {p: (folder or manifest.parent) / f"{manifest.stem}.{p}{manifest.suffix}" for p in ("kept", "rejected")}
    for path in paths.values():
        if path.exists() and not overwrite:
            raise FileExistsError(f"Expected a new file, got {path}, which exists: overwrite it, or name a folder.")
    import pandas as pd

    rows = read_listed(manifest)
    # The ids of a table are unique, so that they have the first numbers, in its order.
    numbers = pd.factorize(table.index.append(pd.Index(rows.ids, dtype=table.index.dtype)))[0][len(table) :]
    scored = numbers < len(table)
    if not scored.any():
        raise ValueError(f"Expected the table of {manifest}, got one that has none of its {len(numbers)} clips.")
    classes = None if by_class is None else rows.pick(by_class)
    kept = np.zeros(len(table), bool)
    kept[numbers[scored]] = True
    judged = judge(
        table if kept.all() else table[kept], column, threshold=threshold, quantile=quantile, classes=classes
    )
    place = np.cumsum(kept) - 1
    scores, reasons = np.full(len(numbers), math.nan), np.full(len(numbers), "not scored", object)
    scores[scored] = judged["score"].to_numpy()[place[numbers[scored]]]
    reasons[scored] = judged["reason"].to_numpy(dtype=object)[place[numbers[scored]]]
    chosen = {"kept": np.flatnonzero(reasons == ""), "rejected": np.flatnonzero(reasons != "")}
    for part, places in chosen.items():
        rows.write(paths[part], places, scores[places], reasons[places])
    return {part: (path, len(chosen[part])) for part, path in paths.items()}
