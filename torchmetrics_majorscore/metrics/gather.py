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


def gather_rows(rows: Tensor, digest: bytes, gather: Gather, group: Any) -> list[Tensor]:
    """Gather rows from all ranks; the first collective tells their numbers, the second brings them.

    Args:
        rows: int32, (N, W); N may be 0 and differs between ranks.
        digest: 8 bytes that must be the same on all ranks, as W is then.
        gather: ``gather(tensor, group=group)`` gives the tensors of all ranks, all of one shape.
        group: the process group, None for all.

    Returns:
        The rows of each rank.

    Raises:
        RuntimeError: on all ranks, if the digest of one differs.
    """
    header = torch.tensor([len(rows), int.from_bytes(digest, "little", signed=True)], device=rows.device)
    headers = torch.stack(gather(header, group=group)).cpu()
    if (headers[:, 1] != headers[0, 1]).any():
        raise RuntimeError("Expected one metric on all ranks, got different encoders, weights or options.")
    counts = headers[:, 0].tolist()
    padded = rows.new_zeros(max(counts), rows.shape[1])
    padded[: len(rows)] = rows
    return [part[:count] for part, count in zip(gather(padded, group=group), counts, strict=True)]
