"""Late fusion from files: a YAML config names items, backbones and recipe; ``docs/fuse.yaml`` explains it."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from torchmetrics_majorscore.encoders import SharedEncoder
from torchmetrics_majorscore.encoders.late_fusion import HEADS
from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.training.config import (
    Piece,
    from_yaml,
    in_config,
    read_encoder,
    read_mapping,
    read_path,
    read_yaml,
)
from torchmetrics_majorscore.training.fusion.checkpoint import save_heads
from torchmetrics_majorscore.training.fusion.comparison import compare_scenarios
from torchmetrics_majorscore.training.fusion.manifest import SPLITS, Count, Item, read_items
from torchmetrics_majorscore.training.fusion.options import MODALITIES, SCENARIOS, FusionOptions
from torchmetrics_majorscore.training.fusion.paper import compare_means, paper_tables, weakest
from torchmetrics_majorscore.training.fusion.recipe import Found
from torchmetrics_majorscore.training.fusion.tuples import Items
from torchmetrics_majorscore.training.kept import kept_rows
from torchmetrics_majorscore.training.memories import encode_pieces, rows_key

if TYPE_CHECKING:
    import pandas as pd


def fuse_files(config: Path, *, progress: bool = True) -> tuple[Found, Path, pd.DataFrame]:
    """Train scenarios as a config says and measure them; embeddings and runs of earlier times are kept.

    Args:
        config: path of the YAML file; relative paths in it start from its folder.
        progress: show progress bars.

    Returns:
        Tables and times, the output folder, and what was listed and there of each modality.

    Raises:
        FileNotFoundError: there is no such config.
        ValueError: a mistake in it or in the manifest.
    """
    needs_extra("pandas", "evaluation")
    import pandas as pd

    values = _read(config)
    output: Path = values["output"]
    splits = _embed(values["items"], values["backbones"], output)
    options: FusionOptions = values["options"]
    sets = {"test": splits["test"], "train": splits["train"]}
    start = time.monotonic()
    stop = splits["test" if options.stop_on == "test" else "validation"]
    how = {"scenarios": values["scenarios"], "seeds": values["seeds"], "progress": progress}
    compared = compare_scenarios(splits["train"], stop, sets, options, output, **how)
    seconds = time.monotonic() - start
    names = {name: encoder.name for name, encoder in values["backbones"].items()}
    counts = {name: len(rows) for name, rows in splits["train"].embeddings.items()}
    for scenario, found in compared.items():
        for one in found.trained:
            save_heads(one, output / scenario / f"seed{one.options.seed}" / HEADS, names, counts, values["weights"])
    tables = {f"Table {number}": frame for number, frame in paper_tables(compared).items()}
    tables["Recall at 1 of the weakest pair, test"] = weakest(compared)
    if len(compared) > 1:
        tables["Differences of mean recall, test"] = compare_means(compared)
    return Found(tables, seconds, options.stop_on == "test"), output, _counted(values["counts"], pd)


def _read(config: Path) -> dict[str, Any]:
    """Read and check a config; encoders are not built yet."""
    values = read_yaml(config)
    with in_config(config, ""):
        values = read_mapping(values, ("items", "backbones", "output"), ("scenarios", "seeds", "recipe"))
    with in_config(config, "backbones"):
        named = read_mapping(values["backbones"], MODALITIES)
    read: dict[str, Any] = {"backbones": {}, "weights": {}}
    able = {name: [(name,)] for name in MODALITIES}
    able["image"].append(("video",))  # a picture is a video of one frame
    for name in MODALITIES:
        with in_config(config, f"backbones: {name}"):
            read["backbones"][name] = read_encoder(named[name], able[name], config.parent)
            if (place := named[name].get("weights")) is not None:
                read["weights"][name] = place if place == "seeded" else str(read_path(place, config.parent).resolve())
    with in_config(config, "recipe"):
        known = [field.name for field in dataclasses.fields(FusionOptions) if field.name != "scenario"]
        given = read_mapping(values.get("recipe") or {}, (), known)
        read["options"] = FusionOptions(**{name: from_yaml(value) for name, value in given.items()})
    with in_config(config, "scenarios"):
        read["scenarios"] = values.get("scenarios") or list(SCENARIOS)
        if not isinstance(read["scenarios"], list) or not set(read["scenarios"]) <= set(SCENARIOS):
            raise ValueError(f"Expected some of {list(SCENARIOS)}, got {read['scenarios']!r}.")
    with in_config(config, "seeds"):
        read["seeds"] = values.get("seeds", 3)
        if isinstance(read["seeds"], bool) or not isinstance(read["seeds"], int) or read["seeds"] < 1:
            raise ValueError(f"Expected a number of training seeds >= 1, got {read['seeds']!r}.")
    with in_config(config, "output"):
        read["output"] = read_path(values["output"], config.parent)
    with in_config(config, "items"):
        read["items"], read["counts"] = read_items(read_path(values["items"], config.parent))
    return read


def _embed(items: Sequence[Item], backbones: Mapping[str, SharedEncoder], output: Path) -> dict[str, Items]:
    """Encode all items, and number the classes of each split that have an item of every modality in it."""
    rows: dict[str, dict[str, torch.Tensor]] = {split: {} for split in SPLITS}
    labels: dict[str, dict[str, list[str]]] = {split: {} for split in SPLITS}
    for split in SPLITS:
        for name in MODALITIES:
            own = [item for item in items if (item.split, item.modality) == (split, name)]
            rows[split][name], labels[split][name] = _encode(own, name, backbones[name], output, split)
    return {split: _numbered(rows[split], labels[split], split) for split in SPLITS}


def _encode(
    own: Sequence[Item], name: str, backbone: SharedEncoder, output: Path, split: str
) -> tuple[torch.Tensor, list[str]]:
    inputs: list[Any] = [i.content if isinstance(i.content, str) else Piece(i.content, 0.0, None) for i in own]
    known = list(dict.fromkeys(inputs))
    places = {piece: place for place, piece in enumerate(known)}
    path = output / "embeddings" / f"{split}_{name}.safetensors"
    key = rows_key(backbone, name, known)
    rows, left_out = kept_rows(path, key, backbone.name, lambda: encode_pieces(backbone, name, known))
    for reason in left_out:
        warnings.warn(f"Left out of {split} {name}: {reason}", stacklevel=2)
    there = ~rows.isnan().any(dim=-1)
    kept = [(places[piece], item.label) for piece, item in zip(inputs, own, strict=True) if there[places[piece]]]
    return rows[[place for place, _ in kept]], [label for _, label in kept]


def _numbered(rows: Mapping[str, torch.Tensor], labels: Mapping[str, Sequence[str]], split: str) -> Items:
    every = sorted({label for own in labels.values() for label in own})
    # In training a class that lacks a modality is a mistake; of a few held-out items it may well happen.
    whole = [label for label in every if split == "train" or all(label in own for own in labels.values())]
    if len(whole) < 2:
        raise ValueError(f"Expected at least two classes with all modalities for {split}, got {len(whole)}.")
    number = {label: place for place, label in enumerate(whole)}
    kept = {name: [row for row, label in enumerate(own) if label in number] for name, own in labels.items()}
    return Items(
        {name: rows[name][own] for name, own in kept.items()},
        {name: torch.tensor([number[labels[name][row]] for row in own]) for name, own in kept.items()},
        tuple(whole),
    )


def _counted(counts: Mapping[str, Count], pd: Any) -> pd.DataFrame:
    rows = [
        {"modality": name, "listed": c.listed, "there": c.there, "share": c.share, "classes": c.classes}
        for name, c in counts.items()
    ]
    frame: pd.DataFrame = pd.DataFrame(rows).set_index("modality")
    return frame
