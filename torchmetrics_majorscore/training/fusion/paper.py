"""Tables I to VI of the quad-modal paper, in its layout: ours with intervals by query, beside its means.

Source of the published means: Fürer, Bernstein, Rossetto, "A Comparison of Late-fusion Training Strategies for
Quad-modal Joint Embeddings". They are of 200 classes of XMediaNet with other backbones, so only their order compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.statistics.bootstrap import Interval
from torchmetrics_majorscore.statistics.retrieval import KS, MEAN, Recall, recall_difference, recalls
from torchmetrics_majorscore.training.fusion.comparison import Compared, Recalls
from torchmetrics_majorscore.training.fusion.options import Scenario

if TYPE_CHECKING:
    import pandas as pd

SETS = ("test", "train")
TABLES: dict[str, tuple[Scenario, bool]] = {
    "I": ("round-robin", False),
    "II": ("round-robin", True),
    "III": ("tri-modal", False),
    "IV": ("tri-modal", True),
    "V": ("quad-modal", False),
    "VI": ("quad-modal", True),
    "I, control": ("round-robin-long", False),
    "II, control": ("round-robin-long", True),
}
"""Number to the scenario, and whether the gallery is any modality."""
PUBLISHED = {
    "I": ((0.02, 0.09, 0.15), (0.03, 0.09, 0.15)),
    "II": ((0.00, 0.00, 0.01), (0.00, 0.00, 0.01)),
    "III": ((0.05, 0.16, 0.25), (0.07, 0.18, 0.26)),
    "IV": ((0.00, 0.03, 0.07), (0.00, 0.04, 0.09)),
    "V": ((0.10, 0.26, 0.36), (0.12, 0.29, 0.40)),
    "VI": ((0.00, 0.04, 0.11), (0.01, 0.06, 0.13)),
}
"""Mean rows: recall at 1, 5 and 10 on test and on training items."""


def paper_tables(compared: Mapping[Scenario, Compared], seed: int = 0) -> dict[str, pd.DataFrame]:
    """Lay out the recalls of every scenario as the paper does.

    Args:
        compared: scenario to what its seeds reached, on the sets ``"test"`` and ``"train"``.
        seed: of the intervals.

    Returns:
        Number of the table to a DataFrame: a row per direction, then the mean, then the paper's mean where it has one;
        columns ``test@1`` and so on with ``_low`` and ``_high``.

    Raises:
        ModuleNotFoundError: pandas is missing.
    """
    needs_extra("pandas", "evaluation")
    import pandas as pd

    frames = {}
    for number, (scenario, any_modality) in TABLES.items():
        if scenario not in compared:
            continue
        own = compared[scenario].every if any_modality else compared[scenario].pairs
        by_set = {name: recalls(own[name], seed=seed) for name in SETS}
        rows = [
            {"recall at": _name(direction), **_cells({name: by_set[name][direction].at for name in SETS})}
            for direction in by_set["test"]
        ]
        if number in PUBLISHED:
            published = zip(SETS, PUBLISHED[number], strict=True)
            values = {f"{name}@{k}": value for name, means in published for k, value in zip(KS, means, strict=True)}
            rows.append({"recall at": "Mean, published", **values})
        frames[number] = pd.DataFrame(rows).set_index("recall at")
    return frames


def compare_means(compared: Mapping[Scenario, Compared], seed: int = 0) -> pd.DataFrame:
    """Say by how much the mean recall over pairs differs between scenarios, on the test.

    Args:
        compared: see :func:`paper_tables`.
        seed: of the intervals.

    Returns:
        One row for each comparison that the paper draws or lacks, over the pairs that both scenarios train: the
        difference at 1, 5 and 10 with intervals, and at 1 of each training seed by itself.
    """
    needs_extra("pandas", "evaluation")
    import pandas as pd

    wanted: list[tuple[Scenario, Scenario, str]] = [
        ("quad-modal", "round-robin", "equal steps"),
        ("quad-modal", "round-robin-long", "equal pair terms"),
        ("tri-modal", "round-robin", "equal steps, three modalities"),
        ("quad-modal", "tri-modal", "one modality more"),
    ]
    rows = []
    for one, other, what in wanted:
        if one in compared and other in compared:
            found = recall_difference(compared[one].pairs["test"], compared[other].pairs["test"], seed=seed)
            cells = _cells({"test": found.at})
            each = ", ".join(f"{value:+.3f}" for value in found.by_seed[1])
            rows.append({"comparison": f"{one} less {other} ({what})", **cells, "of each seed at 1": each})
    return pd.DataFrame(rows).set_index("comparison")


def weakest(compared: Mapping[Scenario, Compared], seed: int = 0) -> pd.DataFrame:
    """Find the pair of each scenario whose recall at 1 is least times chance, on the test."""
    needs_extra("pandas", "evaluation")
    import pandas as pd

    rows = []
    for scenario, found in compared.items():
        own: Recalls = found.pairs["test"]
        by_pair: dict[tuple[str, str], Recall] = recalls(own, seed=seed)
        pair = min(own, key=lambda one: by_pair[one].at[1].value / found.chance["test"][one][0])
        chance = float(found.chance["test"][pair][0])
        interval = by_pair[pair].at[1]
        times = {f"times chance{end}": getattr(interval, part) / chance for end, part in _ENDS.items()}
        steps = ", ".join(f"{one.best_step} of {one.steps}" for one in found.trained)
        rows.append({"scenario": scenario, "weakest pair": _name(pair), **times, "best step of steps taken": steps})
    return pd.DataFrame(rows).set_index("scenario")


_ENDS = {"": "value", "_low": "low", "_high": "high"}


def _cells(sets: Mapping[str, Mapping[int, Interval]]) -> dict[str, float]:
    """Give the cells of a row: values of all sets, each with its ends."""
    return {
        f"{name}@{k}{end}": getattr(interval, part)
        for name, at in sets.items()
        for k, interval in at.items()
        for end, part in _ENDS.items()
    }


def _name(direction: tuple[str, str]) -> str:
    return "Mean" if direction == MEAN else " → ".join(part.capitalize() for part in direction)
