"""What the metrics cost in a training run: epochs with known conditions, `forward`, `compute` and the sync.

    uv run benchmarks/training_run.py [--weights FOLDER] [--manifest MANIFEST] [--clips 24] [--rows 200000]

Epochs: the clips of a manifest, decoded once, then three validation epochs in which only the audio changes, with and
without `cache_conditions`, batch 8, full-size weights (seeded without --weights), float32, one process;
and the first epoch shared out to two processes. Rows: given embeddings, so that no encoder is in the way. Times are of
one run each, on a machine that may be busy: read the ratios.
"""

import argparse
import multiprocessing
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from machine import machine, seconds

from torchmetrics_majorscore import MAJORScore, MAJORScores, load_encoder
from torchmetrics_majorscore.encoders import SharedEncoder
from torchmetrics_majorscore.encoders.resample import resample
from torchmetrics_majorscore.encoders.seeded import write_seeded
from torchmetrics_majorscore.media import read_clip, read_manifest

BATCH, RATE, WIDTH = 8, 48_000, 64
MANIFEST = Path(__file__).parents[1] / "docs/clips/manifest.csv"


def read_samples(manifest: Path, count: int) -> list[dict[str, Any]]:
    """Decode clips, again and again with other ids and captions until there are enough."""
    entries = [entry for entry in read_manifest(manifest) if entry.text]
    clips = [(entry, read_clip(entry.video, entry.audio, fps=1.0)) for entry in entries]
    whole = [(e, c) for e, c in clips if c.frames is not None and c.waveform is not None and c.sample_rate]
    rows = [(number, *whole[number % len(whole)]) for number in range(count)]
    return [
        {
            "video": clip.frames, "text": f"{entry.text} {number // len(whole)}", "ids": f"{number} {entry.id}",
            "audio": resample(clip.waveform.float().mean(dim=0), clip.sample_rate, RATE),
        }
        for number, entry, clip in rows
    ]  # fmt: skip


def run_epoch(metric: MAJORScores, samples: list[dict[str, Any]], epoch: int) -> dict[str, Any]:
    metric.reset()
    for at in range(0, len(samples), BATCH):
        batch = {name: [sample[name] for sample in samples[at : at + BATCH]] for name in samples[0]}
        batch["audio"] = [waveform * 0.9**epoch for waveform in batch["audio"]]
        metric.update(**batch)
    return metric.compute()


class Calls:
    """Count the samples of each modality that reach the encoder."""

    def __init__(self) -> None:
        self.samples: Counter[str] = Counter()
        self.encode = SharedEncoder.encode

    def __call__(self, encoder: SharedEncoder, modality: str, batch: Any, device: torch.device) -> torch.Tensor:
        self.samples[modality] += len(batch)
        return self.encode(encoder, modality, batch, device)


def epochs(weights: Path, samples: list[dict[str, Any]]) -> list[str]:
    """Time three epochs with and without known conditions, in turns."""
    calls = Calls()
    SharedEncoder.encode = lambda *arguments, **options: calls(*arguments)  # type: ignore[method-assign]
    encoder = load_encoder("c-mcr", weights=weights)
    metrics = {cache: MAJORScores(encoder, sample_rate=RATE, fps=1, cache_conditions=cache) for cache in (False, True)}
    run_epoch(metrics[False], samples[:BATCH], 9)
    lines = ["| epoch | cache_conditions | s | of the first | encoded video, text, audio |", "|---|---|---|---|---|"]
    first, values = {}, {}
    for epoch in range(3):
        for cache, metric in metrics.items():
            calls.samples.clear()
            metric["fairscore"].encoder.offload()  # which also forgets the last batch, the same for both
            took = seconds(lambda c=cache, m=metric, e=epoch: values.update({c: run_epoch(m, samples, e)}))
            first.setdefault(cache, took)
            counts = ", ".join(str(calls.samples[name]) for name in ("video", "text", "audio"))
            lines.append(f"| {epoch + 1} | {cache} | {took:.1f} | {took / first[cache]:.3f} | {counts} |")
        if any(not torch.equal(values[False][name], values[True][name]) for name in values[True]):
            raise RuntimeError("Expected the same bits with and without cache_conditions.")
    SharedEncoder.encode = calls.encode  # type: ignore[method-assign]
    return [*lines, "", "The values of each epoch are the same to the bit.", ""]


