"""Clips on disk to a file of their embeddings."""

from collections.abc import Callable, Sequence
from pathlib import Path

from torchmetrics_majorscore.media import Entry
from torchmetrics_majorscore.scoring.batches import batches
from torchmetrics_majorscore.scoring.encode import ClipEncoder, EncodeOptions
from torchmetrics_majorscore.scoring.read import read_ahead, source_of
from torchmetrics_majorscore.tables.claim import claim
from torchmetrics_majorscore.tables.embedding_writer import EmbeddingWriter
from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings


def embed_clips(
    entries: Sequence[Entry], path: Path, options: EncodeOptions, on_clip: Callable[[], object] = lambda: None
) -> tuple[ClipEmbeddings, list[str]]:
    """Encode the clips that a file lacks, and those that have changed, and add them to it.

    Args:
        entries: the clips; their ids are unique.
        path: of the file, safetensors or ``.parquet``; every batch is kept at once, and the file is continued.
        options: how.
        on_clip: called after each clip, those of the file included.

    Returns:
        All embeddings of the file, and the ids that were encoded again since their clips have changed. What cannot be
        read is NaN and has its reason.

    Raises:
        ValueError: the file has another signature, or is none of embeddings.
        BlockingIOError: another process writes it.
        FileNotFoundError: weights are missing.
    """
    with claim(path):
        encoder = ClipEncoder(options)
        if encoder.joint.per_pair:
            raise ValueError(
                "Expected an encoder with one embedding of each modality for a file of embeddings, got "
                f"{encoder.joint.portable_key.split('|')[0]}, whose {next(iter(encoder.joint.per_pair))} has one for "
                "each pair; `majorscore score` takes it."
            )
        writer = EmbeddingWriter(path, encoder.signature, {entry.id: source_of(entry) for entry in entries})
        for _ in writer.done:
            on_clip()
        waiting = [entry for entry in entries if entry.id not in writer.done]
        ahead = 2 * options.batch_size
        clips = read_ahead(waiting, encoder.frame_size, options.workers, ahead, encoder.wanted)
        for batch in batches(clips, options.batch_size):
            encoded = encoder.encode(batch)
            vectors = {name: vector.numpy() for name, vector in encoded.vectors.items()}
            writer.add(encoded.ids, vectors, encoded.errors, encoded.remarks)
            for _ in batch:
                on_clip()
        return writer.finish(), writer.changed
