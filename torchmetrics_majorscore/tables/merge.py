"""Tables of shards joined to the one that a single process would have written, byte by byte."""

import json
from array import array
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from torchmetrics_majorscore.media.cells import original
from torchmetrics_majorscore.replace import replacing
from torchmetrics_majorscore.tables.claim import check_signature, claim
from torchmetrics_majorscore.tables.parquet import ROWS, is_parquet, read_summary, write_parquet
from torchmetrics_majorscore.tables.plain import split_row, whole_rows
from torchmetrics_majorscore.tables.read import is_seeded
from torchmetrics_majorscore.tables.shard import NAME, Shard, read_mark
from torchmetrics_majorscore.tables.summary import Summary
from torchmetrics_majorscore.tables.write import WORDS, check_table, summary_path

NAMED = 5


def merge_shards(folder: Path, output: Path) -> dict[str, Any]:
    """Join the tables of all shards; rows are copied, and read one at a time.

    Args:
        folder: of ``majorscore score --shard I/N -o FOLDER``.
        output: table to write, with its summary beside it, or a ``.parquet`` file; one of the same signature is
            replaced.

    Returns:
        The summary, see :meth:`.Summary.result`.

    Raises:
        FileNotFoundError: there is no shard.
        ValueError: a shard is missing or unfinished, two are of different manifests, signatures or divisions, an id is
            there twice, or the rows of a shard are not those that its mark counts.
    """
    marks = _read_marks(folder)
    signature = next(iter(marks.values()))["signature"]
    check_signature(output, _recorded(output) or signature, signature)
    with claim(output), ExitStack() as opened:
        header, readers = _open(list(marks), opened)
        names = [cell.decode("utf-8", "surrogateescape") for cell in split_row(header)]
        found = Summary(names[1 : -len(WORDS)])
        rows = chain([header], _counted(found, names, _in_order(marks, readers), list(marks)))

        def summary() -> dict[str, Any]:
            changed = sum(mark["changed"] for mark in marks.values())
            return found.result(signature, changed, seeded=is_seeded(signature))

        if is_parquet(output):
            write_parquet(output, rows, summary)
            return summary()
        with replacing(output) as new, new.open("wb") as file:
            file.writelines(rows)
        with replacing(summary_path(output)) as new:
            new.write_text(json.dumps(summary(), indent=2) + "\n", encoding="utf-8")
        return summary()


def _recorded(output: Path) -> str:
    """Give the signature of the table that is replaced, "" without one."""
    if is_parquet(output):
        return str(read_summary(output)["signature"]) if output.exists() else ""
    return check_table(output)


def _read_marks(folder: Path) -> dict[Path, dict[str, Any]]:
    """Give the marks of all shards, by table, in order."""
    tables = {path: match for path in folder.glob("*.csv") if (match := NAME.fullmatch(path.name))}
    if not tables:
        raise FileNotFoundError(f"Expected tables like 00003-of-00064.csv, got none in {folder}.")
    divisions = sorted({int(match[2]) for match in tables.values()})
    if len(divisions) > 1:
        got = " and ".join(map(str, divisions))
        raise ValueError(f"Expected shards of one division in {folder}, got those of {got}; remove the other ones.")
    shards = [Shard(index, divisions[0]) for index in range(divisions[0])]
    marks = {shard.table(folder): read_mark(shard.table(folder)) for shard in shards}
    found = {path: mark for path, mark in marks.items() if mark is not None}
    if gaps := [str(shard) for shard, mark in zip(shards, marks.values(), strict=True) if mark is None]:
        named = ", ".join(gaps[:NAMED]) + (", ..." if len(gaps) > NAMED else "")
        raise ValueError(f"Expected {len(shards)} finished shards in {folder}, got {len(found)}: without {named}.")
    for word in ("signature", "manifest", "of"):
        _check_same(found, word)
    return found


def _check_same(marks: dict[Path, dict[str, Any]], word: str) -> None:
    first = next(iter(marks))
    for path, mark in marks.items():
        if mark.get(word) != marks[first].get(word):
            what = "signature" if word == "signature" else "manifest"
            got = f"{marks[first].get(word)} in {first.name} and {mark.get(word)} in {path.name}"
            raise ValueError(f"Expected shards of one {what}, got {got}; score the older ones again.")


def _open(paths: Sequence[Path], opened: ExitStack) -> tuple[bytes, list[Iterator[bytes]]]:
    """Open tables, and read their header, which is the same."""
    readers = [whole_rows(opened.enter_context(path.open("rb"))) for path in paths]
    headers = [next(reader, b"") for reader in readers]
    if any(header != headers[0] for header in headers) or split_row(headers[0])[:1] != [b"id"]:
        raise ValueError(f"Expected tables of equal columns, got {', '.join(path.name for path in paths)}.")
    return headers[0], readers


def _counted(
    found: Summary, header: Sequence[str], rows: Iterator[tuple[list[bytes], bytes]], paths: Sequence[Path]
) -> Iterator[bytes]:
    """Give rows on, each id once, and add them to the summary."""
    numbers = array("q")  # of the ids, for they themselves would take ten times the memory
    while part := list(islice(rows, ROWS)):
        columns = dict(zip(header, zip(*(cells for cells, _ in part), strict=True), strict=True))
        found.add_columns(columns)
        numbers.extend(map(hash, columns["id"]))
        yield from (row for _, row in part)
    values, counts = np.unique(np.frombuffer(numbers, np.int64), return_counts=True)
    if (counts > 1).any():
        _check_unique(paths, set(values[counts > 1].tolist()))


def _check_unique(paths: Sequence[Path], suspect: Collection[int]) -> None:
    """Raise ValueError if an id, of those with these numbers, is there twice."""
    of: dict[bytes, Path] = {}
    for path in paths:
        with path.open("rb") as file:
            for row in whole_rows(file):
                clip = split_row(row)[0]
                if hash(clip) in suspect and clip in of:
                    name = original(clip.decode("utf-8", "surrogateescape"))
                    raise ValueError(f"Expected unique ids, got {name!r} in {of[clip].name} and in {path.name}.")
                if hash(clip) in suspect:
                    of[clip] = path


def _in_order(
    marks: dict[Path, dict[str, Any]], readers: Sequence[Iterator[bytes]]
) -> Iterator[tuple[list[bytes], bytes]]:
    """Give the rows, and their cells, in turns, as clips or tars were dealt out."""
    # How many rows each shard has of each of its tars; of a manifest, the clips were dealt out one by one.
    units = [mark.get("units", (1,) * mark["clips"]) for mark in marks.values()]
    width = None
    for turn in range(max(map(len, units))):
        for path, reader, own in zip(marks, readers, units, strict=True):
            for _ in range(own[turn] if turn < len(own) else 0):
                row = next(reader, b"")
                cells = split_row(row)
                width = width or len(cells)
                if not row or len(cells) != width:
                    raise ValueError(f"Expected {sum(own)} whole rows in {path}, got fewer; score it again.")
                yield cells, row if row.endswith(b"\n") else row + b"\n"
    for path, reader, own in zip(marks, readers, units, strict=True):
        if next(reader, None) is not None:
            raise ValueError(f"Expected {sum(own)} rows in {path}, as its mark says, got more; score it again.")
