"""Score clips on a Ray cluster: its actors read and encode them, and the table is written here."""

import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from torchmetrics_majorscore.media import Entry
from torchmetrics_majorscore.media.tars import read_tar
from torchmetrics_majorscore.media.url import Url
from torchmetrics_majorscore.scoring.clip_rows import ClipRows
from torchmetrics_majorscore.scoring.ray_cluster import cluster
from torchmetrics_majorscore.scoring.read import others_of, source_of
from torchmetrics_majorscore.scoring.score import ClipScorer, ScoreOptions
from torchmetrics_majorscore.tables.claim import claim
from torchmetrics_majorscore.tables.read import is_seeded
from torchmetrics_majorscore.tables.source import digest
from torchmetrics_majorscore.tables.write import ScoreTable, check_table

BLOCK = 8 * 2**20
"""Bytes of files from a tar that travel together; what arrives is less than a batch, or little more."""
MOST = 20_000
"""Parts of a manifest that are dealt out."""


class Found(NamedTuple):
    """A clip on its way to an actor; without an entry one that has its row already."""

    place: tuple[int, int]
    id: str
    source: str
    entry: Entry | None


class Scored(NamedTuple):
    """A clip on its way back; without values one that has its row already."""

    place: tuple[int, int]
    id: str
    source: str
    values: Mapping[str, float] | None = None
    error: str = ""
    remarks: str = ""


def score_into_by_ray(
    table: ScoreTable,
    scorer: ClipScorer,
    waiting: Iterable[Entry],
    on_row: Callable[[], object],
    address: str | None = None,
) -> None:
    """Score clips as :func:`.score_into` does, with all that a Ray cluster has; their rows come in any order.

    What travels are paths: an actor reads and encodes a clip, and needs to see the files that the manifest names. There
    is an actor for each GPU; without GPUs, for each core. One that dies is replaced, and its clips are scored again.

    Args:
        table: that gets the rows.
        scorer: what the rows are to be made with.
        waiting: the clips.
        on_row: called after each clip.
        address: of the cluster; None for that of RAY_ADDRESS, else one on this machine.

    Raises:
        ConnectionError: there is no cluster at the address, or it gave up.
        ValueError: another machine has other weights.
        ModuleNotFoundError: Ray is missing.
    """
    clips = [Found((number, 0), entry.id, "", entry) for number, entry in enumerate(waiting)]

    def take(row: Scored) -> None:
        if row.values is not None:
            table.add(row.id, row.values, row.error, row.remarks)
        on_row()

    _run(clips, None, scorer, address, take)


def score_tars_by_ray(
    tars: Sequence[Path | Url],
    output: Path,
    options: ScoreOptions,
    on_row: Callable[[], object] = lambda: None,
    audio_track: int | None = None,
    address: str | None = None,
) -> dict[str, Any]:
    """Score the clips of tars as :func:`.score_tars` does, with all that a Ray cluster has.

    Tars are read on the cluster, each by one task from its start to its end, and what travels is the compressed content
    of clips that have no row yet.

    Args:
        tars: see :func:`.score_tars`.
        output: as there.
        options: as there.
        on_row: as there.
        audio_track: as there.
        address: see :func:`score_into_by_ray`.

    Returns:
        The summary, see :meth:`.Summary.result`.

    Raises:
        BlockingIOError, FileNotFoundError, ValueError: see :func:`.score_tars`.
        ConnectionError, ModuleNotFoundError: see :func:`score_into_by_ray`.
    """
    check_table(output)
    with claim(output):
        scorer = ClipScorer(options)
        table = ScoreTable(output, scorer.columns, scorer.signature, None, options.retry_failed)
        finished = {clip_id: row["source"] for clip_id, row in table.rows.items()}
        places: dict[str, tuple[int, int]] = {}
        others = others_of(scorer.encoder.wanted)
        find = partial(
            _find,
            signature=scorer.signature,
            finished=finished,
            others=others,
            audio_track=audio_track,
            folder=Path.cwd(),
        )

        def take(row: Scored) -> None:
            places[row.id] = row.place
            if table.wants(row.id, row.source) and row.values is not None:
                table.add(row.id, row.values, row.error, row.remarks)
            on_row()

        _run(list(enumerate(tars)), find, scorer, address, take)
        table.put_in_order(sorted(places, key=places.__getitem__))
        return table.write_summary(seeded=is_seeded(scorer.signature))


