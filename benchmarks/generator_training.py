"""A small generator of the embedded world, trained as MMAudio is, and how good it becomes.

    uv run benchmarks/generator_training.py FOLDER [--steps 1200] [--sync-as frames] [--missing learned] [--seed 0]

Computes the features that FOLDER lacks, trains, and prints the curve of ``val/*``, the time of training and what of it
validation took, and for clips of held-out combinations (``--split test`` for the final figures) what the generator
reaches beside shuffled, true and vocoded sounds, and how near their nearest training sounds are
(`generator_report.py`). A run that was stopped goes on from ``FOLDER/runs/.../last.ckpt``.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from generator_report import report
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from machine import versions

from torchmetrics_majorscore import V2AMetrics
from torchmetrics_majorscore.training.generator.checkpoint import load_generator, save_generator
from torchmetrics_majorscore.training.generator.clips import read_clips, render_clips
from torchmetrics_majorscore.training.generator.data import GeneratorData
from torchmetrics_majorscore.training.generator.features import Features
from torchmetrics_majorscore.training.generator.module import VideoToAudio
from torchmetrics_majorscore.training.generator.sizes import GeneratorSizes, Missing, SyncAs
from torchmetrics_majorscore.training.generator.sounds import load_sounds
from torchmetrics_majorscore.training.generator.world import RATES, kept_features
from torchmetrics_majorscore.training.world.scene import Scene, Split, draw_scenes, unseen

SIZES: dict[str, Any] = {
    "latent": 20, "clip": 128, "sync": 64, "text": 96, "text_length": 32, "hidden": 80, "heads": 2, "joint": 2,
    "single": 4, "multiple": 32, "group": 4,
}  # fmt: skip
RENDERS = 6
BATCH = 16  # of all processes together
SHARES = (0.0, 0.1, 0.25, 0.5)  # of the training, after which the weights are kept beside the last ones
CPU = torch.device("cpu")


def scenes_of(split: str) -> list[Scene]:
    """Draw the scenes of a set of features."""
    if split in ("train", "audio-text"):
        return draw_scenes([one for one in unseen("train") for _ in range(RENDERS)], int(split != "train"), "train")
    own: Split = "validation" if split == "validation" else "test"
    return draw_scenes(unseen(own) * 2, 0, own)


def features_of(folder: Path, name: str) -> Features:
    """Give the features of a set, computed once."""
    split: Split = "train" if name in ("train", "audio-text") else "validation" if name == "validation" else "test"
    return kept_features(folder / f"{name}.safetensors", scenes_of(name), split, seen=name != "audio-text")


class Snapshots(Callback):
    """Keep the averaged weights as they are at some steps.

    Args:
        folder: gets ``step-N.safetensors``.
        steps: N.
    """

    def __init__(self, folder: Path, steps: Sequence[int]) -> None:
        self.folder, self.steps = folder, steps

    def on_train_start(self, trainer: Trainer, module: Any) -> None:
        self._keep(trainer, module)

    def on_train_batch_end(self, trainer: Trainer, module: Any, *_: Any) -> None:
        self._keep(trainer, module)

    def _keep(self, trainer: Trainer, module: Any) -> None:
        if trainer.global_step in self.steps and trainer.is_global_zero:
            with module.average.inside(module.network):
                save_generator(module.network, self.folder / f"step-{trainer.global_step}.safetensors")


class Curve(Callback):
    """Print and keep what is logged after each validation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.points: list[dict[str, float]] = json.loads(path.read_text()) if path.is_file() else []

    def on_validation_end(self, trainer: Trainer, module: Any) -> None:
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.points.append({"step": trainer.global_step, **values})
        if not trainer.is_global_zero:
            return
        self.path.write_text(json.dumps(self.points, indent=1) + "\n", encoding="utf-8")
        shown = (
            "majorscore_average",
            "fairscore",
            "fd_clap",
            "kl_zero_shot",
            "is_zero_shot",
            "desync_tiny",
            "onset_f1",
        )
        print(
            f"step {trainer.global_step:5}  loss {values.get('loss', float('nan')):.3f}  "
            + "  ".join(f"{name} {values[f'val/{name}']:.3f}" for name in shown if f"val/{name}" in values),
            flush=True,
        )


