"""Tuples of which one modality is of another class: whether MAJORScore over all pairs tells, and which one it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.functional.fair import fair_score
from torchmetrics_majorscore.functional.major import major_score
from torchmetrics_majorscore.functional.similarity import pair_similarities, select_pairs
from torchmetrics_majorscore.statistics.bootstrap import bootstrap
from torchmetrics_majorscore.statistics.consistency import auroc, compare, derange
from torchmetrics_majorscore.training.fusion.module import Trained
from torchmetrics_majorscore.training.fusion.tuples import Items

if TYPE_CHECKING:
    import pandas as pd


def wrong_tuples(trained: Sequence[Trained], items: Items, seed: int = 0) -> pd.DataFrame:
    """Exchange one modality of each clip for that of a clip of another class, and see what the scores make of it.

    Args:
        trained: the seeds of one scenario.
        items: row i of every modality is one clip.
        seed: of the derangements and intervals.

    Returns:
        A row for each modality that is exchanged, and one for all together, over all seeds: AUROC of MAJORScore
        (average over all K pairs) true against exchanged, the same of FairScore with its sign turned, and the share of
        tuples of which the modality with the least mean similarity to the others is the exchanged one.

    Raises:
        ModuleNotFoundError: pandas is missing.
    """
    needs_extra("pandas", "evaluation")
    import pandas as pd

    names = list(trained[0].options.modalities)
    classes = [str(number) for number in items.classes[names[0]].tolist()]
    found: dict[str, list[Tensor]] = {}
    for one in trained:
        true = one.project(items.embeddings)
        for number, name in enumerate(names):
            changed = {**true, name: true[name][derange(classes, seed + number)]}
            is_found = (_outlier(changed) == number).double()
            scores = [score for part in (true, changed) for score in _scores(part)]
            found.setdefault(name, []).append(torch.stack([*scores, is_found]))
    found["any"] = [row for rows in found.values() for row in rows]
    rows = []
    for name, parts in found.items():
        major, fair, wrong, unfair, right = torch.cat(parts, dim=-1).double().numpy()
        ends = {
            "AUROC of MAJORScore": compare(major, wrong, seed)["auroc"],
            "AUROC of FairScore": bootstrap(lambda a, b: auroc(-a, -b), fair, unfair, seed=seed, resamples=200),
            "which one": bootstrap(np.mean, right, seed=seed),
        }
        cells: dict[str, Any] = {}
        for column, interval in ends.items():
            cells |= {column: interval.value, f"{column}_low": interval.low, f"{column}_high": interval.high}
        rows.append({"wrong modality": name, "pairs": len(select_pairs(names, "all")), **cells, "n": len(right)})
    return pd.DataFrame(rows).set_index("wrong modality")


def _scores(embeddings: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Compute MAJORScore and FairScore over all pairs."""
    similarities = pair_similarities(embeddings, "all")
    return major_score(similarities), fair_score(similarities)


def _outlier(embeddings: Mapping[str, Tensor]) -> Tensor:
    """Give the place of the modality whose similarities to the others are least."""
    names = list(embeddings)
    similarities = pair_similarities(embeddings, "all")
    pairs = select_pairs(names, "all")
    own = [similarities[:, [n for n, pair in enumerate(pairs) if name in pair]].mean(dim=-1) for name in names]
    return torch.stack(own, dim=-1).argmin(dim=-1)
