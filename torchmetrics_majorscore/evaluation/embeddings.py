"""Embeddings of clips in a file: each clip is encoded once, and every protocol after that is arithmetic."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from torchmetrics_majorscore.evaluation.score import ClipScorer, ReadClip, ScoreOptions, batches, read_ahead
from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.media import Entry

SAVED_EVERY = 64


@dataclass
class ClipEmbeddings:
    """Embeddings of clips with the signature of what made them.

    Args:
        ids: of the clips, (N,).
        vectors: name as in ``update(embeddings=...)`` to float32 (N, D), NaN where a clip has no value.
        signature: encoders with the digests of their weights, and how frames were picked and pooled.
        errors: id to the reason why a clip, or a part of it, is NaN.
    """

    ids: list[str]
    vectors: dict[str, Tensor]
    signature: str
    errors: dict[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write a safetensors file; an older one is replaced, and never left half written."""
        needs_extra("safetensors", "cmcr")
        from safetensors.torch import save_file

        lists = {"ids": json.dumps(self.ids), "errors": json.dumps(self.errors)}
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.unfinished")
        tensors = {name: vector.contiguous() for name, vector in self.vectors.items()}
        save_file(tensors, unfinished, {"signature": self.signature, **lists})
        unfinished.replace(path)

    @classmethod
    def load(cls, path: Path) -> "ClipEmbeddings":
        """Read what :meth:`save` wrote."""
        needs_extra("safetensors", "cmcr")
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if not {"signature", "ids", "errors"} <= metadata.keys():
                raise ValueError(f"Expected a file of clip embeddings, got one without a signature: {path}.")
            vectors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
        return cls(json.loads(metadata["ids"]), vectors, metadata["signature"], json.loads(metadata["errors"]))

    def select(self, ids: Sequence[str]) -> dict[str, Tensor]:
        """Give the vectors of some clips, in their order."""
        rows = {clip_id: row for row, clip_id in enumerate(self.ids)}
        order = torch.tensor([rows[clip_id] for clip_id in ids], dtype=torch.int64)
        return {name: vector[order] for name, vector in self.vectors.items()}


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
