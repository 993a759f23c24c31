"""How far does a joint encoder see that sound and video are apart in time?

    uv run benchmarks/synchrony.py [--clips 24] [--fps 4] [--encoder c-mcr-tiny]
    uv run benchmarks/synchrony.py --manifest MANIFEST [--encoder c-mcr --weights seeded]

Clips of the embedded world of one scene (4 s, where the same happens again and again), of two scenes (8 s) and of four
(16 s), or those of a manifest; each with its own sound, and with that sound late by 0.25 to 2 s, what comes in at the
start being its end. For each score of FrameScores the mean, and the AUROC of the clips as they are against the late
ones, with 95 % bootstrap intervals over clips. With seeded weights the numbers mean nothing.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from embedded_world import show, table
from machine import versions
from numpy.typing import NDArray
from torch import Tensor

from torchmetrics_majorscore.encoders import SharedEncoder, load_encoder
from torchmetrics_majorscore.encoders.resample import resample
from torchmetrics_majorscore.media import read_frames, read_manifest, read_waveform
from torchmetrics_majorscore.metrics import FrameScores
from torchmetrics_majorscore.metrics.conditions import Conditions
from torchmetrics_majorscore.metrics.frames import COLUMNS
from torchmetrics_majorscore.statistics.bootstrap import bootstrap
from torchmetrics_majorscore.statistics.consistency import auroc, derange
from torchmetrics_majorscore.training.world.scene import COMBINATIONS, draw_scenes
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import render_sounds
from torchmetrics_majorscore.training.world.timbres import SAMPLE_RATE

LATE = (0.25, 0.5, 1.0, 2.0)  # seconds
Clips = tuple[list[Tensor], list[Tensor], int]


def world(clips: int, scenes: int, fps: float) -> Clips:
    """Render clips of so many scenes each: frames, sounds, and the rate of the sounds."""
    order = np.random.default_rng(0).permutation(np.arange(clips * scenes) % len(COMBINATIONS)).tolist()
    drawn = draw_scenes(order, 0, "test")
    frames, sounds = render_frames(drawn, fps), render_sounds(drawn)
    return [*frames.view(clips, -1, *frames.shape[2:])], [*sounds.view(clips, -1)], SAMPLE_RATE


def recorded(manifest: Path, fps: float) -> Clips:
    """Read the clips of a manifest that have a sound, mixed and resampled to 16 kHz."""
    frames, sounds, rate = [], [], 16_000
    for entry in read_manifest(manifest):
        try:
            waveform, own = read_waveform(entry.audio or entry.video)
        except ValueError as error:  # no sound
            print(f"left out: {error}")
            continue
        frames.append(read_frames(entry.video, fps=fps))
        sounds.append(resample(waveform.mean(dim=0), own, rate))
    return frames, sounds, rate


def scores(
    encoder: SharedEncoder, frames: list[Tensor], sounds: list[Tensor], rate: int, fps: float, seen: Conditions
) -> NDArray[np.float64]:
    """Score clips: (N, 3)."""
    metric = FrameScores(encoder, sample_rate=rate, fps=fps, nan_strategy="ignore", cache_conditions=seen)
    for start in range(0, len(frames), 8):
        metric.update(video=frames[start : start + 8], audio=sounds[start : start + 8])
    return torch.cat(metric.values).double().numpy()


def report(name: str, encoder: SharedEncoder, clips: Clips, fps: float) -> None:
    """Print the scores of clips as they are, late, and with the sound of another clip."""
    frames, sounds, rate = clips
    others = [sounds[place] for place in derange(list(range(len(sounds))), seed=0)]
    late: Mapping[str, list[Tensor]] = {
        "as it is": sounds,
        **{f"{seconds:g} s late": [one.roll(round(seconds * rate)) for one in sounds] for seconds in LATE},
        "another clip's": others,
    }
    seen = Conditions()  # the same frames every time
    found = {how: scores(encoder, frames, heard, rate, fps, seen) for how, heard in late.items()}
    own = found["as it is"]
    rows = []
    for how, values in found.items():
        cells = []
        for column in range(len(COLUMNS)):
            cells.append(f"{np.nanmean(values[:, column]):.3f}")
            cells.append("" if how == "as it is" else show(bootstrap(auroc, own[:, column], values[:, column])))
        rows.append([how, *cells])
    header = [name, *(cell for column in COLUMNS for cell in (column, "AUROC"))]
    print("\n".join(table(header, rows)), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=24, help="of the embedded world, of each kind")
    parser.add_argument("--fps", type=float, default=4.0)
    parser.add_argument("--encoder", default="c-mcr-tiny")
    parser.add_argument("--weights")
    parser.add_argument("--manifest", type=Path, help="clips in place of the embedded world")
    options = parser.parse_args()
    encoder = load_encoder(options.encoder, weights=options.weights)
    print(f"{options.encoder}, {options.fps:g} frames per second. {versions()}\n")
    if options.manifest:
        report("recorded", encoder, recorded(options.manifest, options.fps), options.fps)
        return
    for scenes in (1, 2, 4):
        name = f"{options.clips} clips of {scenes} scene{'s' * (scenes > 1)}"
        report(name, encoder, world(options.clips, scenes, options.fps), options.fps)


if __name__ == "__main__":
    main()
