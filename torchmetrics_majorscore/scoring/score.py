"""Score clips on disk: workers decode while the encoder runs, and every clip becomes a row of the table."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from torchmetrics_majorscore.encoders.resample import resample
from torchmetrics_majorscore.encoders.resize import prepare_frames
from torchmetrics_majorscore.encoders.shared import Encoder, load_encoder
from torchmetrics_majorscore.functional import select_pairs
from torchmetrics_majorscore.functional.similarity import Pairs
from torchmetrics_majorscore.media import Clip, Entry, read_clip
from torchmetrics_majorscore.metrics import CLIPCLAPScore, MAJORScore
from torchmetrics_majorscore.scoring.columns import table_columns, table_values
from torchmetrics_majorscore.tables.read import is_seeded
from torchmetrics_majorscore.tables.write import ScoreTable

FPS = 1.0


@dataclass(frozen=True)
class ScoreOptions:
    """How clips are scored.

    Args:
        encoder: the joint encoder, see :func:`.load_encoder`.
        pairs: pairs of the MAJORScores; FairScore compares all pairs.
        baseline: whether to add ``clipscore`` and ``clapscore``, cosines in CLIP's and CLAP's own spaces.
        batch_size: clips per encoder call.
        workers: decoding threads.
        device: where the encoder runs; None for a GPU if there is one.
        retry_failed: whether clips whose row has an error are scored again when a table is continued.
    """

    encoder: Encoder = "c-mcr"
    pairs: Pairs = "text"
    baseline: bool = False
    batch_size: int = 8
    workers: int = 2
    device: str | None = None
    retry_failed: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.workers < 1:
            raise ValueError(f"Expected batch_size and workers >= 1, got {self.batch_size} and {self.workers}.")


def score_clips(
    entries: Sequence[Entry],
    output: Path,
    options: ScoreOptions,
    on_row: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Score clips and write a row for each as it is finished; clips that have a row are skipped.

    Args:
        entries: the clips; their ids are unique.
        output: CSV file to write or to continue.
        options: how to score.
        on_row: called after each clip, those that had a row included.

    Returns:
        The summary, see :meth:`.ScoreTable.write_summary`. A clip that cannot be read, or only in part, has its reason
        in the column ``error``.

    Raises:
        ValueError: the existing output has another signature, or an option does not fit.
        FileNotFoundError: weights are missing.
    """
    scorer = ClipScorer(options)
    table = ScoreTable(output, scorer.columns, scorer.signature, [entry.id for entry in entries], options.retry_failed)
    for _ in table.rows:
        on_row()
    waiting = [entry for entry in entries if entry.id not in table.rows]
    for batch in batches(read_ahead(waiting, options), options.batch_size):
        for clip_id, values, error in scorer.score(batch):
            table.add(clip_id, values, error)
            on_row()
    return table.write_summary(seeded=scorer.seeded)


@dataclass(frozen=True)
class ReadClip:
    """A clip that a worker has read, or the reason why not."""

    entry: Entry
    clip: Clip | None
    error: str


def _read(entry: Entry, frame_size: int | None) -> ReadClip:
    try:
        clip = read_clip(entry.video, entry.audio, fps=FPS, start=entry.start, end=entry.end)
        if clip.frames is not None and frame_size:
            clip = replace(clip, frames=prepare_frames(clip.frames, frame_size).contiguous())
    except (OSError, ValueError) as error:
        return ReadClip(entry, None, str(error))
    reasons = [clip.video_error, clip.audio_error]
    reasons += ["no picture"] if clip.frames is None and not clip.video_error else []
    reasons += ["no audio stream"] if clip.waveform is None and not clip.audio_error else []
    reasons += ["no caption"] if not (entry.text or "").strip() else []
    return ReadClip(entry, clip, "; ".join(reason for reason in reasons if reason))


def read_ahead(entries: Sequence[Entry], options: ScoreOptions) -> Iterator[ReadClip]:
    """Read clips in workers, in order, at most two batches ahead of the encoder.

    On the CPU the workers also bring frames to the encoder's size, as it would do with the same bits; else frames of
    full size wait in memory, 28 MB for each 10 s of 720p.
    """
    frame_size = load_encoder(options.encoder).frame_size if _device(options.device).type == "cpu" else None
    with ThreadPoolExecutor(options.workers) as workers:
        pending: deque[Future[ReadClip]] = deque()
        remaining = iter(entries)
        while True:
            while len(pending) < 2 * options.batch_size and (entry := next(remaining, None)) is not None:
                pending.append(workers.submit(_read, entry, frame_size))
            if not pending:
                return
            yield pending.popleft().result()


