"""Sheets for a listening study: what to rate, without the names of the models, and the key to them."""

from __future__ import annotations

import csv
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torchmetrics_majorscore.media.cells import neutral
from torchmetrics_majorscore.replace import replacing

if TYPE_CHECKING:
    import pandas as pd

_CODES = 16**8


def draw_clips(tables: Mapping[str, pd.DataFrame], count: int | None = None, seed: int = 0) -> list[str]:
    """Draw clips to be rated out of those that every table has without an error.

    Args:
        tables: model to its table, see :func:`.read_tables`.
        count: how many; None for all.
        seed: of the draw.

    Returns:
        Clip ids, in the order of the first table.

    Raises:
        ValueError: there are not so many, or none.
    """
    sound = [{clip for clip, error in table["error"].items() if not error} for table in tables.values()]
    clips = [clip for clip in next(iter(tables.values())).index if all(clip in ids for ids in sound)]
    count = len(clips) if count is None else count
    if not 1 <= count <= len(clips):
        raise ValueError(f"Expected 1 or more of the {len(clips)} clips without an error in any table, got {count}.")
    drawn = set(random.Random(seed).sample(clips, count))
    return [clip for clip in clips if clip in drawn]


def write_sheet(clips: Sequence[str], models: Sequence[str], sheet: Path, key: Path, seed: int = 0) -> None:
    """Write a sheet to be filled in, and the key that :func:`.read_ratings` needs to read it.

    Both are CSV files with a row per clip and model, grouped by clip, the models of each clip in random order. The
    sheet has ``id``, ``item``, ``rater`` and ``rating``, the last two empty; the key has ``item``, ``id`` and
    ``model``. An item is a code of 8 hexadecimal digits, to name the blinded files by.

    Args:
        clips: ids, unique.
        models: names, unique.
        sheet: file for the raters; it must not exist.
        key: file for the researcher; it must not exist.
        seed: of the order and the codes.

    Raises:
        FileExistsError: one of the files exists; it may hold ratings.
        ValueError: no clips or models, some twice, or one path for both files.
    """
    for name, values in (("clips", clips), ("models", models)):
        if not values or len(set(values)) < len(values):
            raise ValueError(f"Expected unique {name}, at least one, got {', '.join(values) or 'none'}.")
    if sheet == key:
        raise ValueError(f"Expected two files, got {sheet} for the sheet and the key.")
    for path in (sheet, key):
        if path.exists():
            raise FileExistsError(f"Expected a new file, got {path}, which exists.")
    generator = random.Random(seed)
    pairs = [(clip, model) for clip in clips for model in generator.sample(list(models), len(models))]
    items = [f"{code:08x}" for code in generator.sample(range(_CODES), len(pairs))]
    coded = list(zip(items, pairs, strict=True))
    _write(key, ["item", "id", "model"], [[item, clip, model] for item, (clip, model) in coded])
    _write(sheet, ["id", "item", "rater", "rating"], [[clip, item, "", ""] for item, (clip, _) in coded])


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with replacing(path) as new, new.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([[neutral(cell) for cell in row] for row in (header, *rows)])
