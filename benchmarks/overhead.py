"""What a metric costs without an encoder: `update(embeddings=...)` and `compute`.

    uv run benchmarks/overhead.py [--rounds 200]

Three modalities of 512 float32 numbers. *without cosines* is the same update with the arithmetic left out: what
torchmetrics, the checks and the ids cost. *one addition* is a PyTorch addition of two short vectors, the unit in which
small operations cost on this machine.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from machine import machine

from torchmetrics_majorscore import MAJORScore, MAJORScores

ROWS = 200_000


def microseconds(run: Callable[[], object], rounds: int) -> list[float]:
    """Time a call, in CPU time of this process, which other processes of the machine disturb least."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        run()
        times.append(1e6 * (time.process_time() - start))
    return times


def show(times: Sequence[float]) -> str:
    return f"{statistics.median(times):.0f} ({min(times):.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print("| samples | update, us, median (min) | without cosines | us per sample |\n|---|---|---|---|")
    for samples in (1, 64, 1024):
        metric, bare = MAJORScore(encoder=None), MAJORScore(encoder=None)
        bare._similarities = lambda embeddings, count: torch.zeros(count, 3)
        embeddings = {name: torch.randn(samples, 512) for name in ("video", "text", "audio")}
        own, rest = (
            microseconds(lambda metric=m, given=embeddings: metric.update(embeddings=given), rounds)
            for m in (metric, bare)
        )
        print(f"| {samples} | {show(own)} | {show(rest)} | {statistics.median(own) / samples:.1f} |")
    vector = torch.ones(512)
    print(f"\nOne addition: {statistics.median(microseconds(lambda: vector + vector, 1000)):.1f} us.")
    for kind in (MAJORScore, MAJORScores):
        metric = kind(encoder=None)
        for at in range(0, ROWS, 20_000):
            given = {name: torch.randn(20_000, 512).abs() for name in ("video", "text", "audio")}
            metric.update(embeddings=given, ids=range(at, at + 20_000))
        print(f"`compute` of {kind.__name__} with {ROWS} rows: {microseconds(metric.compute, 1)[0] / 1e6:.2f} s.")
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
