"""Embeddings of clips in a file: each clip is encoded once, and every protocol after that is arithmetic."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.replace import replacing

Vectors = NDArray[np.float32]


@dataclass
class ClipEmbeddings:
    """Embeddings of clips with the signature of what made them.

    Args:
        ids: of the clips, (N,).
        vectors: name as in ``update(embeddings=...)`` to float32 (N, D), NaN where a clip has no value.
        signature: encoders with the digests of their weights, and how frames were picked and pooled.
        errors: id to the reason why a clip, or a part of it, is NaN.
        remarks: id to what is noteworthy of a clip, for example that its sound is silent.
        sources: id to a digest of what its embeddings depend on, see :class:`.EmbeddingWriter`.
    """

    ids: list[str]
    vectors: dict[str, Vectors]
    signature: str
    errors: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write a safetensors file; an older one is replaced, and never left half written."""
        needs_extra("safetensors", "evaluation")
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        with replacing(path) as new:
            try:
                save_file(self._arrays(), new, self._words())
            except SafetensorError as error:  # a full disk, for example
                raise OSError(f"Expected to write {path}, got: {error}.") from error

    @classmethod
    def load(cls, path: Path) -> "ClipEmbeddings":
        """Read what :meth:`save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is truncated, empty or foreign.
        """
        needs_extra("safetensors", "evaluation")
        from safetensors import SafetensorError, safe_open

        if not path.is_file():
            raise FileNotFoundError(f"Expected a file of clip embeddings, got no {path}.")
        try:
            with safe_open(path, framework="numpy") as file:
                vectors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
                return cls._parsed(file.metadata(), vectors)
        except (SafetensorError, ValueError) as error:
            raise ValueError(f"Expected a file of clip embeddings, got {path}: {error}.") from error

    def to_bytes(self) -> bytes:
        """Give what :meth:`save` writes."""
        needs_extra("safetensors", "evaluation")
        from safetensors.numpy import save

        return save(self._arrays(), self._words())

    @classmethod
    def from_bytes(cls, content: bytes) -> "ClipEmbeddings":
        """Read what :meth:`to_bytes` gave; ValueError if it is something else."""
        needs_extra("safetensors", "evaluation")
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            return cls._parsed(header["__metadata__"], load(content))
        except (SafetensorError, KeyError, TypeError) as error:
            raise ValueError(str(error)) from error

    def select(self, ids: Sequence[str]) -> dict[str, Vectors]:
        """Give the vectors of some clips, in their order."""
        rows = {clip_id: row for row, clip_id in enumerate(self.ids)}
        order = [rows[clip_id] for clip_id in ids]
        return {name: vector[order] for name, vector in self.vectors.items()}

    def _arrays(self) -> dict[str, Vectors]:
        return {name: np.ascontiguousarray(vector, np.float32) for name, vector in self.vectors.items()}

    def _words(self) -> dict[str, str]:
        lists = {name: json.dumps(getattr(self, name)) for name in ("ids", "errors", "remarks", "sources")}
        return {"signature": self.signature, **lists}

    @classmethod
    def _parsed(cls, words: Mapping[str, str] | None, vectors: dict[str, Vectors]) -> "ClipEmbeddings":
        names = ("ids", "errors", "remarks", "sources")
        if not words or not {"signature", *names} <= words.keys():
            raise ValueError("it has no signature")
        lists = {name: json.loads(words[name]) for name in names}
        return cls(vectors=vectors, signature=words["signature"], **lists)
