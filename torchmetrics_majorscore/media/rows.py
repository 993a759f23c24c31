"""Rows of a CSV, TSV, JSONL or Parquet manifest, as dictionaries of its known columns, with their line numbers."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.media.url import Url

COLUMNS = ("id", "video", "audio", "text", "caption", "label", "class", "start", "end", "audio_track")
DELIMITERS = {".csv": ",", ".tsv": "\t"}

Rows = list[tuple[int, dict[str, Any]]]


def read_rows(path: Path | Url, others: Sequence[str] = ()) -> Rows:
    """Read the rows of a manifest.

    Bytes that are not UTF-8 become lone surrogates (``surrogateescape``), so that the row that holds them can be told
    from the others. A file that starts with the byte order mark of UTF-16 is read as that.

    Args:
        path: A ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet`` file. Cells of a TSV are what stands between the
            tabs, quotation marks included, unless the whole table is only consistent, or its header is, in the
            quotation of CSV.
        others: More columns that name files.

    Returns:
        Line number and cells of each row that is not empty; of Parquet, the number of the row.

    Raises:
        ModuleNotFoundError: If pyarrow is missing, for Parquet.
        ValueError: If the file is no such table; one line with the file and the line.
    """
    suffix = path.suffix.lower()
    if suffix not in (*DELIMITERS, ".jsonl", ".parquet"):
        raise ValueError(f"Expected a .csv, .tsv, .jsonl or .parquet manifest or a folder, got {path}")
    if suffix == ".parquet":
        return list(_parquet_rows(path, others))
    text = _decode(path)
    if suffix == ".jsonl":
        return list(_json_rows(text, path, others))
    # Embeddings and the like stand in columns that nobody asked for; csv's own limit is 131 072 characters.
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    if suffix == ".csv":
        return list(_table_rows(text, path, ",", others))
    return _tsv_rows(text, path, others)


def _decode(path: Path | Url) -> str:
    data = path.read_bytes()
    if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-8-sig", "surrogateescape")
    try:
        return data.decode("utf-16", "surrogatepass")
    except UnicodeDecodeError as error:
        raise ValueError(f"Expected UTF-16 text in {path}, got {error.reason} at byte {error.start}") from error


def _tsv_rows(text: str, path: Path | Url, others: Sequence[str]) -> Rows:
    # csv would take a caption that starts with a quotation mark for a cell that ends at the next one, lines later.
    header = next((line for line in text.splitlines() if line.strip()), "")
    if header.startswith('"') or '\t"' in header:
        return list(_table_rows(text, path, "\t", others))
    try:
        rows = list(_table_rows(text, path, "\t", others, csv.QUOTE_NONE))
    except ValueError as error:
        try:
            return list(_table_rows(text, path, "\t", others))
        except ValueError:
            raise error from None
    return [(line, {name: _unquoted(cell) for name, cell in row.items()}) for line, row in rows]


def _unquoted(cell: str) -> str:
    """Undo the quotation of a cell that a CSV writer has quoted, which doubles the marks inside."""
    inner = cell[1:-1]
    quoted = len(cell) > 2 and cell[0] == cell[-1] == '"' and '""' in inner and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if quoted else cell


def _table_rows(
    text: str, path: Path | Url, delimiter: str, others: Sequence[str], quoting: Literal[0, 3] = csv.QUOTE_MINIMAL
) -> Iterator[tuple[int, dict[str, Any]]]:
    # Strict: a quotation mark out of place is an error, where csv would join the lines up to the next one.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header, is_header = _header(cells, path, others)
                if is_header:
                    continue
            if len(cells) != len(header):
                mistake = "is a text with the delimiter in it without quotation marks?"
                got = f"{len(cells)} in {path}, line {reader.line_num}"
                raise ValueError(f"Expected {len(header)} cells, got {got}; {mistake}")
            row = zip(header, cells, strict=True)
            yield reader.line_num, {name: cell for name, cell in row if name in (*COLUMNS, *others)}
    except csv.Error as error:
        raise ValueError(f"Expected a table, got {path}, line {reader.line_num}: {error}") from error


def _header(cells: list[str], path: Path | Url, others: Sequence[str]) -> tuple[list[str], bool]:
    """Return the names of the columns, and whether the first row gave them."""
    names = [cell.strip() if cell.strip() in others else cell.strip().lower() for cell in cells]
    files = ("video", "audio", *others)
    if {"id", *files} & set(names):
        _check_once(names, f"{path}, line 1")
        return names, True
    if len(cells) == 2 and not set(COLUMNS) & set(names):
        return ["id", "label"], False
    wanted = ", ".join(("id", *files[:-1]))
    raise ValueError(f"Expected a column {wanted} or {files[-1]} in {path}, line 1, got {', '.join(names)}")


def _check_once(names: Iterable[str], place: str) -> None:
    names = list(names)
    if len(set(names)) == len(names):
        return
    for name in COLUMNS:
        if names.count(name) > 1:
            raise ValueError(f"Expected one {name}, got {names.count(name)} in {place}; which of them is meant?")


def _json_rows(text: str, path: Path | Url, others: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    decode = json.JSONDecoder(object_pairs_hook=_Pairs).decode
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = decode(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"Expected JSON, got {path}, line {number}: {error.msg}") from error
        if not isinstance(row, _Pairs):
            raise ValueError(f"Expected a JSON object, got {type(row).__name__} in {path}, line {number}")
        _check_once((name for name, _ in row), f"{path}, line {number}")
        yield number, {name: value for name, value in row if name in (*COLUMNS, *others)}


def _parquet_rows(path: Path | Url, others: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    needs_extra("pyarrow", "scale")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        data = pa.BufferReader(path.read_bytes()) if isinstance(path, Url) else path
        names = pq.read_schema(data).names
        columns, _ = _header(names, path, others)
        known = {name: to for name, to in zip(names, columns, strict=True) if to in (*COLUMNS, *others)}
        rows = pq.read_table(data, columns=list(known)).to_pylist()
    except pa.ArrowInvalid as error:
        raise ValueError(f"Expected a Parquet file, got {path}: {error}") from error
    for number, row in enumerate(rows, start=1):
        yield number, {known[name]: cell for name, cell in row.items() if cell is not None}


class _Pairs(list[tuple[str, Any]]):
    """Names and values of a JSON object, those of one name included."""
