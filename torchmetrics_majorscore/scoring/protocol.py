"""Consistency protocol (MAJORScore, III) on embedded clips: own captions against those of other classes.

With other modalities, what is exchanged may be any of them, and MAJORScore and FairScore are over any pairs.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from torchmetrics_majorscore.functional import fair_score, major_score, pair_similarities, select_pairs
from torchmetrics_majorscore.functional.major import COMBINATIONS
from torchmetrics_majorscore.functional.similarity import Pairs
from torchmetrics_majorscore.scoring.columns import table_columns, table_values
from torchmetrics_majorscore.scoring.read import MODALITIES
from torchmetrics_majorscore.statistics.balance import Balance, balance
from torchmetrics_majorscore.statistics.bootstrap import Interval
from torchmetrics_majorscore.statistics.consistency import compare_scores, derange, relative_change
from torchmetrics_majorscore.statistics.means import bootstrap_means
from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings
from torchmetrics_majorscore.tables.read import is_seeded
from torchmetrics_majorscore.tables.write import ScoreTable, check_table

T = TypeVar("T")
CLIPCLAP = (("clip_video", "clip_text"), ("clap_text", "clap_audio"))


@dataclass(frozen=True)
class Protocol:
    """What is exchanged, and which similarities tell.

    Args:
        modalities: of the joint space.
        pairs: of the MAJORScores and of FairScore, see :func:`.select_pairs`.
        exchanged: the modality that comes from a clip of another class in the mispaired set.
        seed: of the derangement and of the bootstraps.
        true: id of a clip to all labels that are true of it: what is exchanged comes from a clip of none of them.

    Raises:
        ValueError: unknown pairs, or a modality of which none of them has part.
    """

    modalities: tuple[str, ...] = tuple(MODALITIES)
    pairs: Pairs = "text"
    exchanged: str = "text"
    seed: int = 0
    true: Mapping[str, Collection[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.exchanged not in set(chain(*self.chosen)):
            known = ", ".join(dict.fromkeys(chain(*self.chosen)))
            raise ValueError(f"Expected to exchange a modality of the pairs, {known}, got {self.exchanged!r}.")

    @property
    def chosen(self) -> list[tuple[str, str]]:
        """The pairs."""
        return select_pairs(self.modalities, self.pairs)


DEFAULT = Protocol()


@dataclass(frozen=True)
class Consistency:
    """What the protocol found of one method.

    Args:
        means: (set, combination) to the mean score with its interval; the sets are "consistent" and "mispaired".
        separation: combination to AUROC, paired win rate and d', see :func:`.consistency.compare`.
        fairness: set to the mean FairScore over the pairs (of the paper: video-text and text-audio), raw; empty for one
            pair, which has no difference.
        fairness_standardised: the same after division by the pooled standard deviation of the similarities.
        balance: set to the paper's Table II, which is of two pairs; empty for another number.
    """

    means: dict[tuple[str, str], Interval]
    separation: dict[str, dict[str, Interval]]
    fairness: dict[str, Interval]
    fairness_standardised: dict[str, Interval]
    balance: dict[str, Balance]


def run_protocol(
    embeddings: ClipEmbeddings, ids: Sequence[str], labels: Sequence[str], protocol: Protocol = DEFAULT
) -> dict[str, Consistency]:
    """Score clips with their own captions and with those of clips of another class; no encoder is called.

    Args:
        embeddings: of all the clips.
        ids: the clips to use.
        labels: their classes.
        protocol: what is exchanged, and which similarities tell.

    Returns:
        MAJORScore's results, and CLIPCLAP's if its embeddings are there. Clips without a value in a set are left out.

    Raises:
        ValueError: one class has more than half of the clips, or no clip has a value; with some of the reasons.
    """
    sets, found, seed = _pair(embeddings, ids, labels, protocol), {}, protocol.seed
    for name, pairs in {"MAJORScore": protocol.chosen, "CLIPCLAP": CLIPCLAP}.items():
        if embeddings.vectors.keys() >= set(chain(*pairs)):
            similarities = {part: _similarities(x, pairs).double() for part, x in sets.items()}
            missing = torch.cat(list(similarities.values()), dim=-1).isnan().any(dim=-1, keepdim=True)
            if not missing.all():
                found[name] = _measure({k: x.masked_fill(missing, math.nan) for k, x in similarities.items()}, seed)
    if "MAJORScore" not in found:
        reasons = [f"{clip_id}: {embeddings.errors[clip_id]}" for clip_id in ids if clip_id in embeddings.errors]
        more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        raise ValueError(f"Expected clips with a value, got none of {len(ids)}; {'; '.join(reasons[:3])}{more}.")
    return found


def write_sets(
    embeddings: ClipEmbeddings, ids: Sequence[str], labels: Sequence[str], folder: Path, protocol: Protocol = DEFAULT
) -> dict[str, Path]:
    """Write the scores of the two sets that :func:`run_protocol` compares, clip by clip.

    Args:
        embeddings: see :func:`run_protocol`.
        ids: the clips to use.
        labels: see :func:`run_protocol`.
        folder: gets ``consistent.csv`` and ``mispaired.csv`` as ``majorscore score --baseline`` writes tables, each
            with its summary; older ones are replaced.
        protocol: see :func:`run_protocol`.

    Returns:
        Set to its table.

    Raises:
        ValueError: one class has more than half of the clips.
    """
    every, own = select_pairs(protocol.modalities, "all"), protocol.chosen
    with_baseline = embeddings.vectors.keys() >= set(chain(*CLIPCLAP))
    encoder, *rest = embeddings.signature.split("|")
    signature = "|".join(["majorscore", encoder, f"pairs:{'+'.join(map('-'.join, own))}", *rest])
    paths = {}
    for part, vectors in _pair(embeddings, ids, labels, protocol).items():
        theirs = _similarities(vectors, CLIPCLAP).unbind(dim=-1) if with_baseline else ()
        paths[part] = folder / f"{part}.csv"
        columns = table_columns(every, with_baseline)
        rows = table_values(_similarities(vectors, every), [every.index(pair) for pair in own], theirs)
        check_table(paths[part])
        paths[part].unlink(missing_ok=True)
        table = ScoreTable(paths[part], columns, signature, dict.fromkeys(ids, part))
        for clip_id, row in zip(ids, rows, strict=True):
            words = (found.get(clip_id, "") for found in (embeddings.errors, embeddings.remarks))
            table.add(clip_id, dict(zip(columns, row, strict=True)), *words)
        exchanged = "captions" if protocol.exchanged == "text" else protocol.exchanged
        table.write_summary(seeded=is_seeded(signature), **{exchanged: f"{part}, seed {protocol.seed}"})
    return paths


def _pair(
    embeddings: ClipEmbeddings, ids: Sequence[str], labels: Sequence[str], protocol: Protocol
) -> dict[str, dict[str, Tensor]]:
    """Give the embeddings of the clips with their own captions, and with those of clips of another class."""
    vectors = {name: torch.from_numpy(x) for name, x in embeddings.select(ids).items()}
    order = torch.tensor(derange(labels, protocol.seed, [protocol.true.get(clip_id, ()) for clip_id in ids]))
    names = [f"{space}{protocol.exchanged}" for space in ("", "clip_", "clap_")]
    others = {name: x[order] for name, x in vectors.items() if name in names}
    return {"consistent": vectors, "mispaired": vectors | others}


def headline(found: dict[str, Consistency]) -> dict[tuple[str, str], float]:
    """Give the paper's percentages: how much MAJORScore's mean is above CLIPCLAP's, by (set, combination).

    They compare means on two scales, which is no evidence that one tells sets apart better: see ``separation``. Where
    the interval of CLIPCLAP's mean reaches 0, the share is NaN: it would be a thousand percent of nearly nothing. Empty
    without CLIPCLAP.
    """
    if "CLIPCLAP" not in found:
        return {}
    ours, theirs = found["MAJORScore"].means, found["CLIPCLAP"].means
    above = {key for key, mean in theirs.items() if mean.low > 0}
    return {key: relative_change(ours[key].value, theirs[key].value) if key in above else math.nan for key in ours}


def _similarities(vectors: dict[str, Tensor], pairs: Sequence[tuple[str, str]]) -> Tensor:
    # One by one, since the names of two spaces pair only within their own.
    nothing = torch.full((len(next(iter(vectors.values()))), 1), math.nan)
    parts = [pair_similarities(vectors, [pair]) if vectors.keys() >= set(pair) else nothing for pair in pairs]
    return torch.cat(parts, dim=-1)


def _measure(sets: dict[str, Tensor], seed: int) -> Consistency:
    """Measure two sets of similarities, (N, K), NaN in both for a clip that has no value in one."""
    scores: dict[tuple[str, str], Any] = {
        (name, c): major_score(similarities, c).numpy() for name, similarities in sets.items() for c in COMBINATIONS
    }
    count = next(iter(sets.values())).shape[1]
    fair = {name: fair_score(similarities).numpy() for name, similarities in sets.items() if count > 1}
    whole = {name: similarities[~similarities.isnan().any(dim=-1)].numpy() for name, similarities in sets.items()}
    spread = {name: math.sqrt(x.var(axis=0, ddof=1).mean()) if len(x) > 1 else math.nan for name, x in whole.items()}
    return Consistency(
        _means(scores, seed),
        compare_scores({c: (scores["consistent", c], scores["mispaired", c]) for c in COMBINATIONS}, seed),
        _means(fair, seed),
        _means({name: values / spread[name] for name, values in fair.items()}, seed),
        {name: balance(*similarities.T) for name, similarities in whole.items() if count == 2},
    )


def _means(values: Mapping[T, Any], seed: int) -> dict[T, Interval]:
    return dict(zip(values, bootstrap_means(list(values.values()), seed=seed), strict=True))
