"""Make the figures of the documentation: scenes of the embedded world, scored by c-mcr-tiny.

    uv run docs/make_figures.py

Writes docs/figures. Texts and axes take the colour of the page that a figure stands in, see docs/hooks.py.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from torchmetrics_majorscore import CLIPCLAPScore, MAJORScore, load_encoder
from torchmetrics_majorscore.functional import major_score
from torchmetrics_majorscore.report import figures
from torchmetrics_majorscore.report.drawings import render_svg
from torchmetrics_majorscore.statistics.consistency import bootstrap, derange
from torchmetrics_majorscore.training.world.captions import caption
from torchmetrics_majorscore.training.world.scene import COMBINATIONS, draw_scenes
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import SAMPLE_RATE, render_sounds

FOLDER = Path(__file__).parent / "figures"
SHOWN = 4
NOISE = 10 ** (-10 / 20)  # 10 dB below the sound
COLOURS = colormaps["magma"].resampled(16)
Rows = dict[str, NDArray[np.float64]]


class Clips:
    """The test scenes, one of each combination, with the partner of each out of another kind of object."""

    def __init__(self) -> None:
        self.scenes = draw_scenes(range(len(COMBINATIONS)), seed=0, split="test")
        self.partners = derange([scene.kind for scene in self.scenes], seed=0)
        self.video, self.audio = render_frames(self.scenes, 1.0), render_sounds(self.scenes)
        self.text = [caption(scene, "test") for scene in self.scenes]

    @property
    def wrong_text(self) -> list[str]:
        return [self.text[partner] for partner in self.partners]

    @property
    def noisy_audio(self) -> Tensor:
        noise = torch.randn(self.audio.shape, generator=torch.Generator().manual_seed(0))
        return (self.audio + NOISE * self.audio.std(dim=-1, keepdim=True) * noise).clamp(-1, 1)

    def score(self, metric: MAJORScore | CLIPCLAPScore, **other: Sequence[str] | Tensor) -> Rows:
        """Give the similarities of each clip, with its own inputs or with others."""
        metric.reset()
        metric.update(**({"video": self.video, "text": self.text, "audio": self.audio} | other))
        return {pair: np.asarray(values, dtype=np.float64) for pair, values in metric.rows().items() if pair != "id"}


def pick(rows: Rows) -> Rows:
    return {pair: rows[pair] for pair in ("video-text", "text-audio")}


def anchored(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return rows["video-text"], rows["text-audio"]


def combined(rows: Rows, combine: str) -> NDArray[np.float64]:
    return major_score(torch.from_numpy(np.stack(anchored(rows), axis=-1)), combine).numpy()


def save(name: str, figure: Figure) -> None:
    svg = re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", render_svg(figure, name))
    (FOLDER / f"{name}.svg").write_text(f"{svg}\n", encoding="utf-8")


def draw_world(clips: Clips) -> Figure:
    """Draw a frame of some scenes beside the spectrogram of their sound, under their captions."""
    chosen = range(2, len(COMBINATIONS), len(COMBINATIONS) // SHOWN + 1)  # of different kinds, in different places
    figure = Figure(figsize=(figures.WIDTH, 1.15 * SHOWN), layout="constrained")
    grid = figure.subplots(SHOWN, 2, width_ratios=[1, 3.4])
    for (seen, heard), place in zip(grid, chosen, strict=True):
        seen.imshow(clips.video[place, 0].permute(1, 2, 0).numpy(), interpolation="none")
        seen.axis("off")
        # Few large cells of few colours: every one of them is in the page.
        window = torch.hann_window(1024)
        power = torch.stft(clips.audio[place], 1024, 2400, window=window, return_complex=True)[:192].abs().square()
        levels = torch.nn.functional.avg_pool2d(power[None], (4, 1))[0].clamp_min(1e-6).log10()
        heard.imshow(levels, cmap=COLOURS, origin="lower", extent=(0, 4, 0, 9), aspect="auto", interpolation="none")
        heard.set_title(clips.text[place], loc="left", fontsize=8, color=figures.INK)
        heard.set_yticks([])
        last = heard is grid[-1, 1]
        heard.tick_params(labelbottom=last, length=3 if last else 0, colors=figures.INK)
        heard.spines[:].set_visible(False)
    grid[-1, 1].set_xlabel("seconds (sound up to 9 kHz)", color=figures.INK)
    return figure


def draw_scores(own: Rows, wrong: Rows) -> None:
    """Draw what MAJORScore and FairScore say of clips with their own and with wrong captions."""
    sets = {"own caption": own, "caption of another kind": wrong}
    averages = {name: combined(rows, "average") for name, rows in sets.items()}
    save("captions", figures.render_distributions({"test scenes": averages}, "MAJORScore, average"))
    bars = {
        name: {combine: bootstrap(np.mean, combined(rows, combine)) for combine in ("product", "average", "sum")}
        for name, rows in sets.items()
    }
    save("combinations", figures.render_means(bars, "MAJORScore"))
    save("plane", figures.render_plane({name: anchored(rows) for name, rows in sets.items()}))


def main() -> None:
    """Score the clips in all ways that a page shows, and draw."""
    FOLDER.mkdir(exist_ok=True)
    clips, encoder = Clips(), load_encoder("c-mcr-tiny")
    options = {"sample_rate": SAMPLE_RATE, "fps": 1}
    joint = MAJORScore("sum", encoder, pairs="all", **options)
    apart = CLIPCLAPScore("sum", *encoder.baseline(), **options)
    save("world", draw_world(clips))
    own, wrong = clips.score(joint), clips.score(joint, text=clips.wrong_text)
    draw_scores(own, wrong)
    panels = {"MAJORScore: one space": own, "CLIPCLAP: a space each": clips.score(apart)}
    save("spaces", figures.render_distributions({name: pick(rows) for name, rows in panels.items()}))
    panels = {"own caption": own, "caption of another kind": wrong}
    save("sets", figures.render_distributions({name: pick(rows) for name, rows in panels.items()}))
    sounds = {
        "its own": clips.audio,
        "under noise (10 dB)": clips.noisy_audio,
        "another kind's": clips.audio[clips.partners],
    }
    curves = {name: combined(clips.score(joint, audio=sound), "average") for name, sound in sounds.items()}
    save("sorted", figures.render_sorted(curves, "MAJORScore, average"))


if __name__ == "__main__":
    main()
