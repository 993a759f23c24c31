"""Rows of all ranks in two collectives, whatever each rank holds."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

Gather = Callable[..., list[Tensor]]


def gather_equal(tensor: Tensor, group: Any = None) -> list[Tensor]:
    """Gather tensors of one shape and dtype from all ranks, in the order of the ranks."""
    parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, tensor, group=group)
    return parts


def gather_rows(rows: Tensor, digest: bytes, weights: bytes, gather: Gather, group: Any) -> tuple[list[Tensor], bytes]:
    """Gather rows from all ranks; the first collective tells their numbers, the second brings them.

    Args:
        rows: int32, (N, W); N may be 0 and differs between ranks. A rank without rows takes W from the others.
        digest: 8 bytes that must be the same on all ranks.
        weights: 8 bytes that must be the same on all ranks that know them; zeros on a rank that does not.
        gather: ``gather(tensor, group=group)`` gives the tensors of all ranks, all of one shape.
        group: the process group, None for all.

    Returns:
        The rows of each rank, and the weights that some rank knows.

    Raises:
        RuntimeError: on all ranks, if the digest, the weights or the W of one differ.
    """
    numbers = [*rows.shape, *(int.from_bytes(part, "little", signed=True) for part in (digest, weights))]
    headers = torch.stack(gather(torch.tensor(numbers, device=rows.device), group=group)).cpu()
    if (headers[:, 2] != headers[0, 2]).any():
        raise RuntimeError("Expected one metric on all ranks, got different encoders, weights or options.")
    known = torch.unique(headers[headers[:, 3] != 0, 3])
    if len(known) > 1:
        raise RuntimeError("Expected one metric on all ranks, got encoders with different weights.")
    widths = torch.unique(headers[headers[:, 0] > 0, 1]).tolist() or [rows.shape[1]]
    if len(widths) > 1:
        raise RuntimeError(f"Expected one metric on all ranks, got rows of {widths} numbers.")
    counts = headers[:, 0].tolist()
    padded = rows.new_zeros(max(counts), widths[0])
    if len(rows):
        padded[: len(rows)] = rows
    parts = [part[:count] for part, count in zip(gather(padded, group=group), counts, strict=True)]
    return parts, int(known[0]).to_bytes(8, "little", signed=True) if len(known) else bytes(8)
