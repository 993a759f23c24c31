"""True labels of clips, several for each, as VGGSounder has them."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

SHOWS = {"A": ("audio",), "V": ("video", "image"), "AV": ("audio", "video", "image")}
"""Which modalities show a label."""


def read_labels(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Read the true labels of clips, several for each: id to (label, what shows it: A, V or AV).

    Args:
        path: CSV with the columns ``video_id``, ``label`` and ``modality``.

    Raises:
        ValueError: other columns, or an unknown modality.
    """
    labels: dict[str, list[tuple[str, str]]] = defaultdict(list)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        if not {"video_id", "label", "modality"} <= set(rows.fieldnames or ()):
            raise ValueError(f"Expected columns video_id, label, modality in {path}, got {rows.fieldnames}.")
        for row in rows:
            if row["modality"] not in SHOWS:
                raise ValueError(
                    f"Expected modality A, V or AV in {path}, line {rows.line_num}, got {row['modality']}."
                )
            labels[row["video_id"]].append((row["label"], row["modality"]))
    return dict(labels)