def _run(
    given: Sequence[object],
    find: Callable[..., Any] | None,
    scorer: ClipScorer,
    address: str | None,
    take: Callable[[Scored], None],
) -> None:
    """Deal out clips, or tars that ``find`` reads, and take their rows as they are finished."""
    if not given:
        return
    with cluster(address, BLOCK) as ray:
        actors, needs, rows = _actors(ray, scorer.options)
        # A block is a task; what an actor was at when the command stops is scored again.
        rows = rows if find else min(rows, ceil(len(given) / actors))
        blocks = len(given) if find else min(MOST, ceil(len(given) / rows))
        clips = ray.data.from_items([{"row": pickle.dumps(one)} for one in given], override_num_blocks=blocks)
        if find:  # costs no core, or actors that hold all of them would wait for ever
            pool = ray.data.TaskPoolStrategy(size=actors)
            clips = clips.map_batches(find, batch_format="numpy", compute=pool, num_cpus=0)
        scored = clips.map_batches(
            _Actor,
            batch_size=rows,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=actors),
            fn_constructor_args=(scorer.options, scorer.signature, Path.cwd()),
            **needs,
        )
        # Closed, or an interrupted run would hold the cluster.
        with closing(iter(scored.iter_batches(batch_size=None, batch_format="numpy"))) as batches:
            for batch in batches:
                for packed in batch["row"]:
                    take(Scored(*pickle.loads(packed)))


def _actors(ray: Any, options: ScoreOptions) -> tuple[int, dict[str, int], int]:
    """Give how many actors the cluster has room for, what one of them needs, and how many clips it takes at a time."""
    there = ray.cluster_resources()
    gpus = 0 if options.device == "cpu" else int(there.get("GPU", 0))
    if gpus:  # that waits less if some clips are read while others are encoded
        return gpus, {"num_gpus": 1}, 4 * options.batch_size
    return max(1, int(there.get("CPU", 1))), {"num_cpus": 1}, options.batch_size


def _find(
    batch: Mapping[str, Any],
    signature: str,
    finished: Mapping[str, str],
    others: Sequence[str],
    audio_track: int | None,
    folder: Path,
) -> Iterator[Mapping[str, Any]]:
    """Give the clips of tars, with no more than the name of one that has its row already."""
    _go_to(folder)
    for part, tar in map(pickle.loads, batch["row"]):
        for number, entry in enumerate(read_tar(tar, audio_track, others)):
            source = source_of(entry)
            known = finished.get(entry.id) == digest(signature, source)
            yield _packed([Found((part, number), entry.id, source, None if known else entry)])


class _Actor:
    """Scores what it is given."""

    def __init__(self, options: ScoreOptions, signature: str, folder: Path) -> None:
        _go_to(folder)
        self.signature = signature
        self.clips = ClipRows(**vars(options))

    def __call__(self, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.clips.scorer.signature != self.signature:
            got = f"{self.clips.scorer.signature} on {os.uname().nodename}"
            raise ValueError(f"Expected {self.signature} on every machine of the cluster, got {got}.")
        found = [Found(*pickle.loads(packed)) for packed in batch["row"]]
        rows = {clip.place: Scored(*clip[:3]) for clip in found}
        waiting = [clip for clip in found if clip.entry is not None]
        columns = self.clips.score([clip.entry for clip in waiting if clip.entry is not None])
        for number, clip in enumerate(waiting):
            values = {name: float(columns[name][number]) for name in self.clips.scorer.columns}
            words = columns["error"][number], columns["remarks"][number]
            rows[clip.place] = Scored(*clip[:3], values, *words)
        return _packed(rows.values())


def _packed(rows: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    """Pack rows as bytes, which no engine changes; there may be names among them that are not in UTF-8."""
    return {"row": [pickle.dumps(tuple(row)) for row in rows]}


def _go_to(folder: Path) -> None:
    with suppress(OSError):  # of a machine that has it: paths may be relative
        os.chdir(folder)
