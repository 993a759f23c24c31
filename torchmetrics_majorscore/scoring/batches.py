"""Clips in batches, and what becomes of a batch that an encoder or a network refuses."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from torchmetrics_majorscore.scoring.read import ReadClip

Result = TypeVar("Result")
Placed = Sequence[tuple[int, ReadClip]]
REFUSALS = (OSError, ValueError, RuntimeError, MemoryError)
"""What a clip may meet; it costs that clip, and not the others."""


def batches(clips: Iterator[ReadClip], size: int) -> Iterator[list[ReadClip]]:
    """Group clips into lists of ``size``; the last one may be shorter."""
    batch: list[ReadClip] = []
    for clip in clips:
        batch.append(clip)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def try_each(
    run: Callable[[Placed], Iterable[tuple[int, Result]]], clips: Placed, what: str, reasons: Sequence[list[str]]
) -> Iterator[tuple[int, Result]]:
    """Run over clips; a batch that is refused is tried clip by clip.

    Args:
        run: gives the result of each clip with its place.
        clips: with their places in the batch.
        what: is refused, for the reason.
        reasons: of each place; that of a clip that is refused alone is added.

    Yields:
        Places and results of the others.
    """
    if not clips:
        return
    try:
        found = list(run(clips))
    except REFUSALS as error:
        if len(clips) == 1:
            reasons[clips[0][0]].append(f"{what}: {error}")
            return
        for one in clips:
            yield from try_each(run, [one], what, reasons)
        return
    yield from found
