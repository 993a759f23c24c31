"""``majorscore demo``: the metric on held-out scenes, and in the training of a small video-to-audio model."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from torchmetrics_majorscore.demo.clips import AT_ONCE, Clips
from torchmetrics_majorscore.demo.encoded import Encoded, encode, encode_clips
from torchmetrics_majorscore.demo.findings import find
from torchmetrics_majorscore.demo.generator import EULER_STEPS, GUIDANCE, go_on, recorded
from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.statistics.consistency import derange
from torchmetrics_majorscore.training.generator.checkpoint import load_generator
from torchmetrics_majorscore.training.generator.data import Samples
from torchmetrics_majorscore.training.generator.flow import sample
from torchmetrics_majorscore.training.generator.module import draw_noise
from torchmetrics_majorscore.training.generator.sounds import load_sounds
from torchmetrics_majorscore.training.generator.vocoder import SAMPLE_RATE
from torchmetrics_majorscore.training.generator.world import embed_scenes
from torchmetrics_majorscore.training.world.scene import COMBINATIONS, Scene, draw_scenes, unseen
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.view import write_mp4

LOGGER = logging.getLogger(__name__)
SHOWN_FPS = 8.0


@dataclass(frozen=True)
class DemoOptions:
    """How long the demo takes.

    Args:
        learned: training scenes.
        steps: for which the generator's training goes on.
        validated: scenes that it is validated on before and after, and as many others that test the generator.
        clips: scenes whose videos are written.
        seed: of scenes.
    """

    learned: int = 32
    steps: int = 10
    validated: int = 24
    clips: int = 4
    seed: int = 0

    @property
    def work(self) -> int:
        """How often :func:`run_demo` calls ``advance``: for each scene that is rendered, and each sound generated."""
        return len(COMBINATIONS) + self.learned + 5 * self.validated


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
    rows = torch.randperm(len(held_out), generator=torch.Generator().manual_seed(options.seed)).tolist()
    chosen, tested = rows[: options.validated], rows[-options.validated :]
    known = unseen("train")
    learned = draw_scenes([known[row % len(known)] for row in rows[: options.learned]], 900 + options.seed, "train")
    say("A video-to-audio model of 2.8 million parameters, MMAudio's small; its loss knows nothing of the metric.")
    curve = recorded()
    for step, value in curve.items():
        say(f"  step {step:5}: val/majorscore {value:.3f}, recorded")
    say("Its training goes on for some steps, on other scenes:")
    validation = draw_scenes(chosen, options.seed, "validation")
    with TemporaryDirectory() as place:
        live = go_on(Path(place), learned, validation, options.steps, say, advance)
    LOGGER.info("generating sounds of test scenes")
    audio = generate([held_out.scenes[row] for row in tested], advance)
    scores = bounds(encoded.take(tested), [held_out.scenes[row].kind for row in tested])
    scores["generated"] = mean(Encoded(encoded.take(tested).vectors | encode(audio=audio)))
    scores["closed"] = (scores["generated"] - scores["shuffled"]) / (scores["true"] - scores["shuffled"])
    say(
        f"{len(tested)} other scenes, MAJORScore: {scores['shuffled']:.3f} with shuffled audio, "
        f"{scores['generated']:.3f} with generated, {scores['true']:.3f} with the true one: "
        f"{scores['closed']:.0%} of the gap closed."
    )
    written = [_plot(folder / "demo.png", curve, live, scores)]
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


@torch.no_grad()
def generate(scenes: Sequence[Scene], advance: Callable[[], object]) -> Tensor:
    """Generate sounds for test scenes with the generator of this package: waveforms (N, S)."""
    features = embed_scenes(scenes, "test", advance=advance)
    network, voice, parts = load_generator(), load_sounds(), []
    for rows in torch.split(torch.arange(len(scenes)), AT_ONCE):
        prompt = Samples([features]).batch(rows.tolist()).prompt
        noise = draw_noise([features.ids[row] for row in rows], features.latent_mean.shape[1], network.sizes.latent)
        parts.append(voice.decode(sample(network, prompt, noise, guidance=GUIDANCE, steps=EULER_STEPS)))
        for _ in rows:
            advance()
    return torch.cat(parts)


def _plot(path: Path, curve: dict[int, float], live: dict[int, float], scores: Mapping[str, float]) -> Path:
    needs_extra("matplotlib", "all")
    from matplotlib.figure import Figure

    from torchmetrics_majorscore.report.figures import COLORS

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(list(curve), list(curve.values()), color=COLORS[0], marker="o", label="generated audio, recorded")
    axes.plot(list(live), list(live.values()), color=COLORS[3], marker="s", label="live, on other scenes")
    for name, color, line in zip(("shuffled", "true"), COLORS[1:], (":", "--"), strict=False):
        axes.axhline(scores[name], linestyle=line, color=color, label=f"{name} audio")
    axes.set_xlabel("training step")
    axes.set_ylabel("MAJORScore of held-out scenes")
    figure.suptitle("A video-to-audio model learns the embedded world", fontsize="medium")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, dpi=150)
    return path


def _write_clips(folder: Path, scene: Scene, sounds: Mapping[str, Tensor]) -> list[Path]:
    """Write the frames of a scene with each of its sounds."""
    (frames,) = render_frames([scene], SHOWN_FPS)
    paths = [folder / f"{scene.id}-{name}.mp4" for name in sounds]
    for path, waveform in zip(paths, sounds.values(), strict=True):
        write_mp4(path, frames, SHOWN_FPS, waveform, SAMPLE_RATE)
    return paths
