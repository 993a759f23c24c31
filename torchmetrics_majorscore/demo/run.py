"""``majorscore demo``: the metric on held-out scenes, and in the training of a small video-to-audio model."""

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from torchmetrics_majorscore.demo.generator import VideoToAudio, see
from torchmetrics_majorscore.demo.voice import SAMPLE_RATE, Vocoder, fold
from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.functional import major_score
from torchmetrics_majorscore.metrics import CLIPCLAPScore, MAJORScore
from torchmetrics_majorscore.statistics.consistency import compare, derange
from torchmetrics_majorscore.training.world.captions import caption
from torchmetrics_majorscore.training.world.scene import COMBINATIONS, Scene, Split, draw_scenes, unseen
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import render_sounds
from torchmetrics_majorscore.training.world.view import write_mp4

FPS = 4.0
RAW: dict[str, Any] = {"sample_rate": SAMPLE_RATE, "fps": FPS}
BATCH = 16
TRAINING_BATCH = 128
RENDERED_AT_ONCE = 64


@dataclass(frozen=True)
class DemoOptions:
    """How long the demo takes.

    Args:
        renders: training scenes of each of the 144 training combinations.
        epochs: of the generator.
        every: epochs between two validations of it.
        validated: held-out scenes in the validation of the generator.
        clips: scenes whose videos are written.
        seed: of scenes, weights and batches.
    """

    renders: int = 8
    epochs: int = 24
    every: int = 3
    validated: int = 48
    clips: int = 4
    seed: int = 0


class Pairs(Dataset[dict[str, Tensor]]):
    """What the generator learns from: of each scene what CLIP sees in it, the period of its sound, and its rate.

    Args:
        scenes: what to render.
    """

    def __init__(self, scenes: Sequence[Scene]) -> None:
        clip, vocoder, parts = load_encoder("clip-tiny"), Vocoder(), []
        for at in range(0, len(scenes), RENDERED_AT_ONCE):
            part = scenes[at : at + RENDERED_AT_ONCE]
            parts.append((see(clip, render_frames(part)), *fold(vocoder.analyse(render_sounds(part)))))
        self.seen, self.periods, self.rates = (torch.cat(column) for column in zip(*parts, strict=True))

    def __len__(self) -> int:
        return len(self.rates)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return {"seen": self.seen[row], "periods": self.periods[row], "rates": self.rates[row]}


class Clips(Dataset[dict[str, Any]]):
    """Rendered scenes as samples of a validation run.

    Args:
        scenes: what to render.
        split: whose wordings the captions have.
    """

    def __init__(self, scenes: Sequence[Scene], split: Split) -> None:
        self.frames = render_frames(scenes, FPS)
        self.audio = render_sounds(scenes)
        self.text = [caption(scene, split) for scene in scenes]
        self.ids = [scene.id for scene in scenes]
        self.kinds = [scene.kind for scene in scenes]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {"frames": self.frames[row], "audio": self.audio[row], "text": self.text[row], "id": self.ids[row]}


