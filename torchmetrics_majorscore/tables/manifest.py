"""The rows of a manifest with all of their columns, to look one up or to write some of them again."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.media.cells import neutral, original
from torchmetrics_majorscore.media.manifest import read_ids
from torchmetrics_majorscore.replace import replacing
from torchmetrics_majorscore.tables.parquet import ROWS, is_parquet
from torchmetrics_majorscore.tables.plain import read_plain

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from torchmetrics_majorscore.statistics.bootstrap import Array, Index

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


class Listed:
    """The rows of a manifest, to write some of them again.

    Attributes:
        ids: of the clips, in order.
    """

    def __init__(self, path: Path) -> None:
        self._rows = read_rows(path)
        self.ids = list(self._rows)

    def pick(self, column: str) -> dict[str, str]:
        """Pick one column, see :func:`pick_column`."""
        return pick_column(self._rows, column)

    def write(self, path: Path, places: Index, scores: Array, reasons: NDArray[np.object_]) -> None:
        """Write rows, with the columns ``score`` and ``reason``, which replace those of these names.

        Args:
            path: CSV, TSV, JSONL or Parquet file; in the first two no cell is a formula to a spreadsheet. In JSONL each
                row keeps its own columns.
            places: numbers of the rows.
            scores: of these rows, NaN for none.
            reasons: of these rows.
        """
        added = zip(_given(scores), reasons.tolist(), strict=True)
        rows = list(self._rows.values())
        chosen = [rows[place] | {"score": s, "reason": r} for place, (s, r) in zip(places, added, strict=True)]
        columns = list(dict.fromkeys([*(name for row in rows for name in row), "score", "reason"]))
        if is_parquet(path):
            import pyarrow as pa

            _write_arrow(path, pa.table({name: [row.get(name) for row in chosen] for name in columns}))
        elif path.suffix.lower() == ".jsonl":
            encode = json.JSONEncoder(ensure_ascii=False).encode
            with replacing(path) as new, new.open("w", encoding="utf-8", newline="") as file:
                file.writelines(encode(row) + "\n" for row in chosen)
        else:
            _write_cells(path, [{name: [_cell(row.get(name)) for row in chosen] for name in columns}])


class ListedColumns(Listed):
    """The same of a plain CSV or a Parquet file, whose rows stay Arrow's columns."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.ids = table["id"].to_pylist()

    def pick(self, column: str) -> dict[str, str]:
        """Pick one column."""
        if column not in self._table.column_names:
            raise ValueError(f"Expected a column of the manifest, {', '.join(self._table.column_names)}, got {column}.")
        cells = zip(self.ids, self._table[column].to_pylist(), strict=True)
        # Of few classes one text each is kept, not one for each clip.
        return {clip: sys.intern(text) for clip, cell in cells if cell is not None and (text := str(cell).strip())}

    def write(self, path: Path, places: Index, scores: Array, reasons: NDArray[np.object_]) -> None:
        """Write rows."""
        if is_parquet(path):
            _write_arrow(path, self._chosen(places, scores, reasons))
            return
        # A part at a time: as Python's objects all cells would take several times the memory of the columns.
        starts = range(0, max(1, len(places)), ROWS)
        parts = (slice(start, start + ROWS) for start in starts)
        _write_cells(path, (_cells_of(self._chosen(places[part], scores[part], reasons[part])) for part in parts))

    def _chosen(self, places: Index, scores: Array, reasons: NDArray[np.object_]) -> pa.Table:
        import pyarrow as pa

        chosen = self._table.take(pa.array(places))
        added = {"score": pa.array(scores, from_pandas=True), "reason": pa.array(reasons.tolist(), pa.string())}
        for name, column in added.items():
            there = name in chosen.column_names
            chosen = (
                chosen.set_column(chosen.column_names.index(name), name, column)
                if there
                else (chosen.append_column(name, column))
            )
        return chosen


def read_listed(path: Path) -> Listed:
    """Read a manifest to write some of its rows again; see :func:`read_rows` for Args and Raises."""
    if is_parquet(path) and path.is_file():
        needs_extra("pyarrow", "scale")
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
        except pa.ArrowInvalid:
            return Listed(path)  # which says what it is
    else:
        table = read_plain(path, lambda _: False) if path.suffix.lower() == ".csv" and path.is_file() else None
    return Listed(path) if table is None or not _has_plain_ids(table) else ListedColumns(table)


def _has_plain_ids(table: pa.Table) -> bool:
    """Tell whether the ids are what :func:`.read_ids` gives, and none of them is wrong."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = [name.strip().lower() for name in table.column_names]
    if "id" not in table.column_names or len(set(names)) < len(names) or not len(table):
        return False
    ids = table["id"]
    if not pa.types.is_string(ids.type) or ids.null_count or pc.count_distinct(ids).as_py() < len(ids):
        return False
    return not pc.any(pc.or_(pc.equal(ids, ""), pc.not_equal(ids, pc.utf8_trim_whitespace(ids)))).as_py()


def _write_arrow(path: Path, table: pa.Table) -> None:
    import pyarrow.parquet as pq

    with replacing(path) as new:
        pq.write_table(table, new, compression="zstd")


def _write_cells(path: Path, parts: Iterable[Mapping[str, Sequence[Any]]]) -> None:
    """Write columns, of which each part has the same."""
    with replacing(path) as new, new.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=_DELIMITERS[path.suffix.lower()], lineterminator="\n")
        for number, cells in enumerate(parts):
            if not number:
                writer.writerow(cells)
            writer.writerows(zip(*cells.values(), strict=True))


def _cells_of(table: pa.Table) -> dict[str, list[Any]]:
    """Give the cells of columns, no formula to a spreadsheet among them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        cells[name] = column.to_pylist()
        if pa.types.is_string(column.type) and pc.any(pc.match_substring_regex(column, "^['=+@\t\r-]")).as_py():
            cells[name] = [neutral(cell) for cell in cells[name]]
    return cells


def _given(scores: Array) -> list[float | None]:
    return [None if math.isnan(score) else score for score in scores.tolist()]


def _cell(value: Any) -> Any:
    return neutral(value) if isinstance(value, str) else value
