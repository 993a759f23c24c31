"""Clips as rows of any engine: a batch of columns in, the same rows with scores and reasons out."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from torchmetrics_majorscore.media import Entry
from torchmetrics_majorscore.media.far import Far
from torchmetrics_majorscore.media.folder import kind_of
from torchmetrics_majorscore.media.tars import Held
from torchmetrics_majorscore.media.url import to_place
from torchmetrics_majorscore.scoring.batches import batches
from torchmetrics_majorscore.scoring.read import others_of, read_ahead
from torchmetrics_majorscore.scoring.score import ClipScorer, ScoreOptions

IDS = ("id", "__key__")
TEXTS = ("text", "caption", "txt", "label")


class ClipRows:
    """Scores batches of clips in Ray Data's ``map_batches``, Hugging Face's ``map``, Daft, or a pandas UDF of Spark.

    A row is a clip. Its columns are ``id`` or ``__key__``; ``video`` and ``audio``, or suffixes as in a WebDataset
    (``mp4``, ``wav``, ``jpg``, ...), that hold a path, an address, bytes or ``{"bytes": ..., "path": ...}``; ``text``,
    ``caption``, ``txt`` or ``label``; and ``start``, ``end`` and ``audio_track``. A cell that is None, NaN or "" is
    none. The encoders are built at the first batch, in the process that has it.

    Args:
        embeddings: whether the embeddings are given too.
        options: see :class:`.ScoreOptions`.

    Raises:
        TypeError, ValueError: an option that is not known or does not fit.
    """

    def __init__(self, *, embeddings: bool = False, **options: Any) -> None:
        self.embeddings = embeddings
        self.options = ScoreOptions(**options)

    @cached_property
    def scorer(self) -> ClipScorer:
        """What scores; built when it is first asked for."""
        return ClipScorer(self.options)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Score a batch.

        Args:
            batch: column to N cells, as above.

        Returns:
            The columns that hold no files as they came; those of ``majorscore score``, float32 (N,), NaN where there is
            no value; ``remarks`` and ``error``, N strings; with ``embeddings`` for each modality ``embedding_NAME``,
            float32 (N, D). No clip raises: why it has no value stands in ``error``.

        Raises:
            ValueError: there is no column of ids, or none of files.
        """
        others = others_of(self.scorer.encoder.wanted)
        files = {name: kind for name in batch if (kind := _kind(name, others))}
        key = next((name for name in IDS if name in batch), None)
        if key is None or not files:
            raise ValueError(f"Expected a column {' or '.join(IDS)} and one of files, got {', '.join(batch)}.")
        cells = {name: list(batch[name]) for name in batch}  # a column of pandas has keys, not places
        rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
        kept = {name: column for name, column in batch.items() if name not in files}
        return {**kept, **self.score([_entry(row, str(row[key]), files, others) for row in rows])}

    def score(self, entries: Sequence[Entry]) -> dict[str, Any]:
        """Score clips; gives the columns that :meth:`__call__` adds."""
        encoder, options = self.scorer.encoder, self.options
        clips = read_ahead(entries, encoder.frame_size, options.workers, 2 * options.batch_size, encoder.wanted)
        encoded = [encoder.encode(batch) for batch in batches(clips, options.batch_size)]
        rows = [row for part in encoded for row in self.scorer.rows(part)]
        found: dict[str, Any] = {
            name: np.array([row[name] for row in rows], dtype=np.float32) for name in self.scorer.columns
        }
        found["remarks"] = [part.remarks.get(clip_id, "") for part in encoded for clip_id in part.ids]
        found["error"] = [part.errors.get(clip_id, "") for part in encoded for clip_id in part.ids]
        names = dict.fromkeys(name for part in encoded for name in part.vectors) if self.embeddings else ()
        for name in names:
            width = next(part.vectors[name].shape[1] for part in encoded if name in part.vectors)
            nothing = np.full(width, math.nan, dtype=np.float32)
            found[f"embedding_{name}"] = np.stack(
                [
                    part.vectors[name][place].numpy() if name in part.vectors else nothing
                    for part in encoded
                    for place in range(len(part.ids))
                ]
            )
        return found


def _kind(column: str, others: Sequence[str]) -> str | None:
    """Give the modality whose files stand in a column; None if it holds none."""
    if column in ("video", "image", "audio", *others):
        return column
    kind = kind_of(f"a.{column}", others)
    return None if kind == "text" else kind


def _entry(row: Mapping[str, Any], clip_id: str, files: Mapping[str, str], others: Sequence[str]) -> Entry:
    """Make the entry of a row."""
    errors: list[str] = []
    places: dict[str, Path | Far] = {}
    for column, kind in files.items():
        if (place := _place(row[column], column, clip_id)) is not None:
            places.setdefault(kind, place)
    texts = [_text(row[name], errors) for name in TEXTS if name in row]
    text, other = next(filter(None, texts), None), {name: places.pop(name) for name in others if name in places}
    start, end, track = (_number(row.get(name), name, errors) for name in ("start", "end", "audio_track"))
    return Entry(
        clip_id,
        places.get("video", places.get("image")),
        places.get("audio"),
        text,
        start or 0.0,
        end,
        audio_track=None if track is None else int(track),
        error="; ".join(errors) or None,
        files=other,
    )


def _place(cell: Any, column: str, clip_id: str) -> Path | Far | None:
    data: Any
    path: Any
    data, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, Mapping) else (None, cell)
    if isinstance(path, (bytes, bytearray, memoryview)):
        data, path = bytes(path), None
    if _is_none(data):
        return None if _is_none(path) else to_place(path)
    return Held("row", Path(str(path)).name if path else f"{clip_id}.{column}", data, 0.0)


def _text(cell: Any, errors: list[str]) -> str | None:
    if isinstance(cell, bytes):
        try:
            return cell.decode("utf-8-sig")
        except UnicodeDecodeError:
            errors.append("Expected a caption in UTF-8; is it in another encoding?")
            return None
    return None if _is_none(cell) else str(cell)


def _number(cell: Any, name: str, errors: list[str]) -> float | None:
    if _is_none(cell):
        return None
    try:
        return float(cell)
    except (TypeError, ValueError):
        errors.append(f"Expected {name} to be a number, got {cell!r}")
        return None


def _is_none(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell) or (isinstance(cell, float) and math.isnan(cell))
