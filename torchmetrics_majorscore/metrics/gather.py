"""Rows of all ranks in two collectives, whatever each rank holds."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

Gather = Callable[..., list[Tensor]]
MOST = 64  # tables


def gather_equal(tensor: Tensor, group: Any = None) -> list[Tensor]:
    """Gather tensors of one shape and dtype from all ranks, in the order of the ranks."""
    parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, tensor, group=group)
    return parts


class Table(NamedTuple):
    """Rows of one metric on this rank.

    Args:
        rows: int32, (N, W); N may be 0 and differs between ranks. A rank without rows takes W from the others.
        digest: 8 bytes that must be the same on all ranks.
        weights: 8 bytes that must be the same on all ranks that know them; zeros on a rank that does not.
    """

    rows: Tensor
    digest: bytes
    weights: bytes


def gather_tables(tables: Sequence[Table], gather: Gather, group: Any) -> list[tuple[list[Tensor], bytes]]:
    """Gather tables from all ranks; the first collective tells their sizes, the second brings them.

    Args:
        tables: at most 64.
        gather: ``gather(tensor, group=group)`` gives the tensors of all ranks, all of one shape.
        group: the process group, None for all.

    Returns:
        Of each table the rows of each rank, and the weights that some rank knows.

    Raises:
        RuntimeError: on all ranks, if the number of tables, or the digest, the weights or the W of one differ.
    """
    device = tables[0].rows.device
    header = torch.zeros(MOST, 4, dtype=torch.int64, device="cpu")  # of one size, whatever a rank has
    for place, (rows, *digests) in enumerate(tables):
        numbers = [*rows.shape, *(int.from_bytes(part, "little", signed=True) for part in digests)]
        header[place] = torch.tensor(numbers, device="cpu")
    headers = torch.stack(gather(header.to(device), group=group)).cpu()
    agreed = [_agree(headers[:, place]) for place in range(MOST) if headers[:, place].any()]
    counts = headers[:, : len(tables), 0]
    sizes = counts * torch.tensor([width for width, _ in agreed], device="cpu")
    flat = tables[0].rows.new_zeros(int(sizes.sum(dim=1).max()))
    own = torch.cat([table.rows.reshape(-1) for table in tables])
    flat[: len(own)] = own
    received = zip(gather(flat, group=group), sizes, strict=True)
    parts = [torch.split(part[: size.sum()], size.tolist()) for part, size in received]
    return [
        ([part[place].reshape(int(n), width) for part, n in zip(parts, counts[:, place], strict=True)], weights)
        for place, (width, weights) in enumerate(agreed)
    ]


def _agree(headers: Tensor) -> tuple[int, bytes]:
    """Give the width of a table and its weights, out of the headers of all ranks, (R, 4)."""
    if (headers[:, 2] != headers[0, 2]).any():
        raise RuntimeError("Expected one metric on all ranks, got different encoders, weights or options.")
    known = torch.unique(headers[headers[:, 3] != 0, 3])
    if len(known) > 1:
        raise RuntimeError("Expected one metric on all ranks, got encoders with different weights.")
    widths = torch.unique(headers[headers[:, 0] > 0, 1]).tolist() or [int(headers[0, 1])]
    if len(widths) > 1:
        raise RuntimeError(f"Expected one metric on all ranks, got rows of {widths} numbers.")
    return widths[0], int(known[0]).to_bytes(8, "little", signed=True) if len(known) else bytes(8)
