"""What a batch holds for a score: found by a function or by paths, and cut down to a subset by id."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from torch import Tensor

from torchmetrics_majorscore.modalities import MODALITIES

NAMES = (*MODALITIES, "target_audio", "ids", "embeddings")

InputReader = Callable[..., Mapping[str, Any]]
"""``inputs(pl_module, outputs, batch)``, to the arguments of a metric's ``update``."""


def input_reader(inputs: InputReader | Mapping[str, str] | str) -> InputReader:
    """Make a function out of what a user gave as ``inputs``.

    Args:
        inputs: a function, the dotted path of one, or names to paths like ``"batch.video"`` or ``"outputs.audio"``.

    Returns:
        A function of ``(pl_module, outputs, batch)`` that gives the arguments of ``update``.

    Raises:
        ValueError: an unknown name or a path of another kind.
        ImportError: there is nothing to import at the dotted path.
    """
    if isinstance(inputs, str):
        module, _, name = inputs.rpartition(".")
        found = getattr(import_module(module), name, None) if module else None
        if not callable(found):
            raise ImportError(
                f"Expected inputs to be the path of a function, like 'package.module.name', got {inputs!r}."
            )
        reader: InputReader = found
        return reader
    if not isinstance(inputs, Mapping):
        return inputs
    check_names(inputs)
    for path in inputs.values():
        if path.split(".")[0] not in ("batch", "outputs"):
            raise ValueError(
                f"Expected a path that starts with 'batch' or 'outputs', like 'batch.video', got {path!r}."
            )
    return PathReader(dict(inputs))


def check_names(inputs: Mapping[str, Any]) -> None:
    """Refuse names that ``update`` does not know; a collection of metrics would drop them without a word."""
    if not isinstance(inputs, Mapping):
        raise ValueError(f"Expected inputs as a dict with {', '.join(NAMES)}, got {type(inputs).__name__}.")
    for name in inputs:
        if name not in NAMES:
            raise ValueError(f"Expected inputs named {', '.join(NAMES)}, got {name!r}.")


@dataclass(frozen=True)
class PathReader:
    """Take inputs from a batch and from what the step returned, each by its path."""

    paths: dict[str, str]

    def __call__(self, pl_module: object, outputs: object, batch: object) -> dict[str, Any]:
        """Follow all paths."""
        roots = {"outputs": outputs, "batch": batch}
        return {name: _follow(roots, path) for name, path in self.paths.items()}


def _follow(found: Any, path: str) -> Any:
    """Follow a path through keys, positions and attributes."""
    done: list[str] = []
    for step in path.split("."):
        if isinstance(found, Mapping):
            missing, known = step not in found, f"a dict with {', '.join(map(str, found)) or 'nothing'}"
        elif isinstance(found, Sequence) and step.isdigit():
            missing, known = int(step) >= len(found), f"{type(found).__name__} of {len(found)}"
        else:
            missing, known = not hasattr(found, step), type(found).__name__
        if missing:
            hint = "; return a dict from the step" if done == ["outputs"] else ""
            raise ValueError(
                f"Expected {path!r} in what the step got or returned, got {'.'.join(done)} as {known}{hint}."
            )
        if isinstance(found, Mapping):
            found = found[step]
        else:
            found = found[int(step)] if isinstance(found, Sequence) and step.isdigit() else getattr(found, step)
        done.append(step)
    return found


def hash_bound(max_samples: int, size: int) -> int:
    """Give the 64-bit number below which a share ``max_samples / size`` of all hashes lies."""
    return max_samples * 2**64 // max(size, 1)


def take_subset(inputs: Mapping[str, Any], bound: int) -> dict[str, Any]:
    """Keep the samples whose id has a hash below a bound.

    Args:
        inputs: arguments of ``update``, with ``ids``.
        bound: see :func:`hash_bound`.

    Returns:
        The same arguments, cut down; perhaps to no sample at all.

    Raises:
        ValueError: there are no ids.
    """
    ids = inputs.get("ids")
    if ids is None:
        raise ValueError("Expected ids in the inputs to choose max_samples by them, got none.")
    listed = ids.tolist() if isinstance(ids, Tensor) else ids
    rows = [row for row, one in enumerate(listed) if _hash(str(one)) < bound]
    return {name: _take(given, rows) for name, given in inputs.items()}


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


def _take(given: Any, rows: list[int]) -> Any:
    if isinstance(given, Mapping):
        return {name: _take(part, rows) for name, part in given.items()}
    if given is None or isinstance(given, Tensor):
        return None if given is None else given[rows]
    return [given[row] for row in rows]
