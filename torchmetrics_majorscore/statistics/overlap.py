"""Clips that stand in two lists, by their ids."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Overlap:
    """What a test list shares with a training list.

    Args:
        n: different clips of the test list.
        shared: those that are also in the training list.
    """

    n: int
    shared: int


def overlap(test: Iterable[str], training: Iterable[str]) -> Overlap:
    """Count the clips of a test list that are also in a training list (MMAudio, supplement, Table A4).

    Args:
        test: ids; one that stands there twice counts once.
        training: ids.

    Returns:
        The counts.

    Example:
        >>> overlap(["a", "b", "b"], ["b", "c"])
        Overlap(n=2, shared=1)
    """
    kept = set(test)
    return Overlap(len(kept), len(kept & set(training)))


def id_parts(ids: Iterable[str], pattern: str) -> list[str]:
    r"""Give the part of each id that is to be compared.

    Args:
        ids: of clips.
        pattern: regular expression whose first group, or whole match, is the part, for example ``^(.{11})_`` for the
            video in VGGSound's ids.

    Returns:
        The parts, in the order of the ids.

    Raises:
        ValueError: the pattern is no regular expression or does not fit one of the ids.
    """
    try:
        finder = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"Expected a regular expression, got {pattern!r}: {error}.") from error
    parts = []
    for clip_id in ids:
        match = finder.search(clip_id)
        if match is None:
            raise ValueError(f"Expected {pattern!r} to fit all ids, got {clip_id!r}, which it does not.")
        parts.append(match[1] if finder.groups else match[0])
    return parts
