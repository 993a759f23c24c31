"""Clips on disk to a file of their embeddings."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from torchmetrics_majorscore.media import Entry
from torchmetrics_majorscore.scoring.encode import ClipEncoder, EncodeOptions, batches
from torchmetrics_majorscore.scoring.read import read_ahead
from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings

SAVED_EVERY = 64


def embed_clips(
    entries: Sequence[Entry], path: Path, options: EncodeOptions, on_clip: Callable[[], object] = lambda: None
) -> ClipEmbeddings:
    """Encode the clips that a file lacks and add them to it.

    Args:
        entries: the clips; their ids are unique.
        path: of the file; it is saved now and then, and continued.
        options: how.
        on_clip: called after each clip, those of the file included.

    Returns:
        All embeddings of the file. What cannot be read is NaN and has its reason.

    Raises:
        ValueError: the file has another signature.
        FileNotFoundError: weights are missing.
    """
    encoder = ClipEncoder(options)
    known = ClipEmbeddings.load(path) if path.is_file() else ClipEmbeddings([], {}, encoder.signature)
    if known.signature != encoder.signature:
        raise ValueError(f"{path} was written with signature {known.signature}, now it is {encoder.signature}.")
    done = set(known.ids)
    for _ in done:
        on_clip()
    waiting = [entry for entry in entries if entry.id not in done]
    clips = read_ahead(waiting, encoder.frame_size, options.workers, 2 * options.batch_size)
    for number, batch in enumerate(batches(clips, options.batch_size), start=1):
        encoded = encoder.encode(batch)
        known.errors |= encoded.errors
        _append(known, encoded.ids, encoded.vectors)
        if number % SAVED_EVERY == 0 or len(known.ids) == len(done) + len(waiting):
            known.save(path)
        for _ in batch:
            on_clip()
    return known


def _append(known: ClipEmbeddings, ids: Sequence[str], vectors: dict[str, Tensor]) -> None:
    """Add clips; a name that only one side has is filled up with NaN."""
    for name in known.vectors.keys() | vectors.keys():
        parts = (known.vectors.get(name), len(known.ids)), (vectors.get(name), len(ids))
        width = next(part.shape[1] for part, _ in parts if part is not None)
        full = [torch.full((count, width), math.nan) if part is None else part for part, count in parts]
        known.vectors[name] = torch.cat(full)
    known.ids += ids
