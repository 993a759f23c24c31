"""A manifest of items: each row has a modality, a file or a text, and a class; the items need not belong together."""

import csv
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torchmetrics_majorscore.training.fusion.options import MODALITIES

SPLITS = ("train", "validation", "test")
SHARES = {"validation": 0.1, "test": 0.2}  # of a class and modality, at least one item of each


@dataclass(frozen=True)
class Item:
    """One row.

    Args:
        modality: out of text, image, audio, video.
        content: a path, or a text.
        label: its class.
        split: train, validation or test.
    """

    modality: str
    content: Path | str
    label: str
    split: str


@dataclass(frozen=True)
class Count:
    """What a manifest lists of a modality, and what of it is there (link rot).

    Args:
        listed: rows.
        there: rows whose file exists; all of text.
        classes: with an item that is there.
    """

    listed: int
    there: int
    classes: int

    @property
    def share(self) -> float:
        """Of the rows that are there."""
        return self.there / self.listed if self.listed else float("nan")


def read_items(path: Path, seed: int = 0) -> tuple[list[Item], dict[str, Count]]:
    """Read a manifest of items.

    Args:
        path: CSV with the columns ``modality``, ``class``, ``file`` (relative to the manifest; of text a file that
            holds it) or ``text``, and, if it says which items are for what, ``split``.
        seed: of the split where there is no such column: 10 % of each class and modality for validation and 20 % for
            the test, at least one of each.

    Returns:
        The items that are there, and what was listed of each modality.

    Raises:
        FileNotFoundError: there is no such manifest.
        ValueError: a mistake in it, with its line.
    """
    rows: list[tuple[str, Path | str, str, str]] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        names = set(reader.fieldnames or ())
        if not {"modality", "class"} <= names or not names & {"file", "text"}:
            raise ValueError(f"Expected columns modality, class and file or text in {path}, got {reader.fieldnames}.")
        for row in reader:
            rows.append(_parsed({name: (cell or "").strip() for name, cell in row.items()}, path, reader.line_num))
    there = [row for row in rows if isinstance(row[1], str) or row[1].is_file()]
    counts = {
        name: Count(
            sum(row[0] == name for row in rows),
            sum(row[0] == name for row in there),
            len({row[2] for row in there if row[0] == name}),
        )
        for name in dict.fromkeys(row[0] for row in rows)
    }
    splits = [row[3] for row in there] if "split" in names else _drawn([row[:3] for row in there], seed)
    items = [Item(row[0], _read(row), row[2], split) for row, split in zip(there, splits, strict=True)]
    return items, counts


def _parsed(row: dict[str, str], path: Path, line: int) -> tuple[str, Path | str, str, str]:
    modality, label = row["modality"], row["class"]
    if modality not in MODALITIES:
        raise ValueError(
            f"Expected a modality out of {', '.join(MODALITIES)} in {path}, line {line}, got {modality!r}."
        )
    text = row.get("text", "") if modality == "text" else ""
    if not label or not (text or row.get("file")):
        raise ValueError(f"Expected a class and a file or a text in {path}, line {line}, got none.")
    split = row.get("split", "train")
    if split not in SPLITS:
        raise ValueError(f"Expected a split out of {', '.join(SPLITS)} in {path}, line {line}, got {split!r}.")
    return modality, text or path.parent / row["file"], label, split


def _read(row: tuple[str, Path | str, str, str]) -> Path | str:
    """Read the file of a text."""
    modality, content = row[:2]
    if modality == "text" and isinstance(content, Path):
        return content.read_text(encoding="utf-8").strip()
    return content


def _drawn(rows: Sequence[tuple[str, Path | str, str]], seed: int) -> list[str]:
    """Draw the split of each row, within its class and modality."""
    places = defaultdict(list)
    for place, (modality, _, label) in enumerate(rows):
        places[label, modality].append(place)
    splits = ["train"] * len(rows)
    generator = random.Random(seed)
    for own in places.values():
        generator.shuffle(own)
        first = 0
        for split, share in SHARES.items():
            count = max(1, round(share * len(own))) if len(own) >= len(SPLITS) else 0
            for place in own[first : first + count]:
                splits[place] = split
            first += count
    return splits
