"""The comparison on the embedded world: ``majorscore fuse --embedded``."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from torchmetrics_majorscore.encoders.late_fusion import HEADS
from torchmetrics_majorscore.training.fusion.checkpoint import save_heads
from torchmetrics_majorscore.training.fusion.comparison import Compared, compare_scenarios, some_of
from torchmetrics_majorscore.training.fusion.embedded import World, WorldOptions, embed_world
from torchmetrics_majorscore.training.fusion.options import FusionOptions, Scenario
from torchmetrics_majorscore.training.fusion.paper import compare_means, paper_tables, weakest
from torchmetrics_majorscore.training.fusion.tuples import Items
from torchmetrics_majorscore.training.fusion.wrong import wrong_tuples
from torchmetrics_majorscore.training.world.scene import COMBINATIONS, unseen

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Found:
    """What a comparison found.

    Args:
        tables: title to DataFrame.
        seconds: that all trainings took.
        chosen_on_test: training stopped on the items of the test.
    """

    tables: dict[str, pd.DataFrame]
    seconds: float
    chosen_on_test: bool


def fuse_world(
    folder: Path,
    *,
    options: FusionOptions | None = None,
    world_options: WorldOptions | None = None,
    seeds: int = 3,
    progress: bool = True,
) -> Found:
    """Train every scenario on the embedded world and measure it; what an earlier run has finished is kept.

    Args:
        folder: for embeddings, the video network, checkpoints and the heads of every run.
        options: how to train.
        world_options: how many items.
        seeds: how many.
        progress: show progress bars.

    Returns:
        Tables I to VI of the paper, comparisons of scenarios, held-out combinations, attributes, wrong tuples.
    """
    own = options or FusionOptions()
    world = embed_world(folder, world_options or WorldOptions())
    each = min(len(world.test.embeddings["text"]) // len(world.test.names), 6)
    sets = {"test": world.test, "train": some_of(world.train, each)}
    stop = world.test if own.stop_on == "test" else world.validation
    start = time.monotonic()
    compared = compare_scenarios(world.train, stop, sets, own, folder, seeds=seeds, progress=progress)
    seconds = time.monotonic() - start
    _save(compared, world, folder)
    tables = {f"Table {number}": frame for number, frame in paper_tables(compared).items()}
    tables["Differences of mean recall, test"] = compare_means(compared)
    tables["Recall at 1 of the weakest pair, test"] = weakest(compared)
    tables["Mean recall, test, by what is relevant"] = _by_relevance(compared, world)
    tables["One modality of another class, quad-modal, test"] = wrong_tuples(compared["quad-modal"].trained, world.test)
    return Found(tables, seconds, own.stop_on == "test")


def _save(compared: Mapping[Scenario, Compared], world: World, folder: Path) -> None:
    """Write the heads of every run, with the video network beside them: each folder is weights of ``late-fusion``."""
    items = {name: len(rows) for name, rows in world.train.embeddings.items()}
    for scenario, found in compared.items():
        for one in found.trained:
            own = folder / scenario / f"seed{one.options.seed}"
            save_heads(one, own / HEADS, world.backbones, items)
            shutil.copy(folder / "motion.safetensors", own / "motion.safetensors")


def _by_relevance(compared: Mapping[Scenario, Compared], world: World) -> pd.DataFrame:
    """Measure mean recalls of all pairs where a class is a kind, a size, ... and of held-out combinations alone."""
    import pandas as pd

    from torchmetrics_majorscore.statistics.retrieval import MEAN, recalls
    from torchmetrics_majorscore.training.fusion.comparison import measure

    rows = []
    for what, (items, asked) in _relevances(world).items():
        for scenario, found in compared.items():
            measured = measure(found.trained, {"test": items})
            values = {pair: own if asked is None else own[:, asked] for pair, own in measured.pairs["test"].items()}
            chance = sum(float(own[0]) for own in measured.chance["test"].values()) / len(values)
            at = recalls(values)[MEAN].at
            cells = {
                f"@{k}{end}": getattr(interval, part)
                for k, interval in at.items()
                for end, part in (("", "value"), ("_low", "low"), ("_high", "high"))
            }
            rows.append({"relevant": what, "scenario": scenario, **cells, "chance@1": chance})
    return pd.DataFrame(rows).set_index(["relevant", "scenario"])


def _relevances(world: World) -> dict[str, tuple[Items, torch.Tensor | None]]:
    """Give the test with other classes, and the rows of the queries that are asked (None: all)."""
    test, combination = world.test, world.test.classes["text"]
    held_out = torch.isin(combination, torch.tensor(unseen("test")))
    found: dict[str, tuple[Items, torch.Tensor | None]] = {
        "the same clip": (_with(test, torch.arange(len(combination))), None),
        "the same combination": (test, None),
        "the same combination, queries of the 24 held out": (test, held_out),
    }
    for place, name in enumerate(("kind", "size", "tempo", "place")):
        values = [COMBINATIONS[number][place] for number in combination.tolist()]
        numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
        found[f"the same {name}"] = (_with(test, torch.tensor([numbers[value] for value in values])), None)
    return found


def _with(items: Items, classes: torch.Tensor) -> Items:
    names = tuple(str(number) for number in range(int(classes.max()) + 1))
    return Items(items.embeddings, dict.fromkeys(items.embeddings, classes), names)
