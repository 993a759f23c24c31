"""The generator of this package in the demo: the curve of its training, and some steps more of it, live."""

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from torchmetrics_majorscore.metrics import V2AMetrics
from torchmetrics_majorscore.training.generator.averaging import PowerAverage
from torchmetrics_majorscore.training.generator.checkpoint import BUNDLE, load_generator
from torchmetrics_majorscore.training.generator.clips import render_clips
from torchmetrics_majorscore.training.generator.data import GeneratorData
from torchmetrics_majorscore.training.generator.module import VideoToAudio
from torchmetrics_majorscore.training.generator.sounds import load_sounds
from torchmetrics_majorscore.training.generator.vocoder import SAMPLE_RATE
from torchmetrics_majorscore.training.generator.world import RATES, embed_scenes
from torchmetrics_majorscore.training.world.scene import Scene

GUIDANCE = 2.5
EULER_STEPS = 10
BATCH = 8
RATE = 1.5e-5
"""Of learning: that of the last tenth of the recorded training."""
LOGGED = "val/majorscore_average"
Say = Callable[[str], object]


def recorded() -> dict[int, float]:
    """Give val/majorscore by step of the training that made the generator of this package."""
    points = json.loads(BUNDLE.with_name("curve.json").read_text(encoding="utf-8"))
    return {int(point["step"]): float(point[LOGGED]) for point in points}


class _Live(Callback):
    """Begin with the weights of this package, and say what each validation logs."""

    def __init__(self, first: int, say: Say, advance: Callable[[], object]) -> None:
        self.first, self.say, self.advance = first, say, advance
        self.values: dict[int, float] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module: Any = pl_module  # setup has just taken the constants of few scenes
        module.network.load_state_dict(load_generator().state_dict())

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *batch: Any) -> None:
        for _ in batch[1]["ids"]:
            self.advance()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        step = self.first + trainer.global_step
        self.values[step] = float(trainer.callback_metrics[LOGGED])
        onsets = float(trainer.callback_metrics["val/onset_f1"])
        self.say(f"  step {step:5}: val/majorscore {self.values[step]:.3f}, val/onset_f1 {onsets:.2f}")


def go_on(
    folder: Path,
    learned: Sequence[Scene],
    validation: Sequence[Scene],
    steps: int,
    say: Say,
    advance: Callable[[], object],
) -> dict[int, float]:
    """Train the generator of this package for some steps more.

    Args:
        folder: gets the features.
        learned: training scenes.
        validation: held-out ones, generated for before and after.
        steps: of optimization.
        say: called with a line after each validation.
        advance: called for each scene that is embedded, and for each sound generated.

    Returns:
        val/majorscore by step, counted from the beginning of the recorded training.
    """
    paths = [folder / name for name in ("train.safetensors", "validation.safetensors", "clips.safetensors")]
    embed_scenes(learned, "train", advance=advance).write(paths[0])
    embed_scenes(validation, "validation", advance=advance).write(paths[1])
    render_clips(validation, "validation").write(paths[2])
    data = GeneratorData([paths[0]], paths[1], paths[2], batch_size=BATCH, rates=RATES)
    network = load_generator()
    metrics = V2AMetrics("c-mcr-tiny", sample_rate=SAMPLE_RATE, fps=25, cache_conditions=True, prefix="val/")
    module = VideoToAudio(
        load_sounds(), metrics, network.sizes, steps=2 * steps, learning_rate=RATE, warm_up=0, guidance=GUIDANCE,
        euler_steps=EULER_STEPS,
    )  # fmt: skip
    module.network.load_state_dict(network.state_dict())
    module.average = PowerAverage(module.network, 0.05)
    live = _Live(max(recorded()), say, advance)
    with warnings.catch_warnings():
        # torch's deprecation inside Lightning 2.6, and its advice on workers, of which tensors in memory need none.
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        warnings.filterwarnings("ignore", ".*does not have many workers")
        warnings.filterwarnings("ignore", ".* vectors of .* do not span")
        trainer = Trainer(
            max_steps=steps, max_epochs=-1, val_check_interval=steps, check_val_every_n_epoch=None, accelerator="auto",
            devices=1, logger=False, enable_checkpointing=False, enable_model_summary=False,
            enable_progress_bar=False, num_sanity_val_steps=0, callbacks=[live],
        )  # fmt: skip
        trainer.validate(module, datamodule=data, verbose=False)
        trainer.fit(module, datamodule=data)
    return live.values
