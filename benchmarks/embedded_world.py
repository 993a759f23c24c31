"""How good is a joint space that was trained on the embedded world, and where does the paper's effect appear?

    uv run benchmarks/embedded_world.py FOLDER [--seeds 0 1 2] [--split test] [-o docs/embedded_world_tables.md]

Trains what FOLDER lacks: for each training seed a bundle with CLIP and CLAP at equal logit scales and one with CLIP's
scale at 100, as in the real one. Everything was chosen with ``--split validation``; the tables are of the test split:
renders, wordings and 24 combinations that no model ever saw. Intervals are 95 % percentile bootstraps over scenes.
"""

import argparse
import dataclasses
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joint_space import CPU, Raw, Vectors, encode, joint, measure, relative, separate
from machine import versions
from safetensors.torch import load_file, save_file

from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.encoders.base import clean_build, load_strictly
from torchmetrics_majorscore.encoders.cmcr import Heads
from torchmetrics_majorscore.training.bundle import (
    CONFIG,
    BundleOptions,
    text_embeddings,
    train_bundle,
    train_clip,
    write,
)
from torchmetrics_majorscore.training.connector import ConnectorOptions, Embeddings, save_heads, train_connector
from torchmetrics_majorscore.training.world.scene import COMBINATIONS, KINDS, Scene, Split, draw_scenes
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import render_sounds

GALLERIES = 4
SCALES = {"equal scales": 20.0, "CLIP at 100": 100.0}
TRANSFORMS: dict[str, dict[str, Any]] = {
    "as rendered": {},
    "noise at 10 dB": {"noise_db": 10.0},
    "second object visible": {"companion": None},
}
ABLATIONS: dict[str, dict[str, Any]] = {
    "whole": {},
    "no semantic enhancement": {"enhancement": False},
    "no noise": {"noise_variance": 0.0},
    "inter loss of texts only": {"inter": ("text",)},
    "inter loss of memories only": {"inter": ("memory",)},
    "no intra loss": {"intra_weight": 0.0},
}


def make_scenes(split: Split, transform: dict[str, Any]) -> list[Scene]:
    """Draw galleries of one scene for each combination, changed as a row of :data:`TRANSFORMS` says."""
    scenes = draw_scenes(list(range(len(COMBINATIONS))) * GALLERIES, 0, split)
    if "companion" in transform:
        others = np.random.default_rng(0).integers(1, len(KINDS), len(scenes))
        companions = [KINDS[(KINDS.index(s.kind) + o) % len(KINDS)] for s, o in zip(scenes, others, strict=True)]
        return [replace(scene, companion=name) for scene, name in zip(scenes, companions, strict=True)]
    return [replace(scene, **transform) for scene in scenes]


RETRIEVAL = ("V-A R@1", "V-A R@1 unseen", "V-A kind", "V-A AUROC", "V-T R@1", "A-T R@1")
CAPTIONS = ("AUROC deranged captions", "wins hard negatives")
BALANCE = ("mean_difference", "cohens_d", "t", "std_difference", "skewness")


def show(value: Any) -> str:
    """Format an interval, or a dash where a method has no such number."""
    return "-" if value is None else f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lay out a Markdown table."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)] + [""]


def trained(folder: Path, seed: int, scale: float) -> tuple[Path, Embeddings, str]:
    """Train a bundle if the folder lacks it; its CLAP is that of equal scales, on which CLIP's scale has no effect."""
    bundle = folder / f"seed{seed}-clip{scale:g}"
    cache, timing = bundle / "embeddings.safetensors", bundle / "seconds.txt"
    if not cache.is_file():
        start = time.perf_counter()
        options = BundleOptions(clip=replace(BundleOptions().clip, scale=scale), seed=seed)
        if scale == BundleOptions().clip.scale:
            embeddings = train_bundle(bundle, options)
        else:
            embeddings = with_other_clip(bundle, trained(folder, seed, BundleOptions().clip.scale)[0], options)
        save_file(vars(embeddings), cache)
        timing.write_text(f"{time.perf_counter() - start:.0f}")
    return bundle, Embeddings(**load_file(cache)), timing.read_text()


