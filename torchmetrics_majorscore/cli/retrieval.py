"""What ``majorscore retrieval`` prints: recalls between modalities, and zero-shot accuracy on several true labels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from torchmetrics_majorscore.functional.retrieval import (
    any_retrieval,
    chance_at,
    pair_retrieval,
    recall_at,
    retrieve,
    tied,
)
from torchmetrics_majorscore.statistics.retrieval import KS, MEAN, recalls
from torchmetrics_majorscore.tables.labels import SHOWS, read_labels

if TYPE_CHECKING:
    import pandas as pd

    from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings

NAMES = ("text", "image", "audio", "video")


def recall_table(clips: ClipEmbeddings, options: argparse.Namespace) -> tuple[pd.DataFrame, int]:
    """Measure every ordered pair and the gallery of all; also count queries without anything relevant."""
    import pandas as pd

    names = _modalities(clips, options.modalities)
    vectors = {name: torch.from_numpy(clips.vectors[name]) for name in names}
    labels = dict.fromkeys(names, _classes(clips, options.classes, options.column))
    by_pair = pair_retrieval(vectors, labels)
    by_any = any_retrieval(vectors, labels, own_modality=options.own_modality)
    found = {**by_pair, **{(query, "any"): one for query, one in by_any.items()}}
    values = {
        direction: torch.stack([recall_at(one, k, share=options.share) for k in KS], dim=-1)[None].numpy()
        for direction, one in found.items()
    }
    rows, measured = [], {}
    for part in ([*by_pair], [direction for direction in found if direction not in by_pair]):
        measured = recalls({direction: values[direction] for direction in part}, seed=options.seed)
        for direction, recall in measured.items():
            own = [found[one] for one in (part if direction == MEAN else [direction])]
            cells = {
                f"@{k}{end}": getattr(interval, name)
                for k, interval in recall.at.items()
                for end, name in (("", "value"), ("_low", "low"), ("_high", "high"))
            }
            chance = torch.stack([chance_at(one, 1, share=options.share).nanmean() for one in own]).mean().item()
            counts = {"queries": recall.at[1].n, "tied": sum(map(tied, own))}
            name = "mean" if direction == MEAN else " → ".join(direction)
            rows.append({"recall": name, **cells, "chance@1": chance, **counts})
    lost = sum(int((one.relevant == 0).sum()) for one in found.values())
    return pd.DataFrame(rows).set_index("recall"), lost


def label_table(clips: ClipEmbeddings, texts: ClipEmbeddings, options: argparse.Namespace) -> pd.DataFrame:
    """Measure zero-shot accuracy per modality: over clips, over classes, and that of the best and the worst class."""
    import pandas as pd

    known = read_labels(options.labels)
    if unknown := sorted({label for own in known.values() for label, _ in own} - set(texts.ids)):
        raise ValueError(f"Expected an embedding of every label, got none of {unknown[0]!r}.")
    gallery = torch.from_numpy(texts.vectors["text"])
    place = {label: number for number, label in enumerate(texts.ids)}
    rows = []
    for name in _modalities(clips, options.modalities):
        if name == "text":
            continue
        true = torch.zeros(len(clips.ids), len(texts.ids), dtype=torch.bool)
        for row, clip in enumerate(clips.ids):
            for label, shown in known.get(clip, ()):
                true[row, place[label]] |= name in SHOWS[shown]
        found = retrieve(
            torch.from_numpy(clips.vectors[name]), gallery, true, torch.eye(len(texts.ids), dtype=torch.bool)
        )
        hits = recall_at(found, 1)
        interval = recalls({(name, "label"): hits[None, :, None].numpy()}, (1,), seed=options.seed)[name, "label"].at[1]
        # A clip counts in each of the classes it belongs to.
        sums = {n: hits[true[:, n] & ~hits.isnan()] for n in place.values()}
        classes = pd.Series({label: sums[n].mean().item() for label, n in place.items() if len(sums[n])}, dtype=float)
        ends = {"accuracy": interval.value, "accuracy_low": interval.low, "accuracy_high": interval.high}
        extremes = {} if classes.empty else {"best class": classes.idxmax(), "worst class": classes.idxmin()}
        counts = {"clips": interval.n, "without label": interval.dropped, "classes": len(classes)}
        rows.append({"modality": name, **ends, "mean over classes": classes.mean(), **extremes, **counts})
    return pd.DataFrame(rows).set_index("modality")


def _modalities(clips: ClipEmbeddings, wanted: list[str] | None) -> list[str]:
    names = wanted or [name for name in NAMES if name in clips.vectors]
    if len(names) < 2 or not set(names) <= clips.vectors.keys():
        raise ValueError(f"Expected at least two modalities out of {', '.join(clips.vectors)}, got {', '.join(names)}.")
    return names


def _classes(clips: ClipEmbeddings, manifest: Path | None, column: str) -> torch.Tensor:
    """Number the classes of clips, or the clips themselves."""
    if manifest is None:
        return torch.arange(len(clips.ids))
    from torchmetrics_majorscore.tables.manifest import pick_column, read_rows

    known = pick_column(read_rows(manifest), column)
    if lost := [clip for clip in clips.ids if clip not in known]:
        raise ValueError(f"Expected a class for every clip in {manifest}, got none for {lost[0]!r}.")
    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(str(known[clip]), len(numbers)) for clip in clips.ids])
