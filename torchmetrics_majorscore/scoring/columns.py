"""The values of a per-clip table: names of its columns, and rows computed from similarities."""

from collections.abc import Sequence

import torch
from torch import Tensor

from torchmetrics_majorscore.functional import fair_score, major_score
from torchmetrics_majorscore.functional.major import COMBINATIONS


def table_columns(pairs: Sequence[tuple[str, str]], baseline: bool) -> list[str]:
    """Name the value columns of a table."""
    names = [f"similarity_{'_'.join(pair)}" for pair in pairs]
    names += [f"majorscore_{combine}" for combine in COMBINATIONS]
    names += ["fairscore"] if len(pairs) > 1 else []  # of one similarity there is no difference
    return [*names, "clipscore", "clapscore"] if baseline else names


def table_values(similarities: Tensor, chosen: Sequence[int], baseline: Sequence[Tensor]) -> list[list[float]]:
    """Compute the rows of a table.

    Args:
        similarities: of all pairs, (N, K).
        chosen: the pairs that MAJORScore combines.
        baseline: CLIP's and CLAP's similarities, each (N,), or none.

    Returns:
        N rows of values, named by :func:`table_columns`.
    """
    columns = [*similarities.unbind(dim=-1), *(major_score(similarities[:, chosen], c) for c in COMBINATIONS)]
    fair = [fair_score(similarities)] if similarities.shape[1] > 1 else []
    rows: list[list[float]] = torch.stack([*columns, *fair, *baseline], dim=-1).tolist()
    return rows
