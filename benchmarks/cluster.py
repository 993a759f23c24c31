"""How long a large set takes on many workers, and into how many shards to cut it: arithmetic and a simulation.

    uv run benchmarks/cluster.py MANIFEST [--gpu-ms 8] [--clips 10000000] [--runs 40]

What a clip costs the processor is measured here, clip by clip, on those of the manifest: reading it as ``majorscore
score`` does. What it costs a GPU is ``--gpu-ms``, an assumption. In the simulation 64 workers take shards from a queue,
as an array of Slurm or a queue of jobs hands them out; clips cost what those of the manifest do, drawn at random. One
worker in fifty is three times as slow. A worker is lost every 500 hours of work on average and comes back after ten
minutes; its shard goes back to the queue, with the rows that it has, as ``--shard`` on a shared disk continues, or from
its start. Every shard costs its start, 20 s for full-size networks.
"""

import argparse
import heapq
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from machine import machine

from torchmetrics_majorscore.media import read_clip, read_manifest

SIZES = (200_000, 10_000_000, 100_000_000)
GPUS = (1, 8, 64)
CORES_PER_GPU = 16
GPU_HOUR = 2.5  # dollars, with its cores
ROW, EMBEDDINGS = 160, 3 * 512 * 4  # bytes of a clip
WORKERS, START, BACK, LIFE = 64, 20.0, 600.0, 500 * 3600.0
SLOW_SHARE, SLOWER = 0.02, 3.0


def measure(manifest: Path) -> np.ndarray:
    """Give CPU seconds of reading each clip, the least of three."""
    taken = []
    for entry in read_manifest(manifest):
        best = np.inf
        for _ in range(3):
            begun = time.process_time()
            read_clip(entry.video, entry.audio)
            best = min(best, time.process_time() - begun)
        taken.append(best)
    return np.array(taken)


def plan(clip: float, gpu: float) -> str:
    """Lay out hours, dollars and storage of each size on each number of GPUs."""
    lines = [
        "| clips | GPUs | hours | bound by | dollars | table, GB | embeddings, GB |",
        "|---|---|---|---|---|---|---|",
    ]
    for clips in SIZES:
        for gpus in GPUS:
            each = max(gpu, clip / CORES_PER_GPU)
            hours = clips * each / gpus / 3600
            bound = "reading" if clip / CORES_PER_GPU > gpu else "GPU"
            stored = f"{clips * ROW / 1e9:.3g} | {clips * EMBEDDINGS / 1e9:.3g}"
            lines.append(f"| {clips:,} | {gpus} | {hours:.3g} | {bound} | {hours * gpus * GPU_HOUR:,.0f} | {stored} |")
    return "\n".join(lines)


def simulate(shards: int, clips: int, each: Sequence[float], rng: np.random.Generator, *, keeps: bool) -> float:
    """Give the seconds until the last shard is done.

    Args:
        shards: that the clips are cut into.
        clips: in all.
        each: seconds that a clip may take.
        rng: draws.
        keeps: whether a shard whose worker was lost goes on where it stopped.
    """
    size = clips / shards
    # The sum of many draws; a shard of a hundred clips and more is as good as normal.
    work = size * np.mean(each) + np.sqrt(size) * np.std(each) * rng.standard_normal(shards)
    left = list(np.maximum(work, 0))
    slowness = np.where(rng.random(WORKERS) < SLOW_SHARE, SLOWER, 1.0)
    free = [(0.0, worker) for worker in range(WORKERS)]
    dies = rng.exponential(LIFE, WORKERS)
    waiting, ends = list(range(shards))[::-1], 0.0
    back: list[tuple[float, int]] = []  # shards of lost workers, from when on
    while waiting or back:
        now, worker = heapq.heappop(free)
        if not waiting:
            now = max(now, back[0][0])
        while back and back[0][0] <= now:
            waiting.append(heapq.heappop(back)[1])
        shard = waiting.pop()
        needs = START + left[shard] * slowness[worker]
        if now + needs < dies[worker]:
            ends = max(ends, now + needs)
            heapq.heappush(free, (now + needs, worker))
            continue
        lost = max(dies[worker], now)
        if keeps:
            left[shard] -= max(lost - now - START, 0.0) / slowness[worker]
        heapq.heappush(back, (lost, shard))
        dies[worker] = lost + BACK + rng.exponential(LIFE)
        heapq.heappush(free, (lost + BACK, worker))
    return ends


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--gpu-ms", type=float, default=8.0, help="that the networks take a GPU per clip; assumed")
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--clips", type=int, default=10_000_000)
    options = parser.parse_args()
    each, gpu = measure(options.manifest), options.gpu_ms / 1000
    quartiles = ", ".join(f"{x:.3f}" for x in np.quantile(each, (0.25, 0.5, 0.75, 1)))
    print(f"Reading: {each.mean():.3f} s of CPU per clip (quartiles and largest {quartiles}), n = {len(each)}.\n")
    print(plan(each.mean(), gpu), "\n")
    seconds = np.maximum(each / CORES_PER_GPU, gpu)
    ideal = options.clips * seconds.mean() / WORKERS
    print(f"{options.clips:,} clips on {WORKERS} workers; without start, loss and slow ones {ideal / 3600:.2f} h.\n")
    print("| shards | clips each | hours, rows kept (95 %) | from the start (95 %) | of the ideal |")
    print("|---|---|---|---|---|")
    for shards in (64, 128, 256, 512, 1000, 2000, 4000, 16_000, 64_000):
        cells = []
        for keeps in (True, False):
            rng = np.random.default_rng(0)
            runs = [simulate(shards, options.clips, seconds, rng, keeps=keeps) for _ in range(options.runs)]
            cells.append(np.quantile(runs, (0.5, 0.95)) / 3600)
        text = " | ".join(f"{median:.2f} ({high:.2f})" for median, high in cells)
        print(f"| {shards:,} | {options.clips / shards:,.0f} | {text} | {cells[0][0] * 3600 / ideal:.2f} |")
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
