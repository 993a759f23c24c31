"""Score clips on disk: workers decode while the encoder runs, and every clip becomes a row of the table."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchmetrics_majorscore.functional import pair_similarities, select_pairs
from torchmetrics_majorscore.functional.similarity import Pairs, find_view
from torchmetrics_majorscore.media import Entry
from torchmetrics_majorscore.scoring.batches import batches
from torchmetrics_majorscore.scoring.columns import table_columns, table_values
from torchmetrics_majorscore.scoring.encode import ClipEncoder, Encoded, EncodeOptions
from torchmetrics_majorscore.scoring.read import read_ahead, source_of
from torchmetrics_majorscore.tables.claim import claim
from torchmetrics_majorscore.tables.read import is_seeded
from torchmetrics_majorscore.tables.shard import read_mark
from torchmetrics_majorscore.tables.write import ScoreTable, check_table

CLIPCLAP = (("clip_video", "clip_text"), ("clap_text", "clap_audio"))


@dataclass(frozen=True)
class ScoreOptions(EncodeOptions):
    """How clips are scored.

    Args:
        encoder: and those down to ``device``, see :class:`.EncodeOptions`; ``baseline`` adds the columns ``clipscore``
            and ``clapscore``.
        pairs: pairs of the MAJORScores; FairScore compares all pairs.
        retry_failed: whether clips whose row has an error are scored again when a table is continued.
    """

    pairs: Pairs = "text"
    retry_failed: bool = False


def score_clips(
    entries: Sequence[Entry],
    output: Path,
    options: ScoreOptions,
    on_row: Callable[[], object] = lambda: None,
    mark: Mapping[str, Any] | None = None,
    into: "Into | None" = None,
) -> dict[str, Any]:
    """Score clips and write a row for each as it is finished; clips that have one and have not changed are skipped.

    Args:
        entries: the clips; their ids are unique.
        output: CSV file to write or to continue.
        options: how to score.
        on_row: called after each clip, those that had a row included.
        mark: entries of the summary that say what was scored, see :func:`.score_shard`; where the output has them,
            nothing is left to do.
        into: scores the clips that are left; None for :func:`score_into`, in this process.

    Returns:
        The summary, see :meth:`.Summary.result`. A clip that cannot be read, or only in part, has its reason
        in the column ``error``.

    Raises:
        ValueError: the existing output has another signature or is no table, or an option does not fit.
        BlockingIOError: another process writes the output.
        FileNotFoundError: weights are missing.
    """
    check_table(output)
    with claim(output):
        scorer = ClipScorer(options)
        done = find_finished(output, {"signature": scorer.signature, **mark}, options) if mark else None
        if done:
            for _ in entries:
                on_row()
            return done
        sources = {entry.id: source_of(entry) for entry in entries}
        table = ScoreTable(output, scorer.columns, scorer.signature, sources, options.retry_failed)
        for _ in table.rows:
            on_row()
        waiting = [entry for entry in entries if entry.id not in table.rows]
        (into or score_into)(table, scorer, waiting, on_row)
        return table.write_summary(seeded=is_seeded(scorer.signature), **(mark or {}))


def score_into(table: ScoreTable, scorer: "ClipScorer", waiting: Iterable[Entry], on_row: Callable[[], object]) -> None:
    """Score clips, and add their rows to a table; of those to come a few are read ahead."""
    encoder, options = scorer.encoder, scorer.encoder.options
    clips = read_ahead(waiting, encoder.frame_size, options.workers, 2 * options.batch_size, encoder.wanted)
    for batch in batches(clips, options.batch_size):
        encoded = encoder.encode(batch)
        for clip_id, values in zip(encoded.ids, scorer.rows(encoded), strict=True):
            table.add(clip_id, values, encoded.errors.get(clip_id, ""), encoded.remarks.get(clip_id, ""))
            on_row()


Into = Callable[[ScoreTable, "ClipScorer", Iterable[Entry], Callable[[], object]], None]
"""What scores clips into a table, as :func:`score_into` does."""


def find_finished(output: Path, mark: Mapping[str, Any], options: ScoreOptions) -> dict[str, Any] | None:
    """Give the summary of an output that has a mark and nothing that is to be tried again; None of any other."""
    found = read_mark(output)
    if found is None or not mark.items() <= found.items() or (options.retry_failed and found["failed"]):
        return None
    return found


class ClipScorer:
    """Turns embeddings of clips into rows of a table."""

    def __init__(self, options: ScoreOptions) -> None:
        self.options = options
        self.encoder = ClipEncoder(options)
        self.every = self.encoder.pairs
        self.chosen = [self.every.index(pair) for pair in select_pairs(self.encoder.joint.modalities, options.pairs)]
        self.columns = table_columns(self.every, options.baseline)

    @property
    def signature(self) -> str:
        """The line to publish beside the scores; builds the encoders."""
        encoder, *rest = self.encoder.signature.split("|")
        pairs = "+".join("-".join(self.every[column]) for column in self.chosen)
        return "|".join(["majorscore", encoder, f"pairs:{pairs}", *rest])

    def rows(self, encoded: Encoded) -> Iterator[dict[str, float]]:
        """Give the values of each clip, by column."""
        similarities = torch.stack([_cosines(encoded, pair) for pair in self.every], dim=-1)
        baseline = [_cosines(encoded, pair) for pair in CLIPCLAP] if self.encoder.baseline else []
        for row in table_values(similarities, self.chosen, baseline):
            yield dict(zip(self.columns, row, strict=True))


def _cosines(encoded: Encoded, pair: tuple[str, str]) -> Tensor:
    """Give the similarities of a pair, float32 (B,); NaN where one of the two is missing."""
    one, other = pair
    views = find_view(encoded.vectors, one, other), find_view(encoded.vectors, other, one)
    if not set(views) <= encoded.vectors.keys():
        return torch.full((len(encoded.ids),), torch.nan)
    return pair_similarities({name: encoded.vectors[name] for name in views}, [pair])[:, 0].float()
