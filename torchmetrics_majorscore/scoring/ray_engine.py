"""Score clips on a cluster: Ray Data moves them, its actors read and encode, and the table is written here."""

import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.media import Entry
from torchmetrics_majorscore.media.tars import read_tar
from torchmetrics_majorscore.media.url import Url
from torchmetrics_majorscore.scoring.clip_rows import ClipRows
from torchmetrics_majorscore.scoring.read import others_of, source_of
from torchmetrics_majorscore.scoring.score import ClipScorer, ScoreOptions
from torchmetrics_majorscore.tables.claim import claim
from torchmetrics_majorscore.tables.read import is_seeded
from torchmetrics_majorscore.tables.source import digest
from torchmetrics_majorscore.tables.write import ScoreTable, check_table

Row = dict[str, Any]


def score_with_ray(
    clips: Sequence[Entry] | Sequence[Path | Url],
    output: Path,
    options: ScoreOptions,
    on_row: Callable[[], object] = lambda: None,
    *,
    address: str | None = None,
    audio_track: int | None = None,
) -> dict[str, Any]:
    """Score the clips of a manifest or of tars with all that a Ray cluster has.

    What travels are paths, or the compressed bytes of what lies in a tar; an actor decodes what it encodes. There is an
    actor for each GPU, without any for each core. Rows come back as they are finished, and at the end they stand in the
    table as :func:`.score_clips` or :func:`.score_tars` writes it. An actor that dies is replaced, and its clips are
    scored again.

    Args:
        clips: entries of a manifest, or tars, see :func:`.read_tar`.
        output: CSV file to write or to continue.
        options: how to score.
        on_row: called after each clip.
        address: of the cluster; None for that of the environment, else this machine alone.
        audio_track: of clips in tars: which of several sound tracks to take.

    Returns:
        The summary, see :meth:`.Summary.result`.

    Raises:
        BlockingIOError, FileNotFoundError, ValueError: see :func:`.score_clips`.
        ConnectionError: there is no cluster at the address.
        RuntimeError: the cluster gave up.
    """
    needs_extra("ray", "ray")
    check_table(output)
    with claim(output):
        scorer = ClipScorer(options)
        table = ScoreTable(output, scorer.columns, scorer.signature, None, options.retry_failed)
        finished = {clip_id: row["source"] for clip_id, row in table.rows.items()}
        places: dict[str, tuple[int, int]] = {}
        for row in _rows(clips, options, address, _Finder(scorer, finished, audio_track)):
            places[row["id"]] = row["part"], row["number"]
            if table.wants(row["id"], row["source"]):
                table.add(row["id"], row, row["error"], row["remarks"])
            on_row()
        table.put_in_order(sorted(places, key=places.__getitem__))
        return table.write_summary(seeded=is_seeded(scorer.signature))


def _rows(clips: Sequence[Any], options: ScoreOptions, address: str | None, find: "_Finder") -> Iterator[Row]:
    """Give the rows of all clips, in any order."""
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    own = not ray.is_initialized()
    if own:
        ray.init(
            address, log_to_driver=False, logging_level="error", include_dashboard=False if address is None else None
        )
    try:
        DataContext.get_current().enable_progress_bars = False
        cluster = ray.cluster_resources()
        gpus = 0 if options.device == "cpu" else int(cluster.get("GPU", 0))
        actors, needs = (gpus, {"num_gpus": 1}) if gpus else (max(1, int(cluster["CPU"])), {"num_cpus": 1})
        parts = [{"part": number, "clip": pickle.dumps(clip)} for number, clip in enumerate(clips)]
        # To find clips costs no core, or actors that hold all of them would wait for ever.
        blocks = min(len(parts), 8 * actors)
        found = ray.data.from_items(parts, override_num_blocks=blocks).map_batches(
            find, batch_size=None, num_cpus=0, batch_format="numpy"
        )
        scored = found.map_batches(
            _Scorer,
            batch_size=options.batch_size,
            batch_format="numpy",
            compute=ActorPoolStrategy(size=actors),
            fn_constructor_args=(options, Path.cwd()),
            **needs,
        )
        for batch in scored.iter_batches(batch_size=None, batch_format="numpy"):
            columns = {name: column.tolist() for name, column in batch.items()}
            for cells in zip(*columns.values(), strict=True):
                yield dict(zip(columns, cells, strict=True))
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None) or error
        first = str(cause).strip().splitlines()[0]
        raise RuntimeError(f"Expected the cluster to score the clips, got {type(cause).__name__}: {first}") from error
    finally:
        if own:
            ray.shutdown()


class _Finder:
    """Gives the clips of an entry or of a tar, with no more than its name for one that has its row already."""

    def __init__(self, scorer: ClipScorer, finished: Mapping[str, str], audio_track: int | None) -> None:
        self.signature = scorer.signature
        self.others = others_of(scorer.encoder.wanted)
        self.finished = dict(finished)
        self.audio_track = audio_track

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        for part, packed in zip(batch["part"].tolist(), batch["clip"], strict=True):
            clip = pickle.loads(packed)
            entries = [clip] if isinstance(clip, Entry) else read_tar(clip, self.audio_track, self.others)
            for number, entry in enumerate(entries):
                source = source_of(entry)
                known = self.finished.get(entry.id) == digest(self.signature, source)
                row = {"id": entry.id, "part": part, "number": number, "source": source}
                yield {
                    name: np.array([cell], dtype=None if isinstance(cell, int) else object)
                    for name, cell in (row | {"entry": b"" if known else pickle.dumps(entry)}).items()
                }


class _Scorer:
    """An actor."""

    def __init__(self, options: ScoreOptions, folder: Path) -> None:
        with suppress(OSError):  # of a machine that has it: paths of a manifest may be relative
            os.chdir(folder)
        self.clips = ClipRows(**vars(options))

    def __call__(self, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        waiting = [row for row, packed in enumerate(batch["entry"]) if packed]
        found = self.clips.score([pickle.loads(batch["entry"][row]) for row in waiting])
        kept = {name: column for name, column in batch.items() if name != "entry"}
        for name, own in found.items():
            words = name in ("remarks", "error")
            column = np.full(len(batch["id"]), "" if words else np.nan, dtype=object if words else np.float32)
            column[waiting] = own
            kept[name] = column
        return kept