def with_other_clip(bundle: Path, equal: Path, options: BundleOptions) -> Embeddings:
    """Train CLIP and the connector anew beside the CLAP of another bundle."""
    shutil.copytree(equal, bundle, dirs_exist_ok=True, ignore=shutil.ignore_patterns("embeddings*", "seconds*"))
    clap: Any = load_encoder("clap-tiny", weights=bundle).on(CPU)
    with clean_build():
        torch.manual_seed(options.seed)
        clip, images = train_clip(bundle, options)
        write(clip, bundle / "clip.safetensors")
        texts = text_embeddings(bundle, clip, clap.network, options)
    sounds = load_file(equal / "embeddings.safetensors")["audio"]
    embeddings = Embeddings(*texts, image=images, audio=sounds)
    save_heads(train_connector(embeddings, options.connector).half(), bundle, dataclasses.asdict(options))
    return embeddings


def without_connector(raw: Raw) -> Vectors:
    """Compare CLIP's pictures and texts with CLAP's sounds as if they lay in one space."""
    changed = {"text_of_audio": raw.clip_text, "wrong_of_audio": raw.clip_wrong, "joint": True}
    return dataclasses.replace(separate(raw), **changed)


def heads_of(bundle: Path) -> Heads:
    """Load the heads of a bundle."""
    heads = Heads(**CONFIG["heads"])
    load_strictly(heads, load_file(bundle / "clap_clip.safetensors"), "heads")
    return heads.eval()


def report_seed(bundle: Path, embeddings: Embeddings, split: Split) -> dict[str, dict[str, dict[str, Any]]]:
    """Measure every method under every transform, and every ablation of the connector as rendered."""
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for name, transform in TRANSFORMS.items():
        scenes = make_scenes(split, transform)
        raw = encode(bundle, scenes, render_frames(scenes), render_sounds(scenes), split)
        methods = {
            "C-MCR": joint(raw, heads_of(bundle), "clip"),
            "C-MCR, mean of both texts": joint(raw, heads_of(bundle), "mean"),
            "CLIPCLAP": separate(raw),
            "relative representation": relative(raw, embeddings),
        }
        results[name] = {method: measure(v, scenes, split) for method, v in methods.items()}
        if not transform:
            options: ConnectorOptions = BundleOptions().connector
            ablated = {
                label: joint(raw, train_connector(embeddings, replace(options, **changes), progress=False), "clip")
                for label, changes in ABLATIONS.items()
            }
            ablated["no connector"] = without_connector(raw)
            results["ablations"] = {label: measure(v, scenes, split) for label, v in ablated.items()}
    return results


def tables(results: dict[str, dict[str, dict[str, Any]]]) -> Iterator[str]:
    """Lay out the results of one bundle."""
    for name, methods in results.items():
        yield from ("", f"### {name}", "")
        chosen = (*RETRIEVAL, *CAPTIONS) if name != "ablations" else (*RETRIEVAL[:4], *CAPTIONS)
        yield from table(["method", *chosen], ([m, *(show(r.get(c)) for c in chosen)] for m, r in methods.items()))
        if name == "as rendered":
            head = ["method", "set", *BALANCE, "mean video-text", "mean text-audio"]
            yield from table(head, (balance_row(m, r, part) for m, r in methods.items() for part in (0, 1)))


def balance_row(method: str, result: dict[str, Any], part: int) -> list[str]:
    """Lay out a row of the paper's Table II."""
    name = ("consistent", "mispaired")[part]
    values = [getattr(result[name], column) for column in BALANCE] + result["means"][2 * part : 2 * part + 2]
    return [method, name, *(f"{value:.3f}" for value in values)]


def main() -> None:
    """Train what is missing, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--settings", nargs="+", default=list(SCALES), choices=list(SCALES))
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    lines = ["# The embedded world: every training seed", ""]
    lines += [
        "Written by `benchmarks/embedded_world.py`; read [embedded_world.md](embedded_world.md) first.",
        "",
        f"Split: {options.split}; {GALLERIES} scenes of each of 192 combinations.",
    ]
    lines += [versions(), ""]
    for setting in options.settings:
        for seed in options.seeds:
            bundle, embeddings, seconds = trained(options.folder, seed, SCALES[setting])
            lines += [f"## {setting}, training seed {seed}", "", f"Trained in {seconds} s."]
            lines += tables(report_seed(bundle, embeddings, options.split))
    text = "\n".join(lines)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
