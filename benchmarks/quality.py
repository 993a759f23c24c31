"""Do the free metrics order generators of known quality? On the embedded world, with `c-mcr-tiny`.

    uv run benchmarks/quality.py [--scenes 192] [--draws 5]

All generators get the same scenes, and make of each another take (the same attributes, other random numbers), the same
under white noise, a sound of a wrong size, tempo or place, of another kind of object, always of one kind, or
white noise alone. The reference is the scene's own sound. A draw is a set of scenes; intervals are Student's t over
draws. An order holds in a draw if each generator is worse than the one before.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import mean, stdev

import numpy as np
import torch
from torch import Tensor

from torchmetrics_majorscore import V2AMetrics
from torchmetrics_majorscore.training.world.captions import caption
from torchmetrics_majorscore.training.world.scene import COMBINATIONS, KINDS, Scene, draw_scenes, with_wrong_attribute
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import SAMPLE_RATE, render_sounds

Values = dict[str, float]
COLUMNS = ("fd_clap", "kl_zero_shot", "is_zero_shot", "majorscore_average")
NOISY = ("another take", "20 dB", "10 dB", "0 dB", "white noise")
WRONG = ("another take", "wrong attribute", "wrong kind")
# Of each column what its values are, from the best on, and along which generators they must get worse. A distance of
# sets and an inception score do not know which sound belongs to which scene: a wrong kind is as good as a right one.
ORDERS: dict[str, tuple[int, list[Sequence[str]]]] = {
    "fd_clap": (1, [NOISY, ("another take", "one kind")]),
    "kl_zero_shot": (1, [NOISY, WRONG, ("another take", "one kind")]),
    "is_zero_shot": (-1, [NOISY, ("another take", "one kind")]),
    "majorscore_average": (-1, [NOISY, WRONG, ("another take", "one kind")]),
}
SEED = 7_000_000  # far from those of draws
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}


def another_kind(scene: Scene) -> Scene:
    others = [kind for kind in KINDS if kind != scene.kind]
    return replace(scene, kind=str(scene.random("another kind").choice(others)))


SCENES: dict[str, Callable[[Scene], Scene]] = {
    "another take": lambda scene: scene,
    "wrong attribute": with_wrong_attribute,
    "wrong kind": another_kind,
    "one kind": lambda scene: replace(scene, kind=KINDS[0]),
}


def white_noise(sounds: Tensor, seed: int) -> Tensor:
    return torch.randn(sounds.shape, generator=torch.Generator().manual_seed(seed))


def with_noise(sounds: Tensor, db: float, seed: int) -> Tensor:
    """Add white noise at a signal-to-noise ratio."""
    loudness = sounds.square().mean(dim=-1, keepdim=True).sqrt()
    return (sounds + loudness * 10 ** (-db / 20) * white_noise(sounds, seed)).clamp(-1, 1)


def generators(scenes: Sequence[Scene], seed: int) -> Iterator[tuple[str, Tensor]]:
    """Give what each generator makes of the scenes."""
    for name, change in SCENES.items():
        sounds = render_sounds([replace(change(scene), seed=scene.seed + SEED) for scene in scenes])
        yield name, sounds
        if name == "another take":
            for db in (20, 10, 0):
                yield f"{db} dB", with_noise(sounds, db, seed)
            yield "white noise", 0.1 * white_noise(sounds, seed)


def measure(count: int, seed: int) -> dict[str, Values]:
    """Measure every generator on one draw of scenes, one for each of so many combinations."""
    chosen = np.random.default_rng(seed).permutation(len(COMBINATIONS))[:count].tolist()
    scenes = draw_scenes(chosen, seed, "test")
    metrics = V2AMetrics("c-mcr-tiny", sample_rate=SAMPLE_RATE, fps=1, cache_conditions=True)
    shown = {
        "video": render_frames(scenes, 1.0),
        "text": [caption(scene, "test") for scene in scenes],
        "target_audio": render_sounds(scenes),
    }
    values = {}
    for name, sounds in generators(scenes, seed):
        metrics.reset()
        metrics.update(audio=sounds, ids=[scene.id for scene in scenes], **shown)
        shown = {}  # the metrics remember
        values[name] = {column: float(value) for column, value in metrics.compute().items()}
    return values


def in_order(values: dict[str, Values], column: str) -> bool:
    """Tell whether a column gets worse from generator to generator as it should."""
    sign, chains = ORDERS[column]
    return all(
        sign * values[better][column] < sign * values[worse][column]
        for chain in chains
        for better, worse in pairwise(chain)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=len(COMBINATIONS))
    parser.add_argument("--draws", type=int, default=5, choices=list(T_95))
    args = parser.parse_args()
    draws = [measure(args.scenes, seed) for seed in range(args.draws)]
    print(f"| generator | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for name in draws[0]:
        cells = []
        for column in COLUMNS:
            drawn = [values[name][column] for values in draws]
            half = T_95[len(drawn)] * stdev(drawn) / len(drawn) ** 0.5
            cells.append(f"{mean(drawn):.3f} ± {half:.3f}")
        print(f"| {name} | {' | '.join(cells)} |")
    held = [f"{sum(in_order(values, column) for values in draws)} of {len(draws)}" for column in COLUMNS]
    print(f"| in order, draws | {' | '.join(held)} |")
    print(
        f"\n{args.scenes} scenes in each of {args.draws} draws; ± is half of the 95 % interval of the mean over draws."
    )


if __name__ == "__main__":
    main()
