"""Columns of a video-to-audio paper out of embeddings of clips: means over clips, distances and inception scores."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmetrics_majorscore.functional import kl_divergence
from torchmetrics_majorscore.functional.desync import CLASSES, desync
from torchmetrics_majorscore.functional.onset_detection import SAMPLE_RATE
from torchmetrics_majorscore.functional.onset_scores import OnsetScore, onset_scores
from torchmetrics_majorscore.metrics import DeSync, FrechetDistance, InceptionScore, OnsetScores, PairedKL
from torchmetrics_majorscore.metrics.frames import COLUMNS
from torchmetrics_majorscore.networks import NETWORKS, SharedNetwork
from torchmetrics_majorscore.networks.onsets import ONSETS, as_onsets, protocol_of
from torchmetrics_majorscore.scoring.encode import Encoded
from torchmetrics_majorscore.scoring.frames import VECTOR
from torchmetrics_majorscore.scoring.score import ClipScorer, ScoreOptions
from torchmetrics_majorscore.scoring.watch import LOGITS
from torchmetrics_majorscore.statistics.bootstrap import Interval
from torchmetrics_majorscore.statistics.means import bootstrap_means
from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings

PUBLISHED_SPLITS, PUBLISHED_SEED = 10, 2020


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


class PaperTable:
    """Rows and columns out of the embeddings of both sides.

    Args:
        own: of the generated clips.
        ids: of those that take part; others are left from an older run.
        reals: of the real clips, what networks heard in their sounds; None without.
        real_ids: of those that take part.
        options: how they were made.
        seed: of the intervals.

    Attributes:
        rows: column to the values of the clips, in the order of ``ids``.
    """

    def __init__(
        self,
        own: ClipEmbeddings,
        ids: Sequence[str],
        reals: ClipEmbeddings | None,
        real_ids: Sequence[str],
        options: ScoreOptions,
        seed: int = 0,
    ) -> None:
        self.ids, self.options, self.seed = list(ids), options, seed
        self.scorer = ClipScorer(options)
        self.own = {name: torch.from_numpy(x) for name, x in own.select(ids).items()}
        self.real_ids = [] if reals is None else list(real_ids)
        found = {} if reals is None else reals.select(self.real_ids)
        self.reals = {name: torch.from_numpy(x) for name, x in found.items()}
        values = list(self.scorer.rows(Encoded(self.ids, self.own)))
        self.rows = {name: [row[name] for row in values] for name in self.scorer.columns}
        for name in options.networks:
            if f"{name}_logits" in self.own.keys() & self.reals.keys():
                pair = self.own[f"{name}_logits"], self._of_pairs(f"{name}_logits")
                self.rows[f"kl_{name}"] = kl_divergence(*pair).tolist()
        if f"{ONSETS}_features" in self.own.keys() & self.reals.keys():
            self.rows |= self._onset_rows(options.networks[ONSETS])
        if options.sync is not None:
            nothing = torch.full((len(self.ids), 2 * CLASSES), math.nan)
            self.rows[options.sync.column] = desync(self.own.get(LOGITS, nothing).view(-1, 2, CLASSES)).tolist()
        if options.frames is not None:
            nothing = torch.full((len(self.ids), len(COLUMNS)), math.nan)
            columns = self.own.get(VECTOR, nothing).unbind(dim=-1)
            self.rows |= {name: column.tolist() for name, column in zip(COLUMNS, columns, strict=True)}

    def columns(self) -> dict[str, Column]:
        """Give the columns of the paper's table: means over clips, then what only all clips have."""
        means = bootstrap_means(list(self.rows.values()), seed=self.seed)
        columns = {name: self._mean(name, mean) for name, mean in zip(self.rows, means, strict=True)}
        for name, network in self.options.networks.items():
            if name == ONSETS:
                continue
            paired = network.profile == "av-benchmark" and name == "passt"  # which there is over pairs alone
            if f"{name}_features" in self.own.keys() & self.reals.keys():
                # What it hears by is CLAP, and not the joint space in which it classifies.
                columns["fd_clap" if name == "zero_shot" else f"fd_{name}"] = self._distance(name, network, paired)
            if f"{name}_logits" in self.own:
                columns[f"is_{name}"] = self._inception(name, network, paired)
        return columns

    def _onset_rows(self, network: SharedNetwork) -> dict[str, list[float]]:
        """Score the onsets of clips that have references."""
        name, protocol = f"{ONSETS}_features", protocol_of(network)
        sides = [[as_onsets(row.view(-1, 3)) for row in side] for side in (self.own[name], self._of_pairs(name))]
        scores = [
            [math.nan] * len(OnsetScore._fields)
            if own is None or real is None
            else onset_scores(own, real.times, protocol=protocol)
            for own, real in zip(*sides, strict=True)
        ]
        columns = zip(*scores, strict=True)
        return {f"onset_{kind}": list(column) for kind, column in zip(OnsetScore._fields, columns, strict=True)}

    def _of_pairs(self, name: str) -> Tensor:
        """Give the references of the clips, NaN for one without."""
        places = {clip_id: place for place, clip_id in enumerate(self.real_ids)}
        nothing = torch.full((1, self.reals[name].shape[1]), math.nan)
        order = [places.get(clip_id, -1) for clip_id in self.ids]
        return torch.cat([self.reals[name], nothing])[order]

    def _mean(self, name: str, mean: Interval) -> Column:
        remark = "" if mean.n else "no clip has a value"
        return Column(mean.value, mean.low, mean.high, mean.n, mean.dropped, self.signature(name), remark)

    def _distance(self, name: str, network: SharedNetwork, paired: bool) -> Column:
        metric = FrechetDistance(network=network)
        entry = NETWORKS.get(name)
        sides = []
        for ids, others, vectors in ((self.ids, self.real_ids, self.own), (self.real_ids, self.ids, self.reals)):
            wide = vectors[f"{name}_features"]
            width = entry.features if entry else wide.shape[1]
            rows = [row[row.isfinite().all(dim=-1)] for row in wide.view(len(wide), -1, width)]
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
        known, others = logits.isfinite().all(dim=-1), set(self.real_ids)
        kept = [
            place
            for place in sorted(range(len(self.ids)), key=self.ids.__getitem__)
            if known[place] and (not paired or self.ids[place] in others)
        ]
        metric.update(logits[kept], ids=list(range(len(kept))))
        return _whole(metric, len(kept), len(self.ids) - len(kept))

    def signature(self, name: str) -> str:
        """Give every choice that moves a column."""
        if name.startswith("kl_"):
            return PairedKL(network=self.options.networks[name.removeprefix("kl_")]).signature
        if name.startswith("onset_"):
            return OnsetScores(protocol_of(self.options.networks[ONSETS]), sample_rate=SAMPLE_RATE).signature
        if self.options.sync is not None and name == self.options.sync.column:
            return DeSync(network=self.options.sync).signature
        if name in COLUMNS and self.scorer.encoder.framer:
            return self.scorer.encoder.framer.signature
        kind, encoder, pairs, *rest = self.scorer.signature.split("|")
        rest = [part for part in rest if not part.startswith(("nets:", "sync:", "frames:"))]
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
