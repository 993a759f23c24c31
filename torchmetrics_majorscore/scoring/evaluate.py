"""The table of a video-to-audio paper over files: what each clip has, and what only all of them have."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from torchmetrics_majorscore.functional import kl_divergence
from torchmetrics_majorscore.functional.desync import CLASSES, desync
from torchmetrics_majorscore.media import Entry
from torchmetrics_majorscore.metrics import DeSync, FrechetDistance, InceptionScore, PairedKL
from torchmetrics_majorscore.networks import NETWORKS, SharedNetwork
from torchmetrics_majorscore.scoring.embed import embed_clips
from torchmetrics_majorscore.scoring.encode import Encoded
from torchmetrics_majorscore.scoring.read import source_of
from torchmetrics_majorscore.scoring.score import ClipScorer, ScoreOptions
from torchmetrics_majorscore.scoring.watch import LOGITS
from torchmetrics_majorscore.statistics.bootstrap import bootstrap
from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings
from torchmetrics_majorscore.tables.read import is_seeded
from torchmetrics_majorscore.tables.write import ScoreTable, check_table

PUBLISHED_SPLITS, PUBLISHED_SEED = 10, 2020
SEEN = "videos.sqlite"


@dataclass(frozen=True)
class EvaluateOptions(ScoreOptions):
    """How generated clips are evaluated.

    Args:
        networks: and the others, see :class:`.EncodeOptions` and :class:`.ScoreOptions`.
        seed: of the intervals.
    """

    seed: int = 0


@dataclass(frozen=True)
class Column:
    """One column of the paper's table.

    Args:
        value: of all clips; NaN where there is none, see ``remark``.
        low: end of the 95 % interval of a mean over clips; NaN for what is no mean.
        high: its other end.
        n: clips, or vectors of a distance, that have part in it.
        lost: generated clips that have none.
        signature: every choice that moves the value.
        remark: why there is no value, or what limits it.
    """

    value: float
    low: float
    high: float
    n: int
    lost: int
    signature: str
    remark: str = ""


@dataclass(frozen=True)
class Evaluation:
    """What :func:`evaluate_clips` found.

    Args:
        columns: by their names.
        failures: id to the reason why a generated clip, or a part of it, has no value.
        unpaired: ids of generated clips that have no reference; None without any reference.
        changed: ids that were encoded again since their files have changed.
    """

    columns: dict[str, Column]
    failures: dict[str, str]
    unpaired: list[str] | None
    changed: list[str]


def with_references(generated: Sequence[Entry], reference: Sequence[Entry]) -> list[Entry]:
    """Give generated clips that are sounds alone the picture and the caption of their reference.

    Args:
        generated: the clips.
        reference: real ones.

    Raises:
        ValueError: they have no id in common.
    """
    real = {entry.id: entry for entry in reference}
    if not real.keys() & {entry.id for entry in generated}:
        raise ValueError(
            f"Expected generated and real clips with the same ids, got none in common, but {generated[0].id!r} and "
            f"{reference[0].id!r}: ids are the paths within a folder without suffix, or the column id of a manifest."
        )
    return [_completed(entry, real[entry.id]) if entry.id in real else entry for entry in generated]


def _completed(entry: Entry, real: Entry) -> Entry:
    if entry.video is None:
        entry = replace(entry, video=real.video, label=entry.label or real.label)
    return replace(entry, text=entry.text or real.text)


def evaluate_clips(
    generated: Sequence[Entry],
    reference: Sequence[Entry] | None,
    output: Path,
    options: EvaluateOptions,
    on_clip: Callable[[], object] = lambda: None,
) -> Evaluation:
    """Evaluate generated clips and write a row for each.

    What encoders and networks give is kept beside the table, in ``NAME.generated.safetensors`` and
    ``NAME.reference.safetensors``, by the content of the files: a second run computes only what has changed. What
    ``sync`` sees in pictures is kept in ``videos.sqlite`` of the same folder, for all tables there.

    Args:
        generated: the clips; their ids are unique.
        reference: the real clips, whose sounds are compared with those of the same ids; None without.
        output: per-clip table, as :func:`.score_clips` writes it; an older one is replaced.
        options: how.
        on_clip: called after each clip of either side.

    Raises:
        ValueError: the output is no table, one of the files beside it has another signature, no id is common.
        BlockingIOError: another process writes one of them.
        FileNotFoundError: weights are missing.
    """
    check_table(output)
    reals: ClipEmbeddings | None = None
    completed: list[Entry] = list(generated)
    changed: list[str] = []
    if reference is not None:
        completed = with_references(generated, reference)
        how = replace(options, baseline=False, sync=None, sounds_only=True)
        sounds = [replace(entry, audio=entry.audio or entry.video, video=None, text=None) for entry in reference]
        if options.networks:
            reals, changed = embed_clips(sounds, output.with_suffix(".reference.safetensors"), how, on_clip)
    if options.sync is not None and options.seen is None:
        options = replace(options, seen=output.with_name(SEEN))
    own, again = embed_clips(completed, output.with_suffix(".generated.safetensors"), options, on_clip)
    ids = [entry.id for entry in completed]
    table = _Table(own, ids, reals, [entry.id for entry in reference or ()], options)
    columns = table.columns()
    _write(output, table, own, {entry.id: source_of(entry) for entry in completed}, columns)
    known = None if reference is None else {entry.id for entry in reference}
    return Evaluation(
        columns,
        {clip_id: own.errors[clip_id] for clip_id in ids if clip_id in own.errors},
        None if known is None else [clip_id for clip_id in ids if clip_id not in known],
        [*changed, *again],
    )


class _Table:
    """Rows and columns out of the embeddings of both sides."""

    def __init__(
        self,
        own: ClipEmbeddings,
        ids: Sequence[str],
        reals: ClipEmbeddings | None,
        real_ids: Sequence[str],
        options: EvaluateOptions,
    ) -> None:
        self.ids, self.options = list(ids), options
        self.scorer = ClipScorer(options)
        self.own = {name: torch.from_numpy(x) for name, x in own.select(ids).items()}
        # Clips that an older run has left in the file take no part.
        self.real_ids = [] if reals is None else list(real_ids)
        found = {} if reals is None else reals.select(self.real_ids)
        self.reals = {name: torch.from_numpy(x) for name, x in found.items()}
        values = list(self.scorer.rows(Encoded(self.ids, self.own)))
        self.rows = {name: [row[name] for row in values] for name in self.scorer.columns}
        for name in options.networks:
            if f"{name}_logits" in self.own.keys() & self.reals.keys():
                pair = self.own[f"{name}_logits"], self._of_pairs(f"{name}_logits")
                self.rows[f"kl_{name}"] = kl_divergence(*pair).tolist()
        if options.sync is not None:
            self.rows["desync"] = desync(self.own[LOGITS].view(-1, 2, CLASSES)).tolist()

    def columns(self) -> dict[str, Column]:
        """Give the columns of the paper's table: means over clips, then what only all clips have."""
        columns = {name: self._mean(name, values) for name, values in self.rows.items()}
        for name, network in self.options.networks.items():
            paired = network.profile == "av-benchmark" and name == "passt"  # which there is over pairs alone
            if f"{name}_features" in self.own.keys() & self.reals.keys():
                # What it hears by is CLAP, and not the joint space in which it classifies.
                columns["fd_clap" if name == "zero_shot" else f"fd_{name}"] = self._distance(name, network, paired)
            if f"{name}_logits" in self.own:
                columns[f"is_{name}"] = self._inception(name, network, paired)
        return columns

    def _of_pairs(self, name: str) -> Tensor:
        """Give the references of the clips, NaN for one without."""
        places = {clip_id: place for place, clip_id in enumerate(self.real_ids)}
        nothing = torch.full((1, self.reals[name].shape[1]), math.nan)
        order = [places.get(clip_id, -1) for clip_id in self.ids]
        return torch.cat([self.reals[name], nothing])[order]

    def _mean(self, name: str, values: Sequence[float]) -> Column:
        mean = bootstrap(np.mean, values, seed=self.options.seed)
        remark = "" if mean.n else "no clip has a value"
        return Column(mean.value, mean.low, mean.high, mean.n, mean.dropped, self.signature(name), remark)

    def _distance(self, name: str, network: SharedNetwork, paired: bool) -> Column:
        metric = FrechetDistance(network=network)
        entry = NETWORKS.get(name)
        sides = []
        for ids, others, vectors in ((self.ids, self.real_ids, self.own), (self.real_ids, self.ids, self.reals)):
            wide = vectors[f"{name}_features"]
            width = entry.features if entry else wide.shape[1]
            rows = [row[~row.isnan()].view(-1, width) for row in wide]
            kept = set(others) if paired else set(ids)
            sides.append({one: row for one, row in zip(ids, rows, strict=True) if len(row) and one in kept})
        own, real = sides
        if own:
            metric.update(preds=list(own.values()), ids=list(own))
        if real:
            metric.update(target=list(real.values()), ids=list(real))
        return _whole(metric, sum(map(len, own.values())), len(self.ids) - len(own))

    def _inception(self, name: str, network: SharedNetwork, paired: bool) -> Column:
        published = network.profile == "av-benchmark"
        splits = 1 if network.logit_choices else PUBLISHED_SPLITS
        metric = InceptionScore(splits, seed=PUBLISHED_SEED if published else None, network=network)
        logits = self.own[f"{name}_logits"]
        known = logits.isfinite().all(dim=-1)
        kept = [
            place
            for place in sorted(range(len(self.ids)), key=self.ids.__getitem__)
            if known[place] and (not paired or self.ids[place] in self.real_ids)
        ]
        metric.update(logits[kept], ids=list(range(len(kept))))
        return _whole(metric, len(kept), len(self.ids) - len(kept))

    def signature(self, name: str) -> str:
        """Give every choice that moves a column."""
        if name.startswith("kl_"):
            return PairedKL(network=self.options.networks[name.removeprefix("kl_")]).signature
        if name == "desync":
            return DeSync(network=self.options.sync).signature
        kind, encoder, pairs, *rest = self.scorer.signature.split("|")
        rest = [part for part in rest if not part.startswith(("nets:", "sync:"))]
        if name.startswith("majorscore_"):
            return "|".join([kind, encoder, pairs, f"comb:{name.removeprefix('majorscore_')}", *rest])
        return "|".join([name, encoder, *rest])


def _whole(metric: FrechetDistance | InceptionScore, n: int, lost: int) -> Column:
    """Compute what is no mean over clips; what the metric warns of becomes the remark."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = metric.compute().item()
    remark = " ".join(dict.fromkeys(str(one.message) for one in caught))
    return Column(value, math.nan, math.nan, n, lost, metric.signature, remark)


def _write(
    output: Path, table: _Table, own: ClipEmbeddings, sources: Mapping[str, str], columns: Mapping[str, Column]
) -> None:
    """Write the per-clip table, as `majorscore score` does, with all columns in its summary."""
    output.unlink(missing_ok=True)
    signature = table.scorer.signature
    written = ScoreTable(output, list(table.rows), signature, sources)
    for place, clip_id in enumerate(table.ids):
        values = {name: column[place] for name, column in table.rows.items()}
        written.add(clip_id, values, own.errors.get(clip_id, ""), own.remarks.get(clip_id, ""))
    shown = {
        name: {key: None if isinstance(x, float) and math.isnan(x) else x for key, x in asdict(column).items()}
        for name, column in columns.items()
    }
    written.write_summary(seeded=is_seeded(signature), evaluation=shown)
