"""What the metrics beside MAJORScore cost: over given features, and a whole validation of raw sounds.

    uv run benchmarks/v2a.py [--rows 15000] [--features 2048]
    uv run benchmarks/v2a.py --validation 16 [--rounds 3]

One process and one thread, CPU time. *SciPy* is the root of the product of the covariances, as pytorch-fid and
av-benchmark take it, from features to distance. A validation is one of the second epoch, whose videos, captions and
references are known: sounds of 8 s at 16 kHz through C-MCR of full size with seeded weights, and `compute`, MAJORScores
alone and V2AMetrics in turn. 256 clips take minutes a round; the share of the free metrics does not depend on it.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from machine import machine
from scipy.linalg import sqrtm

from torchmetrics_majorscore import DeSync, FrechetDistance, InceptionScore, MAJORScores, PairedKL, V2AMetrics
from torchmetrics_majorscore.encoders import load_encoder

BATCH = 64
CLIPS_PER_BATCH = 16
RATE = 16_000
SECONDS = 8
CLASSES = 527


def cpu_seconds(run: Callable[[], object]) -> float:
    """Time a call, in CPU time of this process, which other processes of the machine disturb least."""
    start = time.process_time()
    run()
    return time.process_time() - start


def by_scipy(preds: np.ndarray, target: np.ndarray) -> float:
    first, second = (np.cov(rows, rowvar=False) for rows in (preds, target))
    root = sqrtm(first @ second)
    difference = preds.mean(axis=0) - target.mean(axis=0)
    return float(difference @ difference + np.trace(first + second - 2 * root.real))


def measure(metric: FrechetDistance | InceptionScore | PairedKL | DeSync, *given: torch.Tensor) -> str:
    def update() -> None:
        for start in range(0, len(given[0]), BATCH):
            ids = range(start, min(start + BATCH, len(given[0])))
            metric.update(*(rows[start : start + BATCH] for rows in given), ids=ids)

    updated, computed = cpu_seconds(update), cpu_seconds(metric.compute)
    held = sum(part.nbytes for part in (*metric.ids, *metric.values)) / len(given[0])
    shape = " and ".join(str(tuple(rows.shape)) for rows in given)
    name = type(metric).__name__
    return f"| {name} | {shape} | {held:.0f} | {1e6 * updated / len(given[0]):.0f} | {computed:.2f} |"


def validate(metrics: MAJORScores | V2AMetrics, audio: torch.Tensor) -> None:
    metrics.reset()
    for start in range(0, len(audio), CLIPS_PER_BATCH):
        batch = audio[start : start + CLIPS_PER_BATCH]
        metrics.update(audio=batch, ids=range(start, start + len(batch)))
    metrics.compute()


def compare_validations(clips: int, rounds: int) -> None:
    """Print what a validation takes with MAJORScores alone and with the free metrics."""
    encoder = load_encoder("c-mcr", weights="seeded")
    options = {"sample_rate": RATE, "fps": 1, "cache_conditions": True}
    kinds = {"MAJORScores": MAJORScores(encoder, **options), "V2AMetrics": V2AMetrics(encoder, **options)}
    g = torch.Generator().manual_seed(0)
    audio = 0.2 * torch.randn(clips, SECONDS * RATE, generator=g)
    shown = {
        "video": torch.randint(0, 256, (clips, SECONDS, 3, 32, 32), generator=g, dtype=torch.uint8),
        "text": [f"sound number {clip}" for clip in range(clips)],
        "target_audio": 0.2 * torch.randn(clips, SECONDS * RATE, generator=g),
    }
    for metrics in kinds.values():
        metrics.update(audio=audio, ids=range(clips), **shown)
    # In turn, and each round with sounds of its own: what was just encoded is remembered.
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, metrics in kinds.items():
            audio = 0.2 * torch.randn(clips, SECONDS * RATE, generator=g)
            seconds[name].append(cpu_seconds(lambda metrics=metrics, audio=audio: validate(metrics, audio)))
    alone, both = (min(taken) for taken in seconds.values())
    rounded = {name: [round(second, 1) for second in taken] for name, taken in seconds.items()}
    print(f"{clips} clips of {SECONDS} s, CPU s of each round: {rounded}")
    print(f"With the free metrics {both / alone:.3f} x MAJORScores alone (the fastest rounds).\n\n{machine()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=15_000)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--validation", type=int, metavar="CLIPS")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.validation:
        warnings.simplefilter("ignore")
        compare_validations(args.validation, args.rounds)
        return
    g = torch.Generator().manual_seed(0)
    mixed = torch.randn(args.features, args.features, generator=g) / args.features**0.5
    preds, target = ((torch.randn(args.rows, args.features, generator=g) @ mixed + k / 5).relu() for k in range(2))
    logits = [3 * torch.randn(args.rows, CLASSES, generator=g) for _ in range(2)]
    print("| metric | inputs | bytes per sample | update, us per sample | compute, s |\n|---|---|---|---|---|")
    print(measure(FrechetDistance(), preds, target))
    real = FrechetDistance(network="random")
    real.update(target=target)
    print(measure(FrechetDistance(real.statistics(), network="random"), preds), "with a reference's statistics")
    print(measure(InceptionScore(), logits[0]))
    print(measure(PairedKL(), *logits))
    print(measure(DeSync(), torch.randn(args.rows, 2, 21, generator=g)))
    wide = preds.double().numpy(), target.double().numpy()
    print(f"\nSciPy: {cpu_seconds(lambda: by_scipy(*wide)):.1f} s.\n\n{machine()}")


if __name__ == "__main__":
    main()
