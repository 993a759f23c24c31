"""Clips on disk to a file of their embeddings."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from torchmetrics_majorscore.media import Entry
from torchmetrics_majorscore.scoring.score import ClipScorer, ReadClip, ScoreOptions, batches, read_ahead
from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings

SAVED_EVERY = 64


def embed_clips(
    entries: Sequence[Entry], path: Path, options: ScoreOptions, on_clip: Callable[[], object] = lambda: None
) -> ClipEmbeddings:
    """Encode the clips that a file lacks and add them to it.

    Args:
        entries: the clips; their ids are unique.
        path: of the file; it is saved now and then, and continued.
        options: how; ``pairs`` and ``retry_failed`` have no effect.
        on_clip: called after each clip, those of the file included.

    Returns:
        All embeddings of the file. What cannot be read is NaN and has its reason.

    Raises:
        ValueError: the file has another signature.
        FileNotFoundError: weights are missing.
    """
    scorer = ClipScorer(options)
    signature = _signature(scorer)
    known = ClipEmbeddings.load(path) if path.is_file() else ClipEmbeddings([], {}, signature)
    if known.signature != signature:
        raise ValueError(f"{path} was written with signature {known.signature}, now it is {signature}.")
    done = set(known.ids)
    for _ in done:
        on_clip()
    waiting = [entry for entry in entries if entry.id not in done]
    for number, batch in enumerate(batches(read_ahead(waiting, options), options.batch_size), start=1):
        _encode(scorer, batch, known)
        if number % SAVED_EVERY == 0 or len(known.ids) == len(done) + len(waiting):
            known.save(path)
        for _ in batch:
            on_clip()
    return known


def _signature(scorer: ClipScorer) -> str:
    return "|".join(part for part in scorer.signature.split("|") if not part.startswith(("majorscore", "pairs:")))


def _encode(scorer: ClipScorer, batch: Sequence[ReadClip], known: ClipEmbeddings) -> None:
    """Add the embeddings of a batch; if it is refused, those of its clips one by one."""
    vectors: dict[str, Tensor] = {}
    refused = ""
    try:
        inputs = scorer.inputs(batch)
        for metric in scorer.metrics.values():
            vectors |= {name: embedded.cpu() for name, embedded in metric.encode(**inputs).items()}
    except ValueError as error:
        if len(batch) > 1:
            for read in batch:
                _encode(scorer, [read], known)
            return
        refused = str(error)
    known.errors |= {read.entry.id: why for read in batch if (why := "; ".join(filter(None, (read.error, refused))))}
    _append(known, [read.entry.id for read in batch], {} if refused else vectors)


def _append(known: ClipEmbeddings, ids: Sequence[str], vectors: dict[str, Tensor]) -> None:
    """Add clips; a name that only one side has is filled up with NaN."""
    for name in known.vectors.keys() | vectors.keys():
        parts = (known.vectors.get(name), len(known.ids)), (vectors.get(name), len(ids))
        width = next(part.shape[1] for part, _ in parts if part is not None)
        full = [torch.full((count, width), math.nan) if part is None else part for part, count in parts]
        known.vectors[name] = torch.cat(full)
    known.ids += ids
