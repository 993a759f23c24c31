"""Embeddings of clips in a file: each clip is encoded once, and every protocol after that is arithmetic.

The file is safetensors, or Parquet (zstd) if its name says so: a row for each clip, with its ``id``, ``remarks``,
``error`` and ``source``, and for each modality a column ``embedding_NAME`` of float32 lists of one length, null where a
clip has no value; the signature is in the file's metadata.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.media.entry import legible
from torchmetrics_majorscore.replace import replacing
from torchmetrics_majorscore.tables.parquet import ROWS, is_parquet

Vectors = NDArray[np.float32]
KEY = b"majorscore embeddings"
PREFIX = "embedding_"
WORDS = {"remarks": "remarks", "error": "errors", "source": "sources"}  # column to attribute


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
        """Write a file of the kind that its name says; an older one is replaced, and never left half written."""
        if is_parquet(path):
            _write_parquet(path, self)
            return
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
        if not path.is_file():
            raise FileNotFoundError(f"Expected a file of clip embeddings, got no {path}.")
        if is_parquet(path):
            return _read_parquet(path)
        needs_extra("safetensors", "evaluation")
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                names, words = list(file.keys()), file.metadata()
            vectors = {}
            for name in names:  # each by itself, or the whole file would be mapped beside what was taken from it
                with safe_open(path, framework="numpy") as file:
                    vectors[name] = file.get_tensor(name)
            return cls._parsed(words, vectors)
        except (SafetensorError, ValueError) as error:
            raise ValueError(f"Expected a file of clip embeddings, got {path}: {error}.") from error

    def to_bytes(self) -> bytes:
        """Give what :meth:`save` writes to a safetensors file."""
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
        """Give the vectors of some clips, in their order; of all in the file's order no copy is made."""
        if list(ids) == self.ids:
            return dict(self.vectors)
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


def _write_parquet(path: Path, clips: ClipEmbeddings) -> None:
    needs_extra("pyarrow", "scale")
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"id": pa.array(clips.ids, pa.string())}
    for name, attribute in WORDS.items():
        words = getattr(clips, attribute)
        columns[name] = pa.array([legible(words[i]) if i in words else None for i in clips.ids], pa.string())
    for name, vector in clips.vectors.items():
        flat = pa.array(np.ascontiguousarray(vector, np.float32).reshape(-1))
        missing = pa.array(np.isnan(vector).all(axis=1))
        columns[PREFIX + name] = pa.FixedSizeListArray.from_arrays(flat, vector.shape[1], mask=missing)
    table = pa.table(columns).replace_schema_metadata({KEY: clips.signature})
    with replacing(path) as new:
        pq.write_table(table, new, row_group_size=ROWS, compression="zstd", use_dictionary=False)


def _read_parquet(path: Path) -> ClipEmbeddings:
    needs_extra("pyarrow", "scale")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"Expected a file of clip embeddings, got {path}: {error}.") from error
    signature = (table.schema.metadata or {}).get(KEY)
    if signature is None:
        raise ValueError(f"Expected a file of clip embeddings, got {path}: it has no signature of embeddings.")
    ids = table["id"].to_pylist()
    words = {
        attribute: {i: word for i, word in zip(ids, table[name].to_pylist(), strict=True) if word is not None}
        for name, attribute in WORDS.items()
    }
    vectors = {}
    for name in (name for name in table.column_names if name.startswith(PREFIX)):
        column = table[name].combine_chunks()
        vectors[name.removeprefix(PREFIX)] = full = np.full((len(ids), column.type.list_size), np.nan, np.float32)
        full[column.is_valid().to_numpy(zero_copy_only=False)] = column.flatten().to_numpy().reshape(-1, full.shape[1])
    return ClipEmbeddings(ids, vectors, signature.decode(), **words)
