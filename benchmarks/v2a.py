"""What the metrics over given features cost: memory of a row, `update`, and `compute`.

    uv run benchmarks/v2a.py [--rows 15000] [--features 2048]

One process and one thread. *SciPy* is the root of the product of the covariances, as pytorch-fid and av-benchmark take
it, from features to distance.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from machine import machine
from scipy.linalg import sqrtm

from torchmetrics_majorscore import DeSync, FrechetDistance, InceptionScore, PairedKL

BATCH = 64
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=15_000)
    parser.add_argument("--features", type=int, default=2048)
    args = parser.parse_args()
    torch.set_num_threads(1)
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
