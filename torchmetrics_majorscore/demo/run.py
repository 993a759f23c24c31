"""``majorscore demo``: the metric on held-out scenes, and in the training of a small video-to-audio model."""

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader

from torchmetrics_majorscore.demo.clips import AT_ONCE, FPS, Clips, Pairs
from torchmetrics_majorscore.demo.encoded import Encoded, encode, encode_clips
from torchmetrics_majorscore.demo.findings import find
from torchmetrics_majorscore.demo.generator import VideoToAudio
from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.statistics.consistency import derange
from torchmetrics_majorscore.training.generator.vocoder import SAMPLE_RATE
from torchmetrics_majorscore.training.world.scene import COMBINATIONS, Scene, draw_scenes, unseen
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.view import write_mp4

LOGGER = logging.getLogger(__name__)
SHOWN_FPS = 8.0
TRAINING_BATCH = 96


@dataclass(frozen=True)
class DemoOptions:
    """How long the demo takes.

    Args:
        renders: training scenes of each of the 144 training combinations.
        epochs: of the generator.
        every: epochs between two validations of it.
        validated: scenes that choose the generator's epoch, and as many others that test it.
        clips: scenes whose videos are written.
        seed: of scenes, weights and batches.
    """

    renders: int = 6
    epochs: int = 24
    every: int = 4
    validated: int = 32
    clips: int = 4
    seed: int = 0

    @property
    def work(self) -> int:
        """How often :func:`run_demo` calls ``advance``: for each scene that is rendered, and each sound generated."""
        rendered = len(COMBINATIONS) + self.validated + len(unseen("train")) * self.renders
        return rendered + (self.epochs // self.every + 2) * self.validated


def run_demo(
    folder: Path, options: DemoOptions, say: Callable[[str], object], advance: Callable[[], object] = lambda: None
) -> dict[str, float]:
    """Render, score, train, and write what came out.

    Args:
        folder: gets ``demo.png``, and of some test scenes a video with generated and one with true audio.
        options: how long.
        say: called with each line to show.
        advance: called ``options.work`` times.

    Returns:
        The numbers that are said: those of :func:`.findings.find`; ``shuffled``, ``generated`` and ``true``, the
        MAJORScore of test scenes with such audio; and ``closed``, the share of the gap between the first and the last
        that the generator closed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    LOGGER.info("rendering held-out scenes")
    held_out = Clips(draw_scenes(range(len(COMBINATIONS)), options.seed, "test"), "test", advance)
    encoded = encode_clips(held_out)
    numbers = find(encoded, held_out, options.seed, say)
    LOGGER.info("rendering scenes to learn from")
    rows = torch.randperm(len(held_out), generator=torch.Generator().manual_seed(options.seed)).tolist()
    chosen, tested = rows[: options.validated], rows[-options.validated :]
    validation = Clips(draw_scenes(chosen, options.seed, "validation"), "validation", advance)
    scenes = [number for number in unseen("train") for _ in range(options.renders)]
    training = Pairs(draw_scenes(scenes, 900 + options.seed, "train"), advance)
    say(f"Training a video-to-audio model on {len(training)} clips; its loss knows nothing of the metric.")
    generator, curve = _train(training, validation, options, say, advance)
    LOGGER.info("generating sounds of test scenes")
    audio = generate(generator, held_out.frames[tested], advance)
    scores = bounds(encoded.take(tested), [held_out.scenes[row].kind for row in tested])
    scores["generated"] = mean(Encoded(encoded.take(tested).vectors | encode(audio=audio)))
    scores["closed"] = (scores["generated"] - scores["shuffled"]) / (scores["true"] - scores["shuffled"])
    say(
        f"{len(tested)} other scenes, MAJORScore: {scores['shuffled']:.3f} with shuffled audio, "
        f"{scores['generated']:.3f} with generated, {scores['true']:.3f} with the true one: "
        f"{scores['closed']:.0%} of the gap closed."
    )
    limits = bounds(encode_clips(validation), [scene.kind for scene in validation.scenes])
    written = [_plot(folder / "demo.png", curve, limits, len(validation))]
    for row, made in list(zip(tested, audio, strict=True))[: options.clips]:
        written += _write_clips(folder, held_out.scenes[row], {"generated": made, "true": held_out.audio[row]})
    say("Written: " + ", ".join(str(path) for path in written))
    return numbers | scores


def mean(encoded: Encoded) -> float:
    """Give the MAJORScore of clips."""
    return encoded.majorscore().mean().item()


def bounds(encoded: Encoded, kinds: Sequence[str]) -> dict[str, float]:
    """Give the MAJORScore of clips with the sounds of other kinds of objects, and with their own."""
    return {"shuffled": mean(encoded.with_other("audio", derange(kinds, seed=0))), "true": mean(encoded)}


def generate(generator: VideoToAudio, frames: Tensor, advance: Callable[[], object]) -> Tensor:
    """Generate sounds for videos (N, T, 3, H, W): waveforms (N, S)."""
    generator = generator.eval().cpu()
    sounds = []
    with torch.no_grad():
        for part in torch.split(frames, AT_ONCE):
            sounds.append(generator(part))
            for _ in part:
                advance()
    return torch.cat(sounds)


class _Curve(Callback):
    """Keep val/majorscore after each validated epoch, and say it; 0 is before training."""

    def __init__(self, say: Callable[[str], object], advance: Callable[[], object]) -> None:
        self.say = say
        self.advance = advance
        self.values: dict[int, float] = {}

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *batch: Any) -> None:
        for _ in batch[1]["id"]:
            self.advance()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = float(trainer.callback_metrics["val/majorscore"])
        epoch = trainer.current_epoch + 1 if trainer.state.fn == "fit" else 0
        self.values[epoch] = value
        self.say(f"  epoch {epoch:2}: val/majorscore {value:.3f}")


def _train(
    training: Pairs,
    validation: Clips,
    options: DemoOptions,
    say: Callable[[str], object],
    advance: Callable[[], object],
) -> tuple[VideoToAudio, dict[int, float]]:
    """Train the generator, and give it as it was at its best validation, with the whole curve."""
    torch.manual_seed(options.seed)
    batches = DataLoader(training, TRAINING_BATCH, shuffle=True, drop_last=True)
    held_out = DataLoader(validation, AT_ONCE)
    curve = _Curve(say, advance)
    generator = VideoToAudio(training.periods, training.rates, FPS, steps=options.epochs * len(batches))
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # no advertisement between our lines
    with warnings.catch_warnings(), TemporaryDirectory() as folder:
        # torch's deprecation inside Lightning 2.6, and its advice on workers, of which tensors in memory need none.
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        warnings.filterwarnings("ignore", ".*does not have many workers")
        best = ModelCheckpoint(folder, "best", monitor="val/majorscore", mode="max", save_weights_only=True)
        trainer = Trainer(
            max_epochs=options.epochs, check_val_every_n_epoch=options.every, accelerator="auto", devices=1,
            logger=False, enable_model_summary=False, enable_progress_bar=False,
            num_sanity_val_steps=0, callbacks=[curve, best],
        )  # fmt: skip
        trainer.validate(generator, held_out, verbose=False)
        trainer.fit(generator, batches, held_out)
        kept = torch.load(best.best_model_path, weights_only=True)
    generator.load_state_dict(kept["state_dict"])
    say(f"  kept: epoch {kept['epoch'] + 1}, the best of these")
    return generator, curve.values


def _plot(path: Path, curve: dict[int, float], bounds: dict[str, float], count: int) -> Path:
    needs_extra("matplotlib", "all")
    from matplotlib.figure import Figure

    from torchmetrics_majorscore.report.figures import COLORS

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(list(curve), list(curve.values()), color=COLORS[0], marker="o", label="generated audio")
    for (name, value), color, line in zip(bounds.items(), COLORS[1:], (":", "--"), strict=False):
        axes.axhline(value, linestyle=line, color=color, label=f"{name} audio")
    axes.set_xlabel("epoch (0 is before training)")
    axes.set_ylabel(f"val/majorscore, mean of {count} validation clips")
    figure.suptitle("A video-to-audio model learns the embedded world", fontsize="medium")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=150)
    return path


def _write_clips(folder: Path, scene: Scene, sounds: Mapping[str, Tensor]) -> list[Path]:
    """Write the frames of a scene with each of its sounds."""
    (frames,) = render_frames([scene], SHOWN_FPS)
    paths = [folder / f"{scene.id}-{name}.mp4" for name in sounds]
    for path, waveform in zip(paths, sounds.values(), strict=True):
        write_mp4(path, frames, SHOWN_FPS, waveform, SAMPLE_RATE)
    return paths
