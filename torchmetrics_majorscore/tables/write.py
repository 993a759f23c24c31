"""The per-clip table: a CSV that grows row by row and survives a kill, and its summary beside it."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.media.cells import neutral, original
from torchmetrics_majorscore.replace import naming, replacing
from torchmetrics_majorscore.tables.claim import check_signature
from torchmetrics_majorscore.tables.source import digest
from torchmetrics_majorscore.tables.summary import Summary

WORDS = ("remarks", "error", "source")  # the columns behind the values


class ScoreTable:
    """A CSV file with one row per clip, and a JSON file of the same name with the signature and the summary.

    Each row is on disk as soon as it is added. Opening the table again keeps its finished rows; a row that was cut off
    while it was written is dropped. A failed clip is a finished row. The column ``source`` holds a digest of the
    signature and of what the clip's row depends on: a row whose clip has changed since is dropped, to be scored again,
    and a summary that is missing or broken is written anew. One process at a time writes a table, see :func:`.claim`.

    Args:
        path: the CSV file; it may exist.
        columns: names of the value columns, between ``id`` and ``remarks``, ``error``, ``source``.
        signature: every choice that moves a value; a table is never continued with another one.
        sources: id of each clip that may occur to what its row depends on, see :func:`.source_of`; None if that is not
            known beforehand: each clip is then to be asked for by :meth:`wants`.
        retry_failed: whether rows with an error are dropped, to be scored again.

    Attributes:
        rows: id to its row, column to cell; those of an existing file that are kept, and those added.
        changed: ids whose row was dropped since the clip has changed.

    Raises:
        ValueError: the existing file is no table, has other columns, another signature, or an id that is not in
            ``sources``; the file beside it is no summary; or the path does not end in ``.csv``.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        signature: str,
        sources: Mapping[str, str] | None,
        retry_failed: bool = False,
    ) -> None:
        self.path = path
        self.summary_path = summary_path(path)
        self.columns = list(columns)
        self.signature = signature
        self.rows: dict[str, dict[str, str]] = {}
        self.changed: list[str] = []
        self._ordered = True
        self._header = ["id", *self.columns, *WORDS]
        self._known = sources is not None
        self._sources = {clip_id: digest(signature, source) for clip_id, source in (sources or {}).items()}
        recorded = check_table(path)
        if path.exists() and (whole := _whole_lines(path)):
            self._keep(whole, recorded, retry_failed)
        else:
            self._write_rows([])
        self._write_summary({"signature": signature})  # an older one is not that of the rows to come

    def add(self, clip_id: str, values: Mapping[str, float], error: str = "", remarks: str = "") -> None:
        """Append a row and flush it.

        Args:
            clip_id: id of the clip.
            values: column to value; missing and NaN become empty cells.
            error: why the clip, or a part of it, has no value.
            remarks: what is noteworthy of a clip that was scored, for example that its sound is silent.
        """
        cells = {name: values.get(name, math.nan) for name in self.columns}
        words = {"remarks": " ".join(remarks.split()), "error": " ".join(error.split())}
        row = {"id": clip_id, **words, "source": self._sources[clip_id]}
        # 9 digits hold a float32 exactly.
        row |= {name: "" if math.isnan(value) else f"{value:.9g}" for name, value in cells.items()}
        with naming(self.path), self.path.open("a", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(_line([row[name] for name in self._header]))
        self.rows[clip_id] = row

    def wants(self, clip_id: str, source: str) -> bool:
        """Tell whether a clip is to be scored: it has no row, or has changed.

        Args:
            clip_id: id of a clip that was not named beforehand.
            source: what its row depends on.

        Raises:
            ValueError: the clip was asked for already.
        """
        if clip_id in self._sources:
            raise ValueError(f"Expected unique ids, got {clip_id!r} twice.")
        self._sources[clip_id] = digest(self.signature, source)
        row = self.rows.get(clip_id)
        if row is not None and row["source"] != self._sources[clip_id]:
            self.changed.append(clip_id)
            del self.rows[clip_id]  # of its two rows in the file, the later one counts
            self._ordered = False
        return clip_id not in self.rows

    def put_in_order(self, ids: Sequence[str]) -> None:
        """Say in which order :meth:`write_summary` leaves the rows: all that were asked for by :meth:`wants`."""
        self._sources = {clip_id: self._sources[clip_id] for clip_id in ids}

    def write_summary(self, **extra: Any) -> dict[str, Any]:
        """Write the summary of all rows, and bring these into the order of ``sources``.

        Args:
            extra: further entries.

        Returns:
            See :meth:`.Summary.result`.
        """
        self._check_known(self.rows)
        ordered = [clip for clip in self._sources if clip in self.rows]
        if ordered != list(self.rows) or not self._ordered:  # some were scored again
            self.rows = {clip: self.rows[clip] for clip in ordered}
            self._write_rows([[row[name] for name in self._header] for row in self.rows.values()])
        found = Summary(self.columns)
        for row in self.rows.values():
            found.add(row)
        summary = found.result(self.signature, len(self.changed), **extra)
        self._write_summary(summary)
        return summary

    def _check_known(self, rows: Mapping[str, object]) -> None:
        if unknown := rows.keys() - self._sources.keys():
            raise ValueError(f"{self.path} holds {len(unknown)} ids that are not to be scored, e.g. {min(unknown)!r}.")

    def _keep(self, whole: str, recorded: str, retry_failed: bool) -> None:
        """Keep the finished rows of a file that may still be used, and write it again if that drops some."""
        rows = parse_rows(whole, self.path)
        check_signature(self.path, recorded or self.signature, self.signature)
        if len(rows[-1]) < len(rows[0]):
            rows.pop()  # cut off inside an id of several lines
        if rows[0] != self._header or any(len(row) != len(self._header) for row in rows):
            expected, got = ", ".join(self._header), ", ".join(rows[0])
            raise ValueError(f"Expected {self.path} to have the columns {expected}, got {got}.")
        found = {row[0]: dict(zip(self._header, row, strict=True)) for row in rows[1:]}
        if self._known:
            self._check_known(found)
        same = {clip: row for clip, row in found.items() if not self._known or row["source"] == self._sources[clip]}
        if found and not same and not recorded:
            known = f"no row of these clips with signature {self.signature}"
            raise ValueError(f"{self.summary_path} cannot be read, and {self.path} has {known}; choose another output.")
        self.changed = [clip for clip in found if clip not in same]
        self.rows = {clip: row for clip, row in same.items() if not (retry_failed and row["error"])}
        if len(self.rows) < len(rows) - 1 or len(whole.encode("utf-8", "surrogateescape")) < self.path.stat().st_size:
            self._write_rows([[row[name] for name in self._header] for row in self.rows.values()])

    def _write_rows(self, rows: Sequence[Sequence[str]]) -> None:
        with replacing(self.path) as new, new.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.writelines(_line(row) for row in (self._header, *rows))

    def _write_summary(self, summary: Mapping[str, Any]) -> None:
        with replacing(self.summary_path) as new:
            new.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def summary_path(path: Path) -> Path:
    """Give the JSON file beside a table; ValueError unless the table's name ends in .csv, so that no two share one."""
    if path.suffix.lower() != ".csv":
        raise ValueError(f"Expected a table that ends in .csv, got {path}.")
    return path.with_suffix(".json")


def check_table(path: Path) -> str:
    """Make sure that a table may be written or continued without overwriting what is somebody else's.

    Args:
        path: the CSV file.

    Returns:
        The signature in its summary; empty if that is missing, or broken beside a table.

    Raises:
        ValueError: the file or the one beside it is not of this command, or the path does not end in ``.csv``.
    """
    summary = summary_path(path)
    for file in (path, summary):
        if file.exists() and not file.is_file():
            raise ValueError(f"Expected a file to write, got {file}, which is a folder or a device.")
    header = _header(path) if path.exists() else []
    if header and (header[0] != "id" or tuple(header[-len(WORDS) :]) != WORDS):
        raise ValueError(f"{path} exists and is no table of this command; choose another output.")
    if not summary.exists():
        return ""
    try:
        recorded = json.loads(summary.read_text(encoding="utf-8"))
    except ValueError:
        if header:
            return ""  # it was cut off
        recorded = None
    signature = recorded.get("signature") if isinstance(recorded, dict) else None
    if not isinstance(signature, str):
        raise ValueError(f"{summary} exists and is no summary of this command; choose another output.")
    return signature


def parse_rows(text: str, path: Path) -> list[list[str]]:
    """Parse the rows of a table, with the cells as they were given; ValueError names the path."""
    try:
        return [[original(cell) for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]
    except csv.Error as error:
        raise ValueError(f"Expected a table, got {path}: {error}.") from error


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        try:
            return next(csv.reader(file), [])
        except csv.Error:  # of a file that is no text
            return [""]


def _whole_lines(path: Path) -> str:
    """Give the file's whole lines: what follows the last newline was cut off."""
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    return text[: text.rfind("\n") + 1]


def _line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow([neutral(cell) for cell in cells])
    return buffer.getvalue()
