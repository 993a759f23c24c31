"""A file of embeddings that grows batch by batch and survives a kill.

Each batch is appended at once to ``NAME.parts``, as its length in 8 bytes and the bytes of a safetensors file; at the
end all of them become the one file, see :meth:`.ClipEmbeddings.save`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from torchmetrics_majorscore.replace import naming
from torchmetrics_majorscore.tables.claim import check_signature
from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings, Vectors
from torchmetrics_majorscore.tables.source import digest

_LENGTH = 8


class EmbeddingWriter:
    """Embeddings that are written batch by batch; opening the file again keeps what is there.

    A batch costs what it is long, however many clips there are. A kill loses the batch that is being encoded or written
    and no other. One process at a time writes a file, see :func:`.claim`.

    Args:
        path: the file, see :meth:`.ClipEmbeddings.save`; it may exist.
        signature: what makes the embeddings; a file is never continued with another one.
        sources: id of each clip to what its embeddings depend on, see :func:`.source_of`. Clips of the file that
            are not among them stay in it.

    Attributes:
        done: ids of ``sources`` that are in the file and have not changed.
        changed: ids of ``sources`` that are in the file and have.

    Raises:
        ValueError: the file has another signature, or is truncated, empty or foreign.
    """

    def __init__(self, path: Path, signature: str, sources: Mapping[str, str]) -> None:
        self.path, self.signature = path, signature
        self._sources = {clip_id: digest(source) for clip_id, source in sources.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._growing = path.with_name(f"{path.name}.parts")
        self._parts = [ClipEmbeddings.load(path) if path.exists() else ClipEmbeddings([], {}, signature)]
        if self._growing.exists():
            self._parts += self._read_parts()
        for part in self._parts:
            check_signature(path, part.signature, signature)
        there = {clip_id: part.sources.get(clip_id) for part in self._parts for clip_id in part.ids}
        self.done = {clip_id for clip_id, source in self._sources.items() if there.get(clip_id) == source}
        self.changed = [clip_id for clip_id in sources if clip_id in there and clip_id not in self.done]

    def add(
        self,
        ids: Sequence[str],
        vectors: Mapping[str, Vectors],
        errors: Mapping[str, str] | None = None,
        remarks: Mapping[str, str] | None = None,
    ) -> None:
        """Append a batch.

        Args:
            ids: of B clips.
            vectors: name to float32 (B, D), NaN where a clip has no value; a name may be left out.
            errors: id to the reason why a clip, or a part of it, is NaN.
            remarks: id to what is noteworthy of a clip.
        """
        sources = {clip_id: self._sources[clip_id] for clip_id in ids}
        words = dict(errors or {}), dict(remarks or {}), sources
        part = ClipEmbeddings(list(ids), dict(vectors), self.signature, *words)
        content = part.to_bytes()
        with naming(self._growing), self._growing.open("ab") as file:
            file.write(len(content).to_bytes(_LENGTH, "little") + content)
        self._parts.append(part)

    def finish(self) -> ClipEmbeddings:
        """Write all batches into the one file, and give everything that is in it."""
        if len(self._parts) > 1:
            self._parts = [_merge(self._parts)]
            self._parts[0].save(self.path)
            self._growing.unlink(missing_ok=True)
        return self._parts[0]

    def _read_parts(self) -> Iterator[ClipEmbeddings]:
        """Give the whole batches and cut off what follows them: the one that was being written at a kill."""
        content, start = self._growing.read_bytes(), 0
        while (end := start + _LENGTH + int.from_bytes(content[start : start + _LENGTH], "little")) <= len(content):
            try:
                yield ClipEmbeddings.from_bytes(content[start + _LENGTH : end])
            except ValueError as error:
                raise ValueError(f"Expected batches of embeddings, got {self._growing}: {error}.") from error
            start = end
        with naming(self._growing), self._growing.open("r+b") as file:
            file.truncate(start)


def _merge(parts: Sequence[ClipEmbeddings]) -> ClipEmbeddings:
    """Join embeddings; of a clip that is there twice the later ones stay. What a part lacks, or has less of, is NaN."""
    of = {clip_id: part for part in parts for clip_id in part.ids}
    rows = {clip_id: row for row, clip_id in enumerate(clip_id for part in parts for clip_id in part.ids)}
    names = dict.fromkeys(name for part in parts for name in part.vectors)
    vectors = {}
    for name in names:
        own = [part.vectors.get(name, np.empty((len(part.ids), 0), np.float32)) for part in parts]
        width = max(one.shape[1] for one in own)
        full = [np.pad(one, ((0, 0), (0, width - one.shape[1])), constant_values=math.nan) for one in own]
        vectors[name] = np.concatenate(full)[list(rows.values())]
    words = (
        {clip_id: getattr(part, kind)[clip_id] for clip_id, part in of.items() if clip_id in getattr(part, kind)}
        for kind in ("errors", "remarks", "sources")
    )
    return ClipEmbeddings(list(rows), vectors, parts[0].signature, *words)