def _rank(rank: int, world: int, folder: str, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(max(1, (os.cpu_count() or 2) // world))
    store = dist.FileStore(f"{folder}/store{world}{work.__name__}", world)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world)
    result = work(rank, world, *arguments)
    if rank == 0:
        torch.save(result, f"{folder}/result.pt")
    dist.destroy_process_group()


def on_ranks(world: int, work: Callable[..., Any], *arguments: Any) -> Any:
    """Run ``work(rank, world, ...)`` in processes; give what the first returned."""
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_rank, (world, folder, work, arguments), nprocs=world)
        return torch.load(f"{folder}/result.pt")


def share_epoch(rank: int, world: int, weights: Path, samples: list[dict[str, Any]]) -> tuple[float, float]:
    metric = MAJORScores(load_encoder("c-mcr", weights=weights), sample_rate=RATE, fps=1)
    run_epoch(metric, samples[:1], 9)
    dist.barrier()
    values: dict[str, Any] = {}
    took = seconds(lambda: values.update(run_epoch(metric, samples[rank::world], 0)))
    return took, values["majorscore_average"].item()


def fill(count: int, seed: int = 0) -> MAJORScores:
    scores = MAJORScores(encoder=None, absolute=True)
    generator = torch.Generator().manual_seed(seed)
    for at in range(0, count, 1000):
        embeddings = {m: torch.randn(1000, WIDTH, generator=generator) for m in ("video", "text", "audio")}
        scores.update(embeddings=embeddings, ids=range(seed * count + at, seed * count + at + 1000))
    return scores


def sync_rows(rank: int, world: int, count: int) -> tuple[float, float]:
    scores = fill(count // world, rank)
    dist.barrier()
    whole = seconds(scores.compute)
    scores.update(embeddings={m: torch.randn(2, WIDTH) for m in ("video", "text", "audio")}, ids=[-1 - rank, -9])
    members = list(scores.values(copy_state=False))
    dist.barrier()
    return whole, seconds(lambda: members[0].sync() or members[0].unsync())


def rows(count: int) -> list[str]:
    """Time `forward` early and late, `compute` and the sync."""
    metric, batch = MAJORScore(encoder=None), {m: torch.randn(8, WIDTH) for m in ("video", "text", "audio")}
    steps = [seconds(lambda: metric(embeddings=batch)) for _ in range(3000)]
    early, late = sorted(steps[10:30])[10], sorted(steps[-20:])[10]
    scores = fill(count)
    one = scores["majorscore_average"]
    single, whole = seconds(one.compute), seconds(scores.compute)
    held = sum(t.nbytes for t in (*one.ids, *one.values)) / count
    synced, sync = on_ranks(2, sync_rows, count)
    return [
        "| what | figure |", "|---|---|",
        f"| `forward`, step 10 and step 3000 | {early * 1e6:.0f} us, {late * 1e6:.0f} us: {late / early:.2f} x |",
        f"| a row | {held:.0f} bytes |",
        f"| `compute` of one metric, {count} rows | {single:.2f} s |",
        f"| `compute` of `MAJORScores` (7 values), {count} rows | {whole:.2f} s |",
        f"| the same on two processes with half of the rows each, sync included | {synced:.2f} s |",
        f"| the sync alone, `sync()` and `unsync()` | {sync:.2f} s |", "",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="folder with checkpoints; seeded ones are written without it")
    parser.add_argument("--manifest", type=Path, default=MANIFEST)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--rows", type=int, default=200_000)
    options = parser.parse_args()
    multiprocessing.set_start_method("spawn", force=True)
    with tempfile.TemporaryDirectory() as folder:
        weights = options.weights or Path(folder, "weights")
        if options.weights is None:
            write_seeded(weights)
        print("\n".join(rows(options.rows)))
        samples = read_samples(options.manifest, options.clips)
        print("\n".join(epochs(weights, samples)))
        one, two = (on_ranks(world, share_epoch, weights, samples) for world in (1, 2))
        print(
            f"One process {one[0]:.1f} s, two {two[0]:.1f} s: {one[0] / two[0]:.2f} x as fast; {one[1]!r}, {two[1]!r}."
        )
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
