"""What `majorscore score` costs from mp4 against the original C-MCR path, and how much memory it takes.

    uv run benchmarks/score.py MANIFEST [--clips 16] [--rounds 3] [--weights FOLDER] [--parts time memory]

*Time*: clips with sound from the manifest, full-size seeded weights, float32; all take turns in every round. *Original*
is our reading of each clip followed by Hugging Face's CLIP with its PIL processor, librosa's resampling and laion_clap,
sample by sample as C-MCR calls them. *Extraction* stands for av-benchmark, as far as our encoders have a part in it: it
decodes each clip whole, converts every picture that 25 frames per second need (Synchformer's rate) to RGB and resizes
it to 224 x 224, and reads the sound; then the original's CLIP, CLAP and heads see one frame per second. ImageBind,
Synchformer and the other networks of av-benchmark are left out, so that its own cost is higher.

*Memory*: the peak of a process of its own for every point.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything reads it: importing laion_clap asks the hub for three tokenizers

import torch
from machine import machine, seconds

from torchmetrics_majorscore import MAJORScore
from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.encoders.seeded import write_seeded
from torchmetrics_majorscore.media import Entry, read_clip, read_frames, read_manifest, read_waveform
from torchmetrics_majorscore.scoring.score import ScoreOptions, score_clips

RATE, BATCHES = 48_000, (1, 2, 4, 8)


def run_ours(entries: Sequence[Entry], weights: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        score_clips(entries, Path(folder, "scores.csv"), ScoreOptions(load_encoder("c-mcr", weights=weights)))


def embed(originals: Any, frames: torch.Tensor, text: str, waveform: torch.Tensor, rate: int) -> None:
    """Embed one clip as the original does."""
    import librosa
    from PIL import Image

    with torch.no_grad():
        images = [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in frames]
        originals.heads["Head_B"](originals.image(images))
        originals.heads["Head_B"](originals.text([text]))
        mono = librosa.resample(waveform.mean(dim=0).numpy(), orig_sr=rate, target_sr=RATE, res_type="soxr_hq")
        originals.heads["Head_A"](originals.audio([torch.from_numpy(mono)]))


def run_original(entries: Sequence[Entry], originals: Any) -> None:
    for entry in entries:
        clip = read_clip(entry.video, entry.audio)
        embed(originals, clip.frames, entry.text, clip.waveform, clip.sample_rate)


def run_extraction(entries: Sequence[Entry], originals: Any) -> None:
    from torchvision.transforms.v2.functional import InterpolationMode, resize

    for entry in entries:
        frames = read_frames(entry.video, fps=25.0)
        frames = torch.stack([resize(f, [224, 224], interpolation=InterpolationMode.BICUBIC) for f in frames])
        embed(originals, frames[::25], entry.text, *read_waveform(entry.video))


def measure(entries: Sequence[Entry], weights: Path, rounds: int) -> dict[str, list[float]]:
    """Time the three in turns, after one clip each that does not count."""
    from originals import Originals

    originals = Originals(weights, None)
    handle = load_encoder("c-mcr", weights=weights)
    handle.on(torch.device("cpu"))
    runs: dict[str, Callable[[Sequence[Entry]], None]] = {
        "`score`": lambda clips: run_ours(clips, weights),
        "original": lambda clips: run_original(clips, originals),
        "extraction": lambda clips: run_extraction(clips, originals),
    }
    for run in runs.values():
        run(entries[:1])
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            handle._last.clear()  # or the clips of the last round would not be encoded again
            times[name].append(seconds(lambda run=run: run(entries)))
    return times


def report(times: dict[str, list[float]], clips: int) -> str:
    lines = ["| | s per clip, median (min to max) | ratio of `score` to it, median (min to max) |", "|---|---|---|"]
    for name, own in times.items():
        per_clip = [value / clips for value in own]
        ratios = [ours / other for ours, other in zip(times["`score`"], own, strict=True)]
        parts = [f"{statistics.median(v):.2f} ({min(v):.2f} to {max(v):.2f})" for v in (per_clip, ratios)]
        lines.append(f"| {name} | {parts[0]} | {parts[1] if name != '`score`' else ''} |")
    return "\n".join(lines)


def peak_of(kind: str, batch: int, manifest: Path, weights: str) -> None:
    """Print the process's memory before the first clip and at its peak, in MB, and the bytes of a row."""
    metric = MAJORScore(encoder=load_encoder("c-mcr", weights=weights), sample_rate=44_100, fps=1)
    shared = metric.encoder
    shared.on(torch.device("cpu"))
    before = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20
    if kind == "score":
        entries = [entry for entry in read_manifest(manifest) if read_clip(entry.video, end=0.1).waveform is not None]
        with tempfile.TemporaryDirectory() as folder:
            options = ScoreOptions(load_encoder("c-mcr", weights=weights), batch_size=batch)
            score_clips(entries[:16], Path(folder, "scores.csv"), options)
    else:
        video = torch.randint(0, 256, (batch, 10, 3, 360, 640), dtype=torch.uint8)
        metric.update(video=video, text=["a dog barks"] * batch, audio=torch.rand(batch, 441_000) - 0.5)
    rows = sum(x.numel() * x.element_size() for state in (metric.ids, metric.values) for x in state)
    # Not getrusage, which remembers the parent's memory from before exec.
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024
    print(before, peak, rows // batch)


def memory(manifest: Path) -> str:
    lines = ["| | clips per batch | MB before the first clip | MB at the peak |", "|---|---|---|---|"]
    for kind in ("score", "update"):
        for batch in BATCHES:
            command = [sys.executable, __file__, str(manifest), "--peak", kind, str(batch)]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            lines.append(f"| `{kind}` | {batch} | {answer[0]} | {answer[1]} |")
    return "\n".join([*lines, "", f"A row of the state takes {answer[2]} bytes."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--weights", type=Path, help="folder with checkpoints; seeded ones are written without it")
    parser.add_argument("--parts", nargs="+", default=["time", "memory"], choices=["time", "memory"])
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        peak_of(options.peak[0], int(options.peak[1]), options.manifest, "seeded")
        return
    with tempfile.TemporaryDirectory() as folder:
        weights = options.weights or Path(folder, "weights")
        if "time" in options.parts:
            if options.weights is None:
                write_seeded(weights)
            heard = [e for e in read_manifest(options.manifest) if read_clip(e.video, end=0.1).waveform is not None]
            entries = heard[:: max(1, len(heard) // options.clips)][: options.clips]
            print(report(measure(entries, weights, options.rounds), len(entries)) + "\n")
        if "memory" in options.parts:
            print(memory(options.manifest) + "\n")
    print(machine())


if __name__ == "__main__":
    main()
