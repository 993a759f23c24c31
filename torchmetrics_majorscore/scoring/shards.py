"""Parts of a manifest, each scored by a process of its own that knows nothing of the others."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.media import Entry
from torchmetrics_majorscore.scoring.read import source_of
from torchmetrics_majorscore.scoring.score import ScoreOptions, score_clips
from torchmetrics_majorscore.tables.shard import Shard
from torchmetrics_majorscore.tables.source import digest


def score_shard(
    entries: Sequence[Entry],
    folder: Path,
    shard: Shard,
    options: ScoreOptions,
    on_row: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Score one part of a manifest to a table of its own; :func:`.merge_shards` joins them.

    Args:
        entries: all clips of the manifest.
        folder: gets the table and its summary, which is the mark that the shard is finished. A shard that has it is
            not scored again, unless a file of it, or the manifest, has changed; one that was begun is continued.
        shard: which part.
        options: how to score.
        on_row: called after each clip of the shard.

    Returns:
        The summary of the shard.

    Raises:
        BlockingIOError, FileNotFoundError, ValueError: see :func:`score_clips`.
    """
    own = shard.of(entries)
    sources = digest(*(source_of(entry) for entry in own))
    mark = {"shard": str(shard), "manifest": digest(*map(_describe, entries)), "of": len(entries), "sources": sources}
    return score_clips(own, shard.table(folder), options, on_row, mark)


def _describe(entry: Entry) -> str:
    """Describe a clip as its manifest does: of the files only the names."""
    names = [None if path is None else path.name for path in (entry.video, entry.audio)]
    others = [(name, path.name) for name, path in sorted(entry.files.items())]
    return repr((entry.id, names, entry.text, entry.start, entry.end, entry.audio_track, *others))
