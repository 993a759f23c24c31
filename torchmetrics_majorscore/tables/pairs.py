"""The pairs of modalities of a table: its columns ``similarity_<one>_<other>``, of any modalities."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

SIMILARITY = "similarity_"


def find_pairs(columns: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Give the pair of each similarity among a table's columns, in their order.

    Args:
        columns: of the table. Those of all pairs of some modalities, as `majorscore score` writes them, are told apart
            even where names of modalities have underscores; else the first underscore divides.

    Returns:
        Column to its two modalities.

    Example:
        >>> find_pairs(["similarity_video_text", "fairscore"])
        {'similarity_video_text': ('video', 'text')}
    """
    names = [column.removeprefix(SIMILARITY) for column in columns if column.startswith(SIMILARITY)]
    pairs = _of_all(names) or [(one, other) for one, _, other in (name.partition("_") for name in names)]
    return {f"{SIMILARITY}{name}": pair for name, pair in zip(names, pairs, strict=True)}


def _of_all(names: list[str]) -> list[tuple[str, str]]:
    """Give the pairs of modalities whose combinations have these names; empty if there are no such ones."""
    parts = names[0].split("_") if names else []
    for cut in range(1, len(parts)):
        first = "_".join(parts[:cut])
        others = [name.removeprefix(f"{first}_") for name in names if name.startswith(f"{first}_")]
        pairs = list(combinations([first, *others], 2))
        if ["_".join(pair) for pair in pairs] == names:
            return pairs
    return []


def anchored(pairs: dict[str, tuple[str, str]]) -> list[str]:
    """Give the columns of the pairs that have a part in text, or without text in the first modality, in their order."""
    modalities = dict.fromkeys(name for pair in pairs.values() for name in pair)
    anchor = "text" if "text" in modalities else next(iter(modalities), "")
    return [column for column, pair in pairs.items() if anchor in pair]
