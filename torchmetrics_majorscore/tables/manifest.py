"""The rows of a manifest with all of their columns, to look one up or to write some of them again."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.media.cells import neutral, original
from torchmetrics_majorscore.media.manifest import read_ids
from torchmetrics_majorscore.replace import replacing
from torchmetrics_majorscore.tables.parquet import is_parquet

_DELIMITERS = {".csv": ",", ".tsv": "\t"}


def read_rows(path: str | Path) -> dict[str, dict[str, Any]]:
    """Read the rows of a manifest as they stand in it.

    Args:
        path: CSV, TSV, JSONL or Parquet file, see :func:`.read_manifest`; only its ids are checked.

    Returns:
        Clip id to its row, column name to cell, in the manifest's order. A list without a header has the columns
        ``id`` and ``label``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is a folder, two columns have one name, or it is no manifest.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"Expected a manifest file, got the folder {path}.")
    ids = read_ids(path)
    if is_parquet(path):
        import pyarrow.parquet as pq

        return dict(zip(ids, pq.read_table(path).to_pylist(), strict=True))
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix.lower() == ".jsonl":
        return dict(zip(ids, (json.loads(line) for line in text.split("\n") if line.strip()), strict=True))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_DELIMITERS[path.suffix.lower()])
    lines = [cells for cells in reader if any(cell.strip() for cell in cells)]
    header = ["id", "label"] if len(lines) == len(ids) else [name.strip() for name in lines.pop(0)]
    if len(set(header)) < len(header):
        raise ValueError(f"Expected unique column names in {path}, got {', '.join(header)}.")
    cells = [[original(cell) for cell in line] for line in lines]
    return {clip: dict(zip(header, row, strict=True)) for clip, row in zip(map(original, ids), cells, strict=True)}


def pick_column(rows: Mapping[str, Mapping[str, Any]], column: str) -> dict[str, str]:
    """Pick one column of a manifest.

    Args:
        rows: see :func:`read_rows`.
        column: its name.

    Returns:
        Clip id to the cell without the space around it; a clip with an empty cell is left out.

    Raises:
        ValueError: no row has the column.
    """
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    if column not in names:
        raise ValueError(f"Expected a column of the manifest, {', '.join(names)}, got {column}.")
    cells = {clip: str(row[column]).strip() for clip, row in rows.items() if row.get(column) is not None}
    return {clip: cell for clip, cell in cells.items() if cell}


def write_rows(path: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Write rows as a manifest.

    Args:
        path: CSV, TSV, JSONL or Parquet file to write; in the first two no cell is a formula to a spreadsheet.
        rows: column name to cell; in JSONL each row keeps its own columns.
        columns: all columns, in order.
    """
    if is_parquet(path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table({name: [row.get(name) for row in rows] for name in columns})
        with replacing(path) as new:
            pq.write_table(table, new, compression="zstd")
        return
    with replacing(path) as new, new.open("w", encoding="utf-8", newline="") as file:
        if path.suffix.lower() == ".jsonl":
            encode = json.JSONEncoder(ensure_ascii=False).encode
            file.writelines(encode(row) + "\n" for row in rows)
            return
        delimiter = _DELIMITERS[path.suffix.lower()]
        writer = csv.DictWriter(file, columns, delimiter=delimiter, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)


def _cell(value: Any) -> Any:
    return neutral(value) if isinstance(value, str) else value