def train(folder: Path, run: Path, options: argparse.Namespace) -> VideoToAudio:
    """Train in a folder of features."""
    seed_everything(options.seed)
    data = GeneratorData(
        [folder / "train.safetensors", folder / "audio-text.safetensors"],
        folder / "validation.safetensors", folder / "clips.safetensors",
        batch_size=BATCH // options.processes, repeat=3, rates=RATES, seed=options.seed,
    )  # fmt: skip
    metrics = V2AMetrics("c-mcr-tiny", sample_rate=48_000, fps=25, cache_conditions=True, prefix="val/")
    sizes = GeneratorSizes(**SIZES, sync_as=options.sync_as, missing=options.missing)
    module = VideoToAudio(
        load_sounds(), metrics, sizes, steps=options.steps, learning_rate=options.learning_rate, warm_up=100,
        guidance=options.guidance, euler_steps=options.euler_steps, seed=options.seed,
    )  # fmt: skip
    kept = ModelCheckpoint(run, "best", monitor="val/majorscore_average", mode="max", save_last=True)
    last, marks = run / "last.ckpt", [round(share * options.steps) for share in SHARES]
    trainer = Trainer(
        max_steps=options.steps, max_epochs=-1, val_check_interval=options.every, check_val_every_n_epoch=None,
        accelerator="auto", devices=options.processes, strategy="ddp" if options.processes > 1 else "auto",
        logger=False, callbacks=[Snapshots(run, marks), Curve(run / "curve.json"), kept],
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    start, spent = time.monotonic(), time.process_time()
    if not last.is_file() and not options.name:
        trainer.validate(module, datamodule=data, verbose=False)
    trainer.fit(module, datamodule=data, ckpt_path=last if last.is_file() else None)
    wall, spent = time.monotonic() - start, time.process_time() - spent
    trainer.print(f"trained {trainer.global_step} steps in {wall / 60:.1f} min, {spent / 60:.1f} of a core a process")
    if not trainer.is_global_zero:
        sys.exit()
    best = torch.load(kept.best_model_path, weights_only=True)
    module.load_state_dict(best["state_dict"])
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--every", type=int, default=400, help="steps between two validations")
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    parser.add_argument("--guidance", type=float, default=2.5)
    parser.add_argument("--euler-steps", type=int, default=25, help="of samples at validation")
    parser.add_argument("--processes", type=int, default=1, help="of one thread each, see OMP_NUM_THREADS")
    parser.add_argument("--sync-as", choices=get_args(SyncAs), default="frames")
    parser.add_argument("--missing", choices=get_args(Missing), default="learned")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="", help="of a run that is only trained, and not judged")
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--guidances", type=float, nargs="*", default=[1.0, 2.5, 4.5])
    options = parser.parse_args()
    print(versions())
    parts = (options.sync_as, options.missing, str(options.seed), *filter(None, [options.name]))
    run = options.folder / "runs" / "-".join(parts).replace(" ", "-")
    weights = run / "generator.safetensors"
    if not weights.is_file():
        for name in ("validation", "audio-text", "train"):
            features_of(options.folder, name)
        clips = options.folder / "clips.safetensors"
        scenes = scenes_of("validation")
        if not clips.is_file() or read_clips(clips).ids != tuple(scene.id for scene in scenes):
            render_clips(scenes, "validation").write(clips)
        run.mkdir(parents=True, exist_ok=True)
        module = train(options.folder, run, options)
        with module.average.inside(module.network):
            save_generator(module.network, weights)
        print(f"{weights}: {weights.stat().st_size / 1e6:.1f} MB")
    if options.name:
        return
    own: Split = options.split
    learned = scenes_of("train") + scenes_of("audio-text")
    held_out = scenes_of(own), features_of(options.folder, own)
    report(load_generator(weights), options.folder, own, learned, *held_out, options.guidances)


if __name__ == "__main__":
    main()
