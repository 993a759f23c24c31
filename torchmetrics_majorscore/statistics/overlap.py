"""Clips that are in two places: overlaps between lists by their ids."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torchmetrics_majorscore.extras import needs_extra

if TYPE_CHECKING:
    import pandas as pd


def overlaps(
    tests: Mapping[str, Sequence[str]], trainings: Mapping[str, Sequence[str]], pattern: str | None = None
) -> pd.DataFrame:
    r"""Count the clips of test lists that are also in training lists (MMAudio, supplement, Table A4).

    Args:
        tests: name of a list to its ids.
        trainings: the same, for the columns.
        pattern: regular expression whose first group, or whole match, is the part of an id to compare, for example
            ``^(.{11})_`` for the video in VGGSound's ids; None for the whole id.

    Returns:
        One row per test list with ``n``, its number of different clips, and for each training list
        ``overlap (share of the test list)``, "-" for a list and itself.

    Raises:
        ValueError: the pattern is no regular expression or does not fit one of the ids.
        ModuleNotFoundError: pandas is missing.

    Example:
        >>> overlaps({"test": ["a_1", "b_1"]}, {"train": ["b_2", "c_2"]}, "^(.)_").loc["test"].tolist()
        [2, '1 (50.0%)']
    """
    needs_extra("pandas", "evaluation")
    import pandas as pd

    rows: dict[str, dict[str, int | str]] = {}
    for test, own in tests.items():
        kept = _parts(own, pattern, test)
        rows[test] = {"n": len(kept)}
        for training, theirs in trainings.items():
            both = len(kept & _parts(theirs, pattern, training))
            share = f"{100 * both / len(kept):.1f}%" if kept else "undefined"
            rows[test][training] = "-" if training == test else f"{both} ({share})"
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("test")


def _parts(ids: Sequence[str], pattern: str | None, name: str) -> set[str]:
    if pattern is None:
        return set(ids)
    try:
        finder = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"Expected a regular expression, got {pattern!r}: {error}.") from error
    parts = set()
    for clip_id in ids:
        match = finder.search(clip_id)
        if match is None:
            raise ValueError(f"Expected {pattern!r} to fit all ids, got {clip_id!r} in {name}, which it does not.")
        parts.add(match[1] if finder.groups else match[0])
    return parts
