"""Per-clip tables as Parquet (zstd): float32 columns, with signature, counts and means in the file's metadata.

The file stands alone: there is no JSON beside it, and reasons stand in its columns.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.media.cells import original
from torchmetrics_majorscore.media.entry import legible
from torchmetrics_majorscore.replace import replacing
from torchmetrics_majorscore.tables.plain import parse_plain, whole_rows
from torchmetrics_majorscore.tables.write import WORDS, summary_path

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

KEY = b"majorscore"
ROWS = 65_536
"""Rows that are held at a time."""


def is_parquet(path: Path) -> bool:
    """Tell by its name whether a file is Parquet."""
    return path.suffix.lower() == ".parquet"


def write_parquet(path: Path, rows: Iterable[bytes], summary: Callable[[], dict[str, Any]]) -> None:
    """Write a table.

    Args:
        path: of the file; an older table is replaced.
        rows: of a CSV table, as they stand in it, each with its end, the header first. They are read one part at a
            time.
        summary: gives the table's summary, once all rows were taken, see :meth:`.Summary.result`.

    Raises:
        ValueError: ``path`` is of something else.
        ModuleNotFoundError: pyarrow is missing.
    """
    needs_extra("pyarrow", "scale")
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.exists():
        read_summary(path)
    rows = iter(rows)
    header = next(rows)
    (names,) = _cells(header)
    schema = pa.schema({name: pa.float32() if _is_number(name) else pa.string() for name in names})
    with replacing(path) as new, pq.ParquetWriter(new, schema, compression="zstd") as writer:
        while part := list(islice(rows, ROWS)):
            writer.write_table(_table(header, b"".join(part), schema))
        found = summary()
        kept = {name: value for name, value in found.items() if name not in ("failures", "remarks")}
        writer.add_key_value_metadata({KEY: json.dumps(kept).encode()})


def convert_to_parquet(table: Path, path: Path) -> None:
    """Write a finished CSV table as Parquet."""
    summary = json.loads(summary_path(table).read_text(encoding="utf-8"))
    with table.open("rb") as file:
        write_parquet(path, whole_rows(file), lambda: summary)


def read_parquet(path: Path) -> pd.DataFrame:
    """Read the columns of a table but ``source``, without an index; ValueError if it is none."""
    import pyarrow.parquet as pq

    read_summary(path)
    names = [name for name in pq.read_schema(path).names if name != "source"]
    # Arrow's columns are given up one by one, as pandas' are made.
    frame: pd.DataFrame = pq.read_table(path, columns=names).to_pandas(split_blocks=True, self_destruct=True)
    return frame


def read_summary(path: Path) -> dict[str, Any]:
    """Read the summary of a table.

    Args:
        path: of the file.

    Returns:
        ``signature``, counts and means.

    Raises:
        ValueError: it is no Parquet file, or none of this command.
        ModuleNotFoundError: pyarrow is missing.
    """
    needs_extra("pyarrow", "scale")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        words = pq.read_metadata(path).metadata or {}
    except pa.ArrowInvalid as error:
        raise ValueError(f"Expected a Parquet file, got {path}: {error}.") from error
    found = json.loads(words.get(KEY, b"{}"))
    if "signature" not in found:
        raise ValueError(f"Expected a table of majorscore score or merge, got {path}, which has no signature.")
    signed: dict[str, Any] = found
    return signed


def _is_number(name: str) -> bool:
    return name not in ("id", *WORDS)


def _cells(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8", "surrogateescape"), newline="")))


def _table(header: bytes, rows: bytes, schema: pa.Schema) -> pa.Table:
    """Parse rows, by Arrow if nothing in them is unusual, such as an id in another encoding."""
    import pyarrow as pa

    found = parse_plain(header + rows, _is_number)
    if found is not None:
        return found.cast(schema)
    columns = zip(*_cells(rows), strict=True)
    return pa.table([_array(cells, kind) for cells, kind in zip(columns, schema.types, strict=True)], schema=schema)


def _array(cells: tuple[str, ...], kind: Any) -> Any:
    import pyarrow as pa

    if kind == pa.string():
        return pa.array([legible(original(cell)) for cell in cells], kind)
    return pa.array([float(cell) if cell else None for cell in cells], kind)
