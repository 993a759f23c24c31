"""Clips of a table to look at and to listen to: which, and what each card shows."""

from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.media import Entry
from torchmetrics_majorscore.report.preview import Preview, read_preview

if TYPE_CHECKING:
    from pandas import DataFrame

PER_GROUP = 3
SHOWN = ("majorscore_average", "similarity_video_text", "similarity_text_audio", "similarity_video_audio")
GROUPS = {
    "best": ("Best", "highest MAJORScore average"),
    "worst": ("Worst", "lowest MAJORScore average"),
    "video": ("High video-text, low text-audio", "by rank: the caption fits the picture, the sound less"),
    "audio": ("High text-audio, low video-text", "by rank: the caption fits the sound, the picture less"),
}
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
    picked = pick_clips(next(iter(tables.values())))
    anchors = {clip_id: number for number, clip_id in enumerate(dict.fromkeys(chain(*picked.values())))}
    previews = {clip_id: _previews(clip_id, manifests) for clip_id in anchors}
    seen: set[str] = set()
    groups = []
    for name, ids in picked.items():
        cards = [
            {
                "id": clip_id,
                "text": caption(manifests, clip_id),
                "values": {column: [_value(table, clip_id, column) for table in tables.values()] for column in SHOWN},
                "previews": previews[clip_id],
                "anchor": anchors[clip_id],
                "again": clip_id in seen,
            }
            for clip_id in ids
        ]
        seen |= set(ids)
        groups.append({"title": GROUPS[name][0], "note": GROUPS[name][1], "cards": cards})
    return groups


def caption(manifests: Mapping[str, Manifest], clip_id: str) -> str:
    """Give a clip's caption out of the first manifest that has one, or ""."""
    entries = (manifest.get(clip_id) for manifest in manifests.values())
    return next((entry.text for entry in entries if entry and entry.text), "")


def pick_clips(table: "DataFrame") -> dict[str, list[str]]:
    """Pick clips worth a look (MAJORScore, Fig. 4).

    Args:
        table: one row per clip, its index the ids, with ``majorscore_average``, ``similarity_video_text`` and
            ``similarity_text_audio``; rows with a NaN in one of them are not picked.

    Returns:
        ``best`` and ``worst`` by ``majorscore_average``, ``video`` and ``audio``: ids of clips whose video-text
        (text-audio) similarity is at least the median and whose other one is at most the median, with the largest
        difference of ranks first, for the two similarities need not share a scale.
    """
    rows = table[["majorscore_average", "similarity_video_text", "similarity_text_audio"]].dropna()
    ordered = rows["majorscore_average"].sort_values(ascending=False, kind="stable").index.tolist()
    best = ordered[: min(PER_GROUP, (len(ordered) + 1) // 2)]
    worst = ordered[: len(best) - 1 : -1][:PER_GROUP]
    ranks = rows[["similarity_video_text", "similarity_text_audio"]].rank(pct=True)
    medians = ranks.median()
    picked = {"best": best, "worst": worst}
    for group, high, low in (("video", *ranks.columns), ("audio", *ranks.columns[::-1])):
        apart = ranks[(ranks[high] >= medians[high]) & (ranks[low] <= medians[low]) & (ranks[high] > ranks[low])]
        differences = (apart[high] - apart[low]).sort_values(ascending=False, kind="stable")
        picked[group] = differences.index.tolist()[:PER_GROUP]
    return picked


def _previews(clip_id: str, manifests: Mapping[str, Manifest]) -> dict[str, Preview]:
    return {name: read_preview(manifest.get(clip_id)) for name, manifest in manifests.items()}


def _value(table: "DataFrame", clip_id: str, column: str) -> float:
    return float(table.at[clip_id, column]) if clip_id in table.index else float("nan")