def run_demo(folder: Path, options: DemoOptions, say: Callable[[str], object]) -> dict[str, float]:
    """Render, score, train, and write what came out.

    Args:
        folder: gets ``demo.png``, and a video with generated and one with true audio of
            some scenes.
        options: how long.
        say: called with each line to show.

    Returns:
        MAJORScore of shuffled, generated and true audio, and the share of the gap between the first and the last that
        the generator closed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    say("Rendering scenes of the embedded world ...")
    everything = list(range(len(COMBINATIONS)))
    held_out = Clips(draw_scenes(everything, options.seed, "test"), "test")
    _show_discrimination(held_out, say)
    scenes = [number for number in unseen("train") for _ in range(options.renders)]
    training = Pairs(draw_scenes(scenes, 900 + options.seed, "train"))
    rows = torch.randperm(len(everything), generator=torch.Generator().manual_seed(options.seed))[: options.validated]
    validation = torch.utils.data.Subset(held_out, rows.tolist())
    say(f"Training a video-to-audio model on {len(training)} clips; its loss knows nothing of the metric ...")
    generator, curve = _train(training, validation, options, say)
    bounds = _bounds(held_out, rows.tolist())
    untrained, trained = curve[0], curve[max(curve)]
    scores = {**bounds, "generated": trained}
    scores["closed"] = (scores["generated"] - bounds["shuffled"]) / (bounds["true"] - bounds["shuffled"])
    say(
        f"val/majorscore: {bounds['shuffled']:.3f} for shuffled audio, {untrained:.3f} before training, "
        f"{trained:.3f} after it, {bounds['true']:.3f} for the true audio: {scores['closed']:.0%} of the gap closed."
    )
    written = [_plot(folder / "demo.png", curve, bounds), *_write_clips(folder, generator, held_out, rows, options)]
    say("Written: " + ", ".join(str(path) for path in written))
    return scores


def score(clips: Clips, rows: Sequence[int], texts: Sequence[int], sounds: Sequence[int], metric: Any) -> Tensor:
    """Give the MAJORScore of each row with the caption and the sound of other rows; (N,)."""
    metric.reset()
    parts = (torch.split(torch.tensor(part), BATCH) for part in (rows, texts, sounds))
    for video, text, sound in zip(*parts, strict=True):
        metric.update(
            video=clips.frames[video], text=[clips.text[row] for row in text], audio=clips.audio[sound],
            ids=[clips.ids[row] for row in video],
        )  # fmt: skip
    columns = metric.rows()
    return major_score(torch.stack([columns["video-text"], columns["text-audio"]], dim=-1), "average")


def _show_discrimination(clips: Clips, say: Callable[[str], object]) -> None:
    order, rows = derange(clips.kinds, seed=0), range(len(clips))
    metrics = {
        "MAJORScore": MAJORScore(encoder="c-mcr-tiny", **RAW),
        "CLIPCLAP": CLIPCLAPScore("average", "clip-tiny", "clap-tiny", **RAW),
    }
    say(f"{len(clips)} held-out scenes, with their own captions and with those of another kind of object:")
    for name, metric in metrics.items():
        own, other = score(clips, rows, rows, rows, metric), score(clips, rows, order, rows, metric)
        found = compare(own.double().numpy(), other.double().numpy())
        say(
            f"  {name:10}  consistent {own.mean():6.3f}   mispaired {other.mean():6.3f}   AUROC "
            f"{found['auroc'].value:.3f} [{found['auroc'].low:.3f}, {found['auroc'].high:.3f}]"
        )


def _bounds(clips: Clips, rows: Sequence[int]) -> dict[str, float]:
    order = derange([clips.kinds[row] for row in rows], seed=0)
    metric = MAJORScore(encoder="c-mcr-tiny", **RAW)
    sounds = {"shuffled": [rows[row] for row in order], "true": rows}
    return {name: score(clips, rows, rows, audio, metric).mean().item() for name, audio in sounds.items()}


class _Curve(Callback):
    """Keep val/majorscore after each validated epoch, and say it; 0 is before training."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self.say = say
        self.values: dict[int, float] = {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = float(trainer.callback_metrics["val/majorscore"])
        epoch = trainer.current_epoch + 1 if trainer.state.fn == "fit" else 0
        self.values[epoch] = value
        self.say(f"  epoch {epoch:2}: val/majorscore {value:.3f}")


def _train(
    training: Pairs, validation: Dataset[dict[str, Any]], options: DemoOptions, say: Callable[[str], object]
) -> tuple[VideoToAudio, dict[int, float]]:
    torch.manual_seed(options.seed)
    batches = DataLoader(training, TRAINING_BATCH, shuffle=True, drop_last=True)
    held_out = DataLoader(validation, BATCH)
    curve = _Curve(say)
    generator = VideoToAudio(training.periods, training.rates, FPS, steps=options.epochs * len(batches))
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # no advertisement between our lines
    with warnings.catch_warnings():
        # torch's deprecation inside Lightning 2.6, and its advice on workers, of which tensors in memory need none.
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        warnings.filterwarnings("ignore", ".*does not have many workers")
        trainer = Trainer(
            max_epochs=options.epochs, check_val_every_n_epoch=options.every, accelerator="auto", devices=1,
            logger=False, enable_checkpointing=False, enable_model_summary=False, enable_progress_bar=False,
            num_sanity_val_steps=0, callbacks=[curve],
        )  # fmt: skip
        trainer.validate(generator, held_out, verbose=False)
        trainer.fit(generator, batches, held_out)
    return generator, curve.values


def _plot(path: Path, curve: dict[int, float], bounds: dict[str, float]) -> Path:
    needs_extra("matplotlib", "all")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(list(curve), list(curve.values()), marker="o", label="generated audio")
    for (name, value), colour in zip(bounds.items(), ("tab:red", "tab:green"), strict=True):
        axes.axhline(value, linestyle="--", color=colour, label=f"{name} audio")
    axes.set(xlabel="epoch", ylabel="val/majorscore", title="A video-to-audio model learns the embedded world")
    axes.legend()
    figure.savefig(path, dpi=150)
    return path


def _write_clips(folder: Path, generator: VideoToAudio, clips: Clips, rows: Tensor, options: DemoOptions) -> list[Path]:
    """Write the frames of some scenes with generated and with true audio."""
    chosen = rows[: options.clips]
    with torch.no_grad():
        audio = generator.eval().cpu()(clips.frames[chosen])
    paths = []
    for row, made in zip(chosen.tolist(), audio, strict=True):
        for name, waveform in (("generated", made), ("true", clips.audio[row])):
            paths.append(folder / f"{clips.ids[row]}-{name}.mp4")
            write_mp4(paths[-1], clips.frames[row], FPS, waveform, SAMPLE_RATE)
    return paths
