"""Sample ids as numbers: metric states are tensors, and ids recognise a sample that is scored twice."""

import hashlib
import operator
from collections.abc import Sequence

import torch
from torch import Tensor

NO_ID = -(2**63)
"""Marks a row without an id; such rows are all different samples."""

_NAMES: dict[int, int | str] = {}


def ids_to_int64(ids: Sequence[int | str] | Tensor | None, count: int) -> Tensor:
    """Turn ids into 64-bit numbers: an int is itself, a string its hash.

    Args:
        ids: one int or string per sample, an integer tensor (B,), or None for no ids.
        count: number of samples B.

    Returns:
        Numbers, int64, (B,), on the CPU.

    Raises:
        ValueError: their number is not B, or an id is neither a string nor a 64-bit int.
    """
    if ids is None:
        return torch.full((count,), NO_ID, dtype=torch.int64, device="cpu")
    listed = ids.tolist() if isinstance(ids, Tensor) else ids
    if isinstance(listed, str) or not hasattr(listed, "__len__") or len(listed) != count:
        raise ValueError(f"Expected {count} ids, one per sample, got {ids!r}.")
    return torch.tensor([_number(one) for one in listed], dtype=torch.int64, device="cpu")


def int64_to_ids(numbers: Tensor) -> list[int | str | None]:
    """Give the ids back. A string that this process has not seen stays its number; a row without an id is None."""
    return [None if number == NO_ID else _NAMES.get(number, number) for number in numbers.tolist()]


def ids_of_parts(ids: Tensor, part: str) -> Tensor:
    """Give the ids of one part of each sample, which differ from those of its other parts; no id stays none.

    Args:
        ids: int64, (B,).
        part: its name.

    Returns:
        int64, (B,), on the CPU. :func:`int64_to_ids` makes the samples' ids of them.
    """
    parts = []
    for number, known in zip(ids.tolist(), int64_to_ids(ids), strict=True):
        own = NO_ID if known is None else _digest(f"{number}/{part}")
        if known is not None:
            _NAMES[own] = known
        parts.append(own)
    return torch.tensor(parts, dtype=torch.int64, device="cpu")


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def _number(one: int | str) -> int:
    if isinstance(one, str):
        number = _digest(one)
        _NAMES[number] = one
        return number
    if isinstance(one, bool) or not hasattr(one, "__index__") or not NO_ID < operator.index(one) < 2**63:
        raise ValueError(f"Expected each id to be a string or a 64-bit int, got {one!r}.")
    return operator.index(one)
