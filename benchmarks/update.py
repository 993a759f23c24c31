"""What `update()` costs, against the bare encoders and against the original C-MCR path.

    uv run benchmarks/update.py [--rounds 5] [--weights FOLDER] [--manifest MANIFEST]

8 samples of 10 s: 10 frames of 640 x 360, one caption, sound at 44.1 kHz; full-size seeded weights; float32. The three
take turns in every round, so a drift of the machine's speed cancels in the ratios. *Bare* is the networks alone on
prepared tensors, in our micro-batches. *Original* is Hugging Face's CLIP with its PIL processor, librosa's resampling
and laion_clap, sample by sample as C-MCR calls them, from tensors (no decoding). With a manifest: the share of decoding
in `majorscore score` of its clips.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import librosa
import torch
from originals import Originals, sound
from parity import PACKAGES, version
from PIL import Image
from torch.nn.functional import interpolate

from torchmetrics_majorscore import MAJORScore
from torchmetrics_majorscore.encoders import clap, clip, shared_encoder
from torchmetrics_majorscore.encoders.base import exact_float32, in_micro_batches
from torchmetrics_majorscore.encoders.resample import resample
from torchmetrics_majorscore.encoders.seeded import write_seeded

SAMPLES, FRAMES, RATE = 8, 10, 44_100
CPU = torch.device("cpu")


def make_batch(number: int) -> dict[str, Any]:
    """Make a batch whose content no earlier batch had, so that nothing is taken from the memory of the last one."""
    generator = torch.Generator().manual_seed(number)
    coarse = torch.randint(0, 256, (SAMPLES * FRAMES, 3, 9, 16), generator=generator, dtype=torch.uint8)
    video = interpolate(coarse.float(), size=(360, 640), mode="bilinear").to(torch.uint8)
    text = [f"a dog barks at train number {number * SAMPLES + row}" for row in range(SAMPLES)]
    audio = torch.stack([sound(10, RATE, number * SAMPLES + row) for row in range(SAMPLES)])
    return {"video": video.view(SAMPLES, FRAMES, 3, 360, 640), "text": text, "audio": audio.clamp(-1, 1)}


def prepare_bare(encoder: Any, batch: dict[str, Any]) -> Callable[[], None]:
    """Prepare a batch outside the clock; the call runs the networks alone."""
    frames = torch.cat([clip.prepare_frames(frames, 224) for frames in batch["video"]])
    mels = torch.stack([encoder.clap.mel(resample(wave, RATE, clap.MEL.sample_rate)) for wave in batch["audio"]])

    def run() -> None:
        with exact_float32(CPU):
            in_micro_batches(lambda rows: encoder.clip._frames(rows, with_head=True), frames, clip.FRAMES_PER_CALL)
            encoder.encode_text(batch["text"])
            in_micro_batches(encoder.clap._mels, mels, clap.AUDIOS_PER_CALL)

    return run


def run_original(originals: Originals, batch: dict[str, Any]) -> None:
    """Score sample by sample as the original does; its inputs are a list of pictures, a caption and a waveform."""
    with torch.no_grad():
        for video, text, audio in zip(batch["video"], batch["text"], batch["audio"], strict=True):
            images = [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in video]
            originals.heads["Head_B"](originals.image(images))
            originals.heads["Head_B"](originals.text([text]))
            waveform = librosa.resample(audio.numpy(), orig_sr=RATE, target_sr=clap.MEL.sample_rate, res_type="soxr_hq")
            originals.heads["Head_A"](originals.audio([torch.from_numpy(waveform)]))


def seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(weights: Path, rounds: int) -> dict[str, list[float]]:
    """Time the three in turns, after one round that does not count."""
    handle = shared_encoder("c-mcr", weights)
    encoder, originals = handle.on(CPU), Originals(weights, None)
    metric = MAJORScore(weights=weights, sample_rate=RATE, fps=1)
    times: dict[str, list[float]] = {"update": [], "bare": [], "original": []}
    for number in range(rounds + 1):
        batch = make_batch(number)
        bare = prepare_bare(encoder, batch)
        runs = {
            "update": lambda batch=batch: metric.update(**batch),
            "bare": bare,
            "original": lambda batch=batch: run_original(originals, batch),
        }
        for name, run in runs.items():
            took = seconds(run)
            if number:
                times[name].append(took)
    return times


def decoding_share(manifest: Path, weights: Path) -> str:
    """Time reading alone in one thread, and `score` with reading beside the encoder."""
    from torchmetrics_majorscore.evaluation import ScoreOptions, score_clips
    from torchmetrics_majorscore.media import read_clip, read_manifest

    entries = read_manifest(manifest)
    shared = shared_encoder("c-mcr", weights)
    shared.on(CPU)
    reading = seconds(lambda: [read_clip(entry.video, entry.audio) for entry in entries] and None)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "scores.csv")
        scoring = seconds(lambda: score_clips(entries, output, ScoreOptions(weights=weights)) and None)
    return (
        f"`score` of {len(entries)} clips: {scoring:.1f} s, {scoring / len(entries):.2f} s a clip, encoder already "
        f"built; reading the same clips alone in one thread: {reading:.1f} s, {100 * reading / scoring:.0f} % of it."
    )


def report(times: dict[str, list[float]]) -> str:
    """Give the Markdown table."""
    lines = [
        "| | s per batch of 8, median (min to max) | ratio of `update` to it, median (min to max) |",
        "|---|---|---|",
    ]
    for name, own in times.items():
        ratios = [update / other for update, other in zip(times["update"], own, strict=True)]
        parts = [f"{statistics.median(v):.2f} ({min(v):.2f} to {max(v):.2f})" for v in (own, ratios)]
        lines.append(f"| {name} | {parts[0]} | {parts[1] if name != 'update' else ''} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weights", type=Path, help="folder with checkpoints; seeded ones are written without it")
    parser.add_argument("--manifest", type=Path, help="clips for the share of decoding")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        weights = options.weights or Path(folder, "weights")
        if options.weights is None:
            write_seeded(weights)
        print(report(measure(weights, options.rounds)))
        if options.manifest:
            print("\n" + decoding_share(options.manifest, weights))
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    cores = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, {platform.machine()}"
    print(f"\n{cores}, {torch.backends.cpu.get_cpu_capability()}. {versions}.")


if __name__ == "__main__":
    main()
