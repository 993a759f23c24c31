"""The per-clip table: a CSV that grows row by row and survives a kill, and its summary beside it."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


class ScoreTable:
    """A CSV file with one row per clip, and a JSON file of the same name with the signature and the summary.

    Each row is on disk as soon as it is added. Opening the table again keeps its finished rows; a row that was cut off
    while it was written is dropped. A failed clip is a finished row.

    Args:
        path: the CSV file; it may exist.
        columns: names of the value columns, between ``id`` and ``error``.
        signature: every choice that moves a value; a table is never continued with another one.
        ids: the ids that may occur.
        retry_failed: whether rows with an error are dropped, to be scored again.

    Raises:
        ValueError: the existing file has other columns, another signature, or an id that is not in ``ids``; or the
            path ends in ``.json``, which is the summary's.
    """

    def __init__(
        self, path: Path, columns: Sequence[str], signature: str, ids: Iterable[str], retry_failed: bool = False
    ) -> None:
        if path.suffix.lower() == ".json":
            raise ValueError(f"Expected a table that is not named .json, which is the summary's ending, got {path}.")
        self.path = path
        self.columns = list(columns)
        self.signature = signature
        self.rows: dict[str, dict[str, str]] = {}
        header = ["id", *self.columns, "error"]
        if path.exists() and self._finished():
            self._keep_finished(header, set(ids), retry_failed)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_line(header), encoding="utf-8")
            self._write_summary({"signature": signature})

    @property
    def summary_path(self) -> Path:
        """The JSON file beside the table."""
        return self.path.with_suffix(".json")

    def add(self, clip_id: str, values: Mapping[str, float], error: str = "") -> None:
        """Append a row and flush it.

        Args:
            clip_id: id of the clip.
            values: column to value; missing and NaN become empty cells.
            error: why the clip, or a part of it, has no value.
        """
        cells = {name: values.get(name, math.nan) for name in self.columns}
        row = {"id": clip_id, "error": " ".join(error.split())}
        # 9 digits hold a float32 exactly.
        row |= {name: "" if math.isnan(value) else f"{value:.9g}" for name, value in cells.items()}
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(_line([row[name] for name in ("id", *self.columns, "error")]))
        self.rows[clip_id] = row

    def write_summary(self, **extra: Any) -> dict[str, Any]:
        """Write the summary of all rows.

        Args:
            extra: further entries.

        Returns:
            ``signature``, ``clips``, ``failed``, ``failures`` (id to reason), and for each column its ``mean`` (NaN
            without a value is null) and ``count``.
        """
        failures = {row["id"]: row["error"] for row in self.rows.values() if row["error"]}
        columns = {}
        for name in self.columns:
            values = [float(row[name]) for row in self.rows.values() if row[name]]
            columns[name] = {"mean": math.fsum(values) / len(values) if values else None, "count": len(values)}
        counts = {"clips": len(self.rows), "failed": len(failures)}
        summary = {"signature": self.signature, **extra, **counts, "columns": columns, "failures": failures}
        self._write_summary(summary)
        return summary

    def _finished(self) -> str:
        """Give the file's whole lines: what follows the last newline was cut off."""
        text = self.path.read_bytes().decode("utf-8", errors="ignore")
        return text[: text.rfind("\n") + 1]

    def _keep_finished(self, header: list[str], ids: set[str], retry_failed: bool) -> None:
        text = self._finished()
        rows = list(csv.reader(io.StringIO(text, newline="")))
        recorded = json.loads(self.summary_path.read_text()).get("signature") if self.summary_path.exists() else None
        if recorded is None:
            raise ValueError(f"{self.path} exists and is no table of this command; choose another output.")
        if recorded != self.signature:
            raise ValueError(f"{self.path} was written with signature {recorded}, now it is {self.signature}.")
        if rows[0] != header or any(len(row) != len(header) for row in rows):
            raise ValueError(f"Expected {self.path} to have the columns {', '.join(header)}, got {', '.join(rows[0])}.")
        kept = [row for row in rows[1:] if not (retry_failed and row[-1])]
        self.rows = {row[0]: dict(zip(header, row, strict=True)) for row in kept}
        if unknown := self.rows.keys() - ids:
            raise ValueError(f"{self.path} holds {len(unknown)} ids that are not to be scored, e.g. {min(unknown)!r}.")
        self.path.write_text("".join(map(_line, [header, *kept])), encoding="utf-8", newline="")

    def _write_summary(self, summary: Mapping[str, Any]) -> None:
        self.summary_path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()
