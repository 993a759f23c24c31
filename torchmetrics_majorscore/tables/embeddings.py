"""Embeddings of clips in a file: each clip is encoded once, and every protocol after that is arithmetic."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from torchmetrics_majorscore.extras import needs_extra


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
