"""The paper's comparison: every scenario from every seed, and the recalls of each on test and training items."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchmetrics_majorscore.functional.retrieval import (
    Retrieved,
    any_retrieval,
    chance_at,
    pair_retrieval,
    recall_at,
)
from torchmetrics_majorscore.training.fusion.module import Trained, train_fusion
from torchmetrics_majorscore.training.fusion.options import SCENARIOS, FusionOptions, Scenario
from torchmetrics_majorscore.training.fusion.tuples import Items

ANY = "any"
KS = (1, 5, 10)
Array = NDArray[np.float64]
Recalls = dict[tuple[str, str], Array]
"""Modality of the queries and of the gallery, or ``"any"``, to recalls (S, Q, K) of S seeds at 1, 5 and 10."""


@dataclass(frozen=True)
class Compared:
    """What the seeds of one scenario reached.

    Args:
        trained: one per seed.
        pairs: recalls of every ordered pair of modalities, by the name of a set of items.
        every: recalls with all modalities as the gallery, likewise.
        chance: of the pairs' recalls at 1, 5 and 10, the mean over queries, likewise.
    """

    trained: list[Trained]
    pairs: dict[str, Recalls]
    every: dict[str, Recalls]
    chance: dict[str, dict[tuple[str, str], Array]]


def compare_scenarios(
    training: Items,
    validation: Items,
    sets: dict[str, Items],
    options: FusionOptions,
    folder: Path,
    *,
    scenarios: Sequence[Scenario] = SCENARIOS,
    seeds: int = 3,
    progress: bool = True,
) -> dict[Scenario, Compared]:
    """Train every scenario from every seed and measure its retrieval; runs that are finished in ``folder`` are kept.

    Args:
        training: items to learn from.
        validation: items whose loss says when to stop.
        sets: name to items on which recalls are measured.
        options: of all runs, but for scenario and seed.
        folder: for checkpoints.
        scenarios: those to compare.
        seeds: how many, counted from that of the options.
        progress: show progress bars.

    Returns:
        Scenario to what it reached.
    """
    found = {}
    for scenario in scenarios:
        runs = [replace(options, scenario=scenario, seed=options.seed + number) for number in range(seeds)]
        trained = [
            train_fusion(training, validation, run, folder / scenario / f"seed{run.seed}", progress=progress)
            for run in runs
        ]
        found[scenario] = measure(trained, sets)
    return found


def measure(trained: list[Trained], sets: dict[str, Items]) -> Compared:
    """Measure the retrieval of the seeds of one scenario on several sets of items."""
    pairs, every, chance = {}, {}, {}
    for name, items in sets.items():
        known = items.of(trained[0].options.modalities)
        projected = [one.project(known.embeddings) for one in trained]
        by_pair = [pair_retrieval(own, known.classes) for own in projected]
        by_any = [any_retrieval(own, known.classes) for own in projected]
        pairs[name] = {pair: _stacked([one[pair] for one in by_pair]) for pair in by_pair[0]}
        every[name] = {(query, ANY): _stacked([one[query] for one in by_any]) for query in by_any[0]}
        chance[name] = {
            pair: np.array([float(chance_at(one, k).nanmean()) for k in KS]) for pair, one in by_pair[0].items()
        }
    return Compared(trained, pairs, every, chance)


def _stacked(seeds: list[Retrieved]) -> Array:
    recalls: list[Tensor] = [torch.stack([recall_at(one, k) for k in KS], dim=-1) for one in seeds]
    return torch.stack(recalls).numpy()


def some_of(items: Items, each: int) -> Items:
    """Take the first items of each class and modality, so that a training set is no larger a gallery than a test's."""
    rows, classes = {}, {}
    for name, own in items.classes.items():
        before = torch.tril(own[:, None] == own, diagonal=-1).sum(dim=-1)
        rows[name], classes[name] = items.embeddings[name][before < each], own[before < each]
    return Items(rows, classes, items.names)
