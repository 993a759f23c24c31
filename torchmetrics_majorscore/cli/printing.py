"""What commands print: results to stdout, as text or as one JSON object, and everything else to stderr."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.cli.progress import Progress
from torchmetrics_majorscore.cli.terminal import visible
from torchmetrics_majorscore.modalities import MODALITIES
from torchmetrics_majorscore.tables.read import MEANINGLESS, is_seeded

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 10


class Output:
    """Where a command says what it found.

    Args:
        options: of the command: ``json`` for one object with the same numbers instead of text, ``quiet`` to leave out
            what was not asked for, and the ``format`` of its tables, if it prints any.
        progress: what is shown meanwhile.
    """

    def __init__(self, options: argparse.Namespace, progress: Progress) -> None:
        self.progress = progress
        self.json: bool = options.json
        self.quiet: bool = options.quiet
        self.format: Any = getattr(options, "format", "markdown")
        self._found: dict[str, Any] = {}
        self._after_table = False

    def table(self, name: str, frame: pd.DataFrame, best: Mapping[str, str] | None = None) -> None:
        """Print a table, in the format that was asked for; in JSON it is a list of rows under its name."""
        self.record(**{name: frame})
        if not self.json:
            from torchmetrics_majorscore.tables.render import render_table

            self._write(("\n" if self._after_table else "") + render_table(frame, self.format, best))
            self._after_table = True

    def result(self, *lines: str) -> None:
        """Print lines of the result, which are not in JSON: :meth:`record` them too."""
        if not self.json:
            self._write("".join(f"{line}\n" for line in lines))
            self._after_table = False

    def notes(self, *lines: str) -> None:
        """Print lines about the result: in LaTeX as comments, beside CSV, which has none, to stderr."""
        if self.json or self.quiet:
            return
        if self.format == "csv":
            for line in lines:
                self.progress.write(line)
        else:
            start = "% " if self.format == "latex" else ""
            self._write(("\n" if self._after_table else "") + "".join(f"{start}{line}\n" for line in lines))
        self._after_table = False

    def origin(self, signature: str) -> None:
        """Say what made the scores; that they mean nothing is said in any case."""
        seeded = is_seeded(signature)
        self.record(signature=signature, seeded=seeded)
        self.notes(f"signature: {signature}", *([MEANINGLESS] if seeded else []))
        if seeded and self.quiet:
            self.error(MEANINGLESS)

    def failures(self, reasons: Mapping[str, str], clips: int, others: str) -> None:
        """Say which clips failed and why: the first of them, for there may be thousands, and how many.

        Args:
            reasons: clip to its reason.
            clips: how many there are in all.
            others: where the reasons of all stand.
        """
        self.record(clips=clips, failed=len(reasons), failures=reasons)
        self.notes(*(f"{clip}: {reason}" for clip, reason in islice(reasons.items(), SHOWN)))
        if len(reasons) > SHOWN:
            self.notes(f"... and {len(reasons) - SHOWN} more, {others}")
        count = f"{len(reasons)} of {clips} clips failed, in whole or in part."
        self.notes(count)
        if self.quiet and reasons:
            self.error(count)

    def remarks(self, remarks: Mapping[str, str], others: str) -> None:
        """Say what is noteworthy of clips that were scored, each remark once, and of which clips: the first of them.

        Args:
            remarks: clip to its remarks.
            others: where those of all stand.
        """
        self.record(remarks=remarks)
        whose: dict[str, list[str]] = {}
        for clip, said in remarks.items():
            for remark in said.split("; "):
                whose.setdefault(remark, []).append(clip)
        lines = [_remark_of(remark, whose[remark]) for remark in sorted(whose, key=lambda one: -len(whose[one]))]
        self.notes(*lines[:SHOWN])
        if remarks:
            self.notes(f"{len(remarks)} clips have remarks, {others}")

    def record(self, **values: Any) -> None:
        """Keep values for JSON: numbers, strings, DataFrames, dataclasses, and lists and dicts of them."""
        self._found |= values

    def error(self, line: str) -> None:
        """Print a line to stderr, whatever was asked for."""
        self.progress.write(f"majorscore: {line}")

    def close(self) -> None:
        """Print what was kept, if it was to be JSON."""
        if self.json:
            self._write(json.dumps(as_json(self._found), indent=2, allow_nan=False) + "\n")

    def _write(self, text: str) -> None:
        with self.progress.aside():
            sys.stdout.write(visible(text))
            sys.stdout.flush()  # a reader that has gone is noticed before anything is said beside


def _remark_of(remark: str, clips: Sequence[str]) -> str:
    """Name the clips of a remark: ``audio of a, b is silent``."""
    more = f" and {len(clips) - SHOWN} more" if len(clips) > SHOWN else ""
    names = ", ".join(clips[:SHOWN]) + more
    subject, _, rest = remark.partition(" ")
    return f"{subject} of {names} {rest}" if subject in MODALITIES else f"{names}: {remark}"


def drawn(seed: int) -> str:
    """Say how intervals were drawn."""
    return f"In brackets: 95 % bootstrap intervals, 1000 resamples of clips, seed {seed}."


def as_json(value: Any) -> Any:
    """Turn a value into what JSON knows; what is not finite becomes null, a DataFrame a list of its rows."""
    if hasattr(value, "reset_index"):
        frame = value.reset_index() if value.index.names != [None] else value
        return [as_json(dict(zip(frame, row, strict=True))) for row in frame.itertuples(index=False, name=None)]
    if is_dataclass(value) and not isinstance(value, type):
        return as_json(asdict(value))
    if isinstance(value, Mapping):
        return {name if isinstance(name, str) else " ".join(name): as_json(item) for name, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [as_json(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    # What is left are paths, and pandas' missing values.
    return value if isinstance(value, (bool, int, str, type(None))) else None if str(value) == "<NA>" else str(value)
