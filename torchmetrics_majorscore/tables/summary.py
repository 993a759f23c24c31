"""What the JSON file beside a table says of its rows."""

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from torchmetrics_majorscore.media.cells import original


class Summary:
    """Counts, means and reasons of the rows that are added; of a value eight bytes are kept.

    Args:
        columns: names of the value columns.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._clips = 0
        self._values = {name: array("d") for name in columns}
        self._words: dict[str, dict[str, str]] = {"error": {}, "remarks": {}}

    def add(self, row: Mapping[str, str]) -> None:
        """Add a row, column to cell."""
        self._clips += 1
        for name, values in self._values.items():
            if row[name]:
                values.append(float(row[name]))
        for name, reasons in self._words.items():
            if row[name]:
                reasons[row["id"]] = row[name]

    def add_columns(self, columns: Mapping[str, Sequence[bytes]]) -> None:
        """Add rows, column to cells as they stand in a CSV file."""
        self._clips += len(columns["id"])
        for name, values in self._values.items():
            values.extend(map(float, filter(None, columns[name])))
        for name, reasons in self._words.items():
            for clip, said in zip(columns["id"], columns[name], strict=True):
                if said:
                    clip_id, reason = (original(cell.decode("utf-8", "surrogateescape")) for cell in (clip, said))
                    reasons[clip_id] = reason

    def result(self, signature: str, changed: int, **extra: Any) -> dict[str, Any]:
        """Give the summary.

        Args:
            signature: of the table.
            changed: clips that were scored again since they had changed.
            extra: further entries.

        Returns:
            ``signature``, ``clips``, ``failed``, ``remarked`` and ``changed`` (counts), for each of ``columns`` its
            ``mean`` (NaN without a value is null) and ``count``, and ``failures`` and ``remarks`` (id to reason).
        """
        failures, remarks = self._words["error"], self._words["remarks"]
        counts = {"clips": self._clips, "failed": len(failures), "remarked": len(remarks), "changed": changed}
        columns = {
            # Exact sums, so that the order of the rows does not matter.
            name: {"mean": math.fsum(values) / len(values) if values else None, "count": len(values)}
            for name, values in self._values.items()
        }
        words = {"failures": failures, "remarks": remarks}
        return {"signature": signature, **extra, **counts, "columns": columns, **words}
