"""What commands print: tables, notes behind them, where numbers come from."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.tables.read import MEANINGLESS, is_seeded

if TYPE_CHECKING:
    import pandas as pd


def print_table(frame: pd.DataFrame, form: Any, best: Mapping[str, str] | None = None) -> None:
    """Write a table in the format that was asked for."""
    from torchmetrics_majorscore.tables.render import render_table

    sys.stdout.write(render_table(frame, form, best))


def print_notes(notes: Sequence[str], form: str) -> None:
    """Write notes behind a table: as comments in LaTeX, to stderr for CSV, which has none."""
    if form == "csv":
        sys.stderr.write("".join(f"{note}\n" for note in notes))
    else:
        start = "% " if form == "latex" else ""
        sys.stdout.write("\n" + "".join(f"{start}{note}\n" for note in notes))


def few(failures: Mapping[str, str], most: int = 5) -> list[str]:
    """Give lines for the first of many failures, id to reason."""
    lines = [f"  {clip_id}: {reason}" for clip_id, reason in list(failures.items())[:most]]
    return [*lines, f"  and {len(failures) - most} more"] if len(failures) > most else lines


def drawn(seed: int) -> str:
    """Say how intervals were drawn."""
    return f"In brackets: 95 % bootstrap intervals, 1000 resamples of clips, seed {seed}."


def origin(signature: str) -> list[str]:
    """Give the notes on what made the scores."""
    return [f"signature: {signature}", *([MEANINGLESS] if is_seeded(signature) else [])]
