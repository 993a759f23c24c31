"""Does ``sync-tiny`` find by how much a sound was shifted? On held-out combinations of the embedded world.

    uv run benchmarks/planted_shifts.py [--each 4] [--split test]

Picture and sound of a scene are cut so that the sound is late (+) or early (-) by a known time, and nothing is filled
in. Objects move and sound in a beat, so a shift by a whole beat looks nearly right: an estimate is counted as exact,
and as right up to whole beats. Estimates lie on a grid of 0.2 s; intervals are 95 % percentile bootstraps over scenes.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from torchmetrics_majorscore.functional.desync import sync_offsets
from torchmetrics_majorscore.networks.synchrony import SharedSync, load_sync
from torchmetrics_majorscore.statistics.bootstrap import bootstrap
from torchmetrics_majorscore.training.world.scene import TEMPI, Scene, draw_scenes, unseen
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import SAMPLE_RATE, render_sounds

SHIFTS = (0.0, 0.2, -0.2, 0.4, -0.4, 0.6, 0.8, -1.0, 1.4)
CPU = torch.device("cpu")
NEAR = 0.11  # half a step of the grid, and a little


def shifted(frames: Tensor, sounds: Tensor, late: float, fps: int) -> tuple[list[Tensor], list[Tensor]]:
    """Cut videos (N, T, 3, H, W) and sounds (N, S) so that the sound is late."""
    count = round(abs(late) * fps)
    samples = count * SAMPLE_RATE // fps
    if late < 0:
        return list(frames[:, : frames.shape[1] - count]), list(sounds[:, samples:])
    return list(frames[:, count:]), list(sounds[:, : sounds.shape[1] - samples])


def estimates(sync: SharedSync, frames: list[Tensor], sounds: list[Tensor]) -> np.ndarray:
    seen, heard = sync.encode_video(frames, CPU), sync.encode_audio(sounds, SAMPLE_RATE, CPU)
    return sync_offsets(sync.compare(seen, heard, CPU))[:, 0].numpy()


def beats(scenes: Sequence[Scene]) -> np.ndarray:
    return np.array([np.diff(scene.events()).mean() for scene in scenes])


def rows(found: dict[float, np.ndarray], scenes: Sequence[Scene]) -> Iterator[str]:
    yield "| tempo | planted, s | mean estimate | DeSync | exact | right up to whole beats | n |"
    yield "|---|---|---|---|---|---|---|"
    period = beats(scenes)
    for tempo in TEMPI:
        own = np.array([scene.tempo == tempo for scene in scenes])
        for late, estimate in found.items():
            error = estimate - late
            beaten = error - np.round(error / period) * period
            shown = [
                show(values[own], np.mean)
                for values in (estimate, np.abs(estimate), np.abs(error) < NEAR, np.abs(beaten) < NEAR)
            ]
            yield f"| {tempo} | {late:+.1f} | {' | '.join(shown)} | {own.sum()} |"


def show(values: np.ndarray, statistic: Callable[..., float]) -> str:
    found = bootstrap(statistic, values.astype(float))
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=4, help="scenes of each held-out combination")
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--seed", type=int, default=77)
    options = parser.parse_args()
    sync = load_sync("sync-tiny")
    scenes = draw_scenes(unseen(options.split) * options.each, options.seed, options.split)
    frames, sounds = render_frames(scenes, sync.fps), render_sounds(scenes)
    found = {late: estimates(sync, *shifted(frames, sounds, late, sync.fps)) for late in SHIFTS}
    print(f"{len(scenes)} scenes of the split {options.split}, {sync.name}\n")
    print("\n".join(rows(found, scenes)))


if __name__ == "__main__":
    main()
