"""Score the clips of WebDataset tars, which become known one by one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.media import Entry
from torchmetrics_majorscore.media.tars import read_tar
from torchmetrics_majorscore.media.url import Url
from torchmetrics_majorscore.scoring.read import others_of, source_of, stamp_of
from torchmetrics_majorscore.scoring.score import ClipScorer, ScoreOptions, find_finished, score_into
from torchmetrics_majorscore.tables.claim import claim
from torchmetrics_majorscore.tables.read import is_seeded
from torchmetrics_majorscore.tables.shard import Shard
from torchmetrics_majorscore.tables.source import digest
from torchmetrics_majorscore.tables.write import ScoreTable, check_table


def score_tars(
    tars: Sequence[Path | Url],
    output: Path,
    options: ScoreOptions,
    on_row: Callable[[], object] = lambda: None,
    shard: Shard | None = None,
    audio_track: int | None = None,
) -> dict[str, Any]:
    """Score clips as they come out of tars, each of which is read once, from its start to its end.

    Args:
        tars: see :func:`.read_tar`. A key is an id, so it stands in one tar only.
        output: CSV file to write or to continue; with a shard, the folder of its table.
        options: how to score.
        on_row: called after each clip.
        shard: which tars; None for all.
        audio_track: which of several sound tracks to take, counted from 0; None is the one flagged as default.

    Returns:
        The summary, see :meth:`.Summary.result`.

    Raises:
        BlockingIOError, FileNotFoundError, ValueError: see :func:`.score_clips`; a tar is cut off, or an id
            there twice.
    """
    own = shard.of(tars) if shard else tars
    path = shard.table(output) if shard else output
    names = [Path(str(tar)).name for tar in tars]
    mark = {
        "shard": str(shard),
        "manifest": digest(*names),
        "of": len(tars),
        "sources": digest(*(repr(stamp_of(tar)) for tar in own)),
    }
    check_table(path)
    with claim(path):
        scorer = ClipScorer(options)
        if shard and (done := find_finished(path, {"signature": scorer.signature, **mark}, options)):
            return done
        others = others_of(scorer.encoder.wanted)
        table = ScoreTable(path, scorer.columns, scorer.signature, None, options.retry_failed)
        units: list[int] = []
        score_into(
            table, scorer, _wanted((read_tar(tar, audio_track, others) for tar in own), table, units, on_row), on_row
        )
        return table.write_summary(seeded=is_seeded(scorer.signature), **(mark | {"units": units} if shard else {}))


def _wanted(
    tars: Iterable[Iterator[Entry]], table: ScoreTable, units: list[int], on_row: Callable[[], object]
) -> Iterator[Entry]:
    """Give the clips that have no row yet, and count those of each tar."""
    for tar in tars:
        units.append(0)
        for entry in tar:
            units[-1] += 1
            if table.wants(entry.id, source_of(entry)):
                yield entry
            else:
                on_row()