def batches(clips: Iterator[ReadClip], size: int) -> Iterator[list[ReadClip]]:
    """Group clips into lists of ``size``; the last one may be shorter."""
    batch: list[ReadClip] = []
    for clip in clips:
        batch.append(clip)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


class ClipScorer:
    """The metrics that give a batch of clips its rows."""

    def __init__(self, options: ScoreOptions) -> None:
        self.options = options
        encoder = load_encoder(options.encoder)
        self.sample_rate = encoder.sample_rate
        common: dict[str, Any] = {"sample_rate": self.sample_rate, "fps": FPS, "nan_strategy": "ignore"}
        similarity = MAJORScore("sum", encoder, pairs="all", **common)
        self.metrics: dict[str, Any] = {"similarity": similarity}
        self.every = similarity.all_pairs
        self.chosen = [self.every.index(pair) for pair in select_pairs(("video", "text", "audio"), options.pairs)]
        if options.baseline:
            self.metrics["baseline"] = CLIPCLAPScore("average", *encoder.baseline(), **common)
        self.device = _device(options.device)
        for metric in self.metrics.values():
            metric.to(self.device)
        self.columns = table_columns(self.every, options.baseline)

    @cached_property
    def signature(self) -> str:
        """The joint metric's signature with the pairs of the MAJORScores, and the baseline's encoders; builds them."""
        kind, encoder, _, _, *rest = self.metrics["similarity"].signature.split("|")
        pairs = "+".join("-".join(self.every[column]) for column in self.chosen)
        joint = "|".join([kind, encoder, f"pairs:{pairs}", *rest])
        if "baseline" in self.metrics:
            joint += self.metrics["baseline"].signature.split("|")[1].replace("enc:", "|base:")
        return joint

    @property
    def seeded(self) -> bool:
        """Whether the weights are random numbers, so that the scores mean nothing."""
        return is_seeded(self.signature)

    def score(self, batch: Sequence[ReadClip]) -> Iterator[tuple[str, dict[str, float], str]]:
        """Give id, values and error of each clip. If the batch is refused, its clips are scored one by one."""
        readable = [read for read in batch if read.clip]
        try:
            rows = self._rows(readable)
        except ValueError as error:
            if len(batch) > 1:
                for read in batch:
                    yield from self.score([read])
            else:
                yield batch[0].entry.id, {}, "; ".join(part for part in (batch[0].error, str(error)) if part)
            return
        for read in batch:
            yield read.entry.id, rows.get(read.entry.id, {}), read.error

    def _rows(self, batch: Sequence[ReadClip]) -> dict[str, dict[str, float]]:
        if not batch:
            return {}
        inputs, tables = self.inputs(batch), {}
        for name, metric in self.metrics.items():
            metric.reset()
            metric.update(**inputs)
            tables[name] = metric.rows()
        similarities = torch.stack([tables["similarity"]["-".join(pair)] for pair in self.every], dim=-1)
        baseline = [tables["baseline"][pair] for pair in ("video-text", "text-audio")] if "baseline" in tables else []
        values = table_values(similarities, self.chosen, baseline)
        return {
            clip_id: dict(zip(self.columns, row, strict=True))
            for clip_id, row in zip(tables["similarity"]["id"], values, strict=True)
        }

    def inputs(self, batch: Sequence[ReadClip]) -> dict[str, list[Any]]:
        """Give what the metrics' ``update`` and ``encode`` take."""
        return {
            "video": [read.clip.frames if read.clip else None for read in batch],
            "text": [read.entry.text for read in batch],
            "audio": [self._waveform(read.clip) if read.clip else None for read in batch],
            "ids": [read.entry.id for read in batch],
        }

    def _waveform(self, clip: Clip) -> torch.Tensor | None:
        """Mix to mono and bring to the encoder's rate, since the files of a batch differ in theirs."""
        if clip.waveform is None or clip.sample_rate is None:
            return None
        return resample(clip.waveform.to(self.device).mean(dim=0), clip.sample_rate, self.sample_rate)


def _device(name: str | None) -> torch.device:
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"Expected device to be cpu or a GPU of this machine, got {name!r}.") from error
