"""Clips that are in two places: near-duplicates by their embeddings, overlaps between lists by their ids."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import normalize

from torchmetrics_majorscore.extras import needs_extra

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from torchmetrics_majorscore.evaluation.embeddings import ClipEmbeddings

ROWS_PER_BLOCK = 512


def near_duplicates(
    one: ClipEmbeddings,
    other: ClipEmbeddings | None = None,
    *,
    threshold: float,
    names: Sequence[str] = ("video", "audio"),
) -> pd.DataFrame:
    """Find pairs of clips that look and sound alike, for example one upload under two ids.

    All pairs are compared, N * M products of D numbers.

    Args:
        one: embeddings of N clips.
        other: embeddings of M further clips; None to compare the N clips with each other.
        threshold: a pair is found if the cosine of every modality is at least this. What cosine unrelated clips have
            depends on the encoder, so there is no default.
        names: the modalities to compare, names of ``one.vectors``. Clips without a value in one are in no pair.

    Returns:
        A DataFrame with ``id``, ``other``, a column of cosines for each modality and ``least``, the smallest of them;
        highest ``least`` first. Within one file each pair is there once, the earlier clip in ``id``: a set without
        the clips in ``other`` has no near-duplicates.

    Raises:
        ValueError: the files have different signatures or lack a modality, or the threshold is not in (-1, 1].
        ModuleNotFoundError: pandas is missing.
    """
    needs_extra("pandas", "evaluation")
    import pandas as pd

    second = one if other is None else other
    if one.signature != second.signature:
        raise ValueError(f"Expected embeddings of one signature, got {one.signature} and {second.signature}.")
    if not names or not set(names) <= one.vectors.keys() & second.vectors.keys():
        raise ValueError(f"Expected modalities out of {', '.join(one.vectors)}, got {', '.join(names) or 'none'}.")
    if not -1 < threshold <= 1:
        raise ValueError(f"Expected a threshold in (-1, 1], got {threshold}.")
    rows, columns = ({name: normalize(side.vectors[name], dim=-1) for name in names} for side in (one, second))
    found = [
        (one.ids[row], second.ids[column], *cosines, min(cosines))
        for row, column, cosines in _pairs(rows, columns, threshold, within=other is None)
    ]
    frame = pd.DataFrame(found, columns=["id", "other", *names, "least"])
    return frame.sort_values("least", ascending=False, kind="stable").set_index("id")


def _pairs(
    one: Mapping[str, Tensor], other: Mapping[str, Tensor], threshold: float, within: bool
) -> Iterator[tuple[int, int, list[float]]]:
    """Give row, column and cosines of the pairs; within one file only those above the diagonal."""
    for start in range(0, len(next(iter(one.values()))), ROWS_PER_BLOCK):
        block = slice(start, start + ROWS_PER_BLOCK)
        # A NaN is not above the threshold.
        alike = torch.stack([one[name][block] @ other[name].T >= threshold for name in one]).all(dim=0)
        for row, column in alike.nonzero().tolist():
            if not within or start + row < column:
                yield start + row, column, [float(one[name][start + row] @ other[name][column]) for name in one]


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
