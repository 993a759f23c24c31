"""Clips of a table to look at and to listen to: which, and what each card shows."""

from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.media import Entry
from torchmetrics_majorscore.report.preview import Preview, read_preview
from torchmetrics_majorscore.report.summary import give_pairs
from torchmetrics_majorscore.tables.pairs import anchored, find_pairs

if TYPE_CHECKING:
    from pandas import DataFrame

PER_GROUP = 3
GROUPS = {
    "best": ("Best", "highest MAJORScore average"),
    "worst": ("Worst", "lowest MAJORScore average"),
}
LESS = {
    "similarity_text_audio": "the caption fits the picture, the sound less",
    "similarity_video_text": "the caption fits the sound, the picture less",
}
"""What is said of clips whose similarity of that pair is low and of the other one of the paper is high."""
Manifest = Mapping[str, Entry]


def make_groups(tables: Mapping[str, "DataFrame"], manifests: Mapping[str, Manifest]) -> list[dict[str, Any]]:
    """Give the groups of the gallery.

    Args:
        tables: name of each model to its table; clips are picked by the first.
        manifests: name of a model to its manifest, by id; a model may be without.

    Returns:
        ``title``, ``note`` and ``cards`` of each group. A card has the values of all models, and a preview of each
        that has a manifest; a clip that stands in several groups has its players in the first.

    Raises:
        ModuleNotFoundError: there is a manifest, and PyAV is missing.
    """
    if manifests:
        needs_extra("av", "media")
    first = next(iter(tables.values()))
    picked, shown = pick_clips(first), ["majorscore_average", *give_pairs(first)]
    anchors = {clip_id: number for number, clip_id in enumerate(dict.fromkeys(chain(*picked.values())))}
    previews = {clip_id: _previews(clip_id, manifests) for clip_id in anchors}
    seen: set[str] = set()
    groups = []
    for name, ids in picked.items():
        cards = [
            {
                "id": clip_id,
                "text": caption(manifests, clip_id),
                "values": {column: [_value(table, clip_id, column) for table in tables.values()] for column in shown},
                "previews": previews[clip_id],
                "anchor": anchors[clip_id],
                "again": clip_id in seen,
            }
            for clip_id in ids
        ]
        seen |= set(ids)
        title, note = GROUPS[name] if name in GROUPS else _describe(first, name)
        groups.append({"title": title, "note": note, "cards": cards})
    return groups


def _describe(table: "DataFrame", low: str) -> tuple[str, str]:
    """Give title and note of the clips whose similarity of a pair is low and of the others high."""
    pairs, own = give_pairs(table), anchored(find_pairs(table))
    others = [pairs[column] for column in own if column != low]
    if len(others) > 1:
        return f"Low {pairs[low]}, others high", f"by rank: against the mean of {', '.join(others)}"
    note = LESS[low] if set(own) == set(LESS) else f"{others[0]} fits, {pairs[low]} less"
    return f"High {others[0]}, low {pairs[low]}", f"by rank: {note}"


def caption(manifests: Mapping[str, Manifest], clip_id: str) -> str:
    """Give a clip's caption out of the first manifest that has one, or ""."""
    entries = (manifest.get(clip_id) for manifest in manifests.values())
    return next((entry.text for entry in entries if entry and entry.text), "")


def pick_clips(table: "DataFrame") -> dict[str, list[str]]:
    """Pick clips worth a look (MAJORScore, Fig. 4).

    Args:
        table: one row per clip, its index the ids, with ``majorscore_average`` and similarities, of which the anchored
            ones count, see :func:`.anchored`; rows with a NaN in one of them are not picked.

    Returns:
        ``best`` and ``worst`` by ``majorscore_average``; and by the column of each anchored pair, the last one first:
        ids of clips whose similarity of that pair is at most the median and whose other ones are at least the median,
        with the largest difference of ranks first, for similarities need not share a scale.
    """
    own = anchored(find_pairs(table))
    rows = table[["majorscore_average", *own]].dropna()
    ordered = rows["majorscore_average"].sort_values(ascending=False, kind="stable").index
    best = ordered[: min(PER_GROUP, (len(ordered) + 1) // 2)].tolist()
    worst = ordered[len(best) :][::-1][:PER_GROUP].tolist()
    ranks = rows[own].rank(pct=True)
    picked = {"best": best, "worst": worst}
    for column in own[::-1] if len(own) > 1 else []:
        low, high = ranks[column], ranks.drop(columns=column).mean(axis=1)
        apart = (high - low)[(high >= high.median()) & (low <= low.median()) & (high > low)]
        picked[column] = apart.sort_values(ascending=False, kind="stable").index[:PER_GROUP].tolist()
    return picked


def _previews(clip_id: str, manifests: Mapping[str, Manifest]) -> dict[str, Preview]:
    return {name: read_preview(manifest.get(clip_id)) for name, manifest in manifests.items()}


def _value(table: "DataFrame", clip_id: str, column: str) -> float:
    return float(table.at[clip_id, column]) if clip_id in table.index else float("nan")
