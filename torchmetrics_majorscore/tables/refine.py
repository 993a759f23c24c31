"""Refine a dataset: split a manifest into clips to keep and clips to reject by a score (MAJORScore, III-D)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.statistics.refinement import find_limits
from torchmetrics_majorscore.tables.manifest import pick_column, read_rows, write_rows
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
    judged = table[[column]].set_axis(["score"], axis=1)
    judged["reason"] = table["error"].mask((table["error"] == "") & judged["score"].isna(), f"no {column}")
    groups = judged.index.map(lambda clip: "" if classes is None else classes.get(clip, ""))
    if classes is not None:
        judged["reason"] = judged["reason"].mask((groups == "") & (judged["reason"] == ""), "no class")
    valid = judged["reason"] == ""
    scores, groups = judged["score"][valid], groups[valid]
    of_class = None if classes is None else groups.tolist()
    limits = find_limits(scores, threshold=threshold, quantile=quantile, groups=of_class, lower=lower)
    side, source = "above" if lower else "below", "" if quantile is None else f", quantile {quantile:g}"
    judged.loc[valid, "reason"] = [
        f"{column} {side} {limit:.6g}{source}{f' of {group}' if group else ''}" if beyond else ""
        for beyond, limit, group in zip(scores > limits if lower else scores < limits, limits, groups, strict=True)
    ]
    return judged


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
    rows = read_rows(manifest)
    if not rows.keys() & set(table.index):
        raise ValueError(f"Expected the table of {manifest}, got one that has none of its {len(rows)} clips.")
    classes = None if by_class is None else pick_column(rows, by_class)
    of_manifest = table[table.index.isin(list(rows))]
    judged = judge(of_manifest, column, threshold=threshold, quantile=quantile, classes=classes)
    found = dict(zip(judged.index, zip(judged["score"], judged["reason"], strict=True), strict=True))
    parts: dict[str, list[dict[str, Any]]] = {part: [] for part in paths}
    for clip, row in rows.items():
        score, reason = found.get(clip, (math.nan, "not scored"))
        added = {"score": None if math.isnan(score) else score, "reason": reason}
        parts["rejected" if reason else "kept"].append(row | added)
    columns = list(dict.fromkeys([*(name for row in rows.values() for name in row), "score", "reason"]))
    for part, chosen in parts.items():
        write_rows(paths[part], chosen, columns)
    return {part: (path, len(parts[part])) for part, path in paths.items()}
