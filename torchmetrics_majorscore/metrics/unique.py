"""One row per id: what was scored twice counts once."""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from torchmetrics_majorscore.metrics.ids import NO_ID, int64_to_ids

SHOWN = 8  # values of a row in a message


def unique_rows(ids: Tensor, values: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Keep one row per id, in the order in which the ids first came; rows without an id all stay.

    Args:
        ids: int64, (N,), on the CPU.
        values: float32, (N, K), on the CPU. Of one id the row with the most values that are no NaN counts, of several
            such rows the first.
        name: what the values are, for the warning that rows of one id differ.

    Returns:
        The ids and values that stay.
    """
    order, first = _first(ids, values.isnan().sum(dim=-1, dtype=torch.int32))
    ids, values = ids[order], values[order]
    if not first.all():
        _warn_of_conflicts(ids, values, first, name)
    # Samples stand where their ids came first.
    came = torch.full((int(first.sum()),), len(order), device="cpu")
    back = came.scatter_reduce(0, first.cumsum(0) - 1, order, "amin").argsort()
    return ids[first][back], values[first][back]


def owned(ids: Sequence[Tensor], lost: Sequence[Tensor]) -> list[Tensor]:
    """Say of the rows of several ranks which count: of one id one row of all ranks, all rows without an id.

    Args:
        ids: of each rank, int64 (N,), on the CPU.
        lost: of each rank, whether a row has no value, bool (N,); such a row counts only if the id has no other.

    Returns:
        Of each rank, bool (N,).
    """
    order, first = _first(torch.cat(list(ids)), torch.cat(list(lost)).int())
    kept = torch.empty_like(first)
    kept[order] = first
    return list(torch.split(kept, [len(part) for part in ids]))


def _first(ids: Tensor, lacking: Tensor) -> tuple[Tensor, Tensor]:
    """Give an order in which equal ids stand together, those that lack least in front, and which are the first."""
    order = lacking.argsort(stable=True)
    order = order[ids[order].argsort(stable=True)]
    ids = ids[order]
    first = torch.ones(len(ids), dtype=torch.bool, device="cpu")
    first[1:] = (ids[1:] != ids[:-1]) | (ids[1:] == NO_ID)
    return order, first


def _warn_of_conflicts(ids: Tensor, values: Tensor, first: Tensor, name: str) -> None:
    again = ~first
    original, again_values = values[first][first.cumsum(0)[again] - 1], values[again]
    close = torch.isclose(again_values, original, rtol=0.0, atol=1e-5)
    same = (close | again_values.isnan() | original.isnan()).all(dim=-1)
    others = torch.unique(ids[again][~same])
    if len(others):
        row = int((~same).nonzero()[0])
        here, there = (shown[row, :SHOWN].tolist() for shown in (original, again_values))
        warnings.warn(
            f"{len(others)} ids came with different {name}, and the first row of each was kept, e.g. "
            f"{int64_to_ids(ids[again][row : row + 1])[0]!r} with {here} and {there}: are the ids unique, and does "
            "generation depend on the rank's seed?",
            stacklevel=4,
        )
