"""What `update()` costs, against the bare encoders, the original C-MCR path and other people's pipelines.

    uv run benchmarks/update.py [--samples 8] [--rounds 5] [--no-bf16] [--weights FOLDER] [--manifest MANIFEST]

Samples of 10 s: 10 frames of 640 x 360, one caption, sound at 44.1 kHz, as decoded tensors; full-size seeded weights.
All take turns in every round, so a drift of the machine's speed cancels in the ratios, which are taken within a round.

- *bare* is the networks alone on prepared tensors, in our micro-batches, float32;
- *known conditions* is the second epoch with `cache_conditions`: the same videos and captions, new sound;
- *original* is Hugging Face's CLIP with its PIL processor, librosa's resampling, laion_clap and the heads, sample by
  sample as C-MCR calls them, and with all samples in one call;
- *Hugging Face* is CLIPModel and ClapModel with their processors, batched, without heads;
- *CLIPScore* is torchmetrics', one frame per sample (it takes no video) and no audio.

bf16 pays only on a processor that multiplies it: leave it out elsewhere. With a manifest: the share of decoding in
`majorscore score` of its clips.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from machine import machine, seconds
from originals import Originals, sound
from peers import Peers
from torch.nn.functional import interpolate

from torchmetrics_majorscore import MAJORScore
from torchmetrics_majorscore.encoders import clap, clip, load_encoder
from torchmetrics_majorscore.encoders.base import exact_float32, in_micro_batches
from torchmetrics_majorscore.encoders.resample import resample
from torchmetrics_majorscore.encoders.resize import prepare_frames
from torchmetrics_majorscore.encoders.seeded import write_seeded

FRAMES, RATE = 10, 44_100
CPU = torch.device("cpu")
ORIGINAL = "original, per sample"


def make_batch(number: int, samples: int) -> dict[str, Any]:
    """Make a batch whose content no earlier batch had, so that nothing is taken from the memory of the last one."""
    generator = torch.Generator().manual_seed(number)
    coarse = torch.randint(0, 256, (samples * FRAMES, 3, 9, 16), generator=generator, dtype=torch.uint8)
    video = interpolate(coarse.float(), size=(360, 640), mode="bilinear").to(torch.uint8)
    text = [f"a dog barks at train number {number * samples + row}" for row in range(samples)]
    audio = torch.stack([sound(10, RATE, number * samples + row) for row in range(samples)])
    return {"video": video.view(samples, FRAMES, 3, 360, 640), "text": text, "audio": audio.clamp(-1, 1)}


def prepare_bare(encoder: Any, batch: dict[str, Any]) -> Callable[[], None]:
    """Prepare a batch outside the clock; the call runs the networks alone."""
    frames = torch.cat([prepare_frames(frames, 224) for frames in batch["video"]])
    mels = torch.stack([encoder.clap.mel(resample(wave, RATE, clap.MEL.sample_rate)) for wave in batch["audio"]])

    def run() -> None:
        with exact_float32(CPU):
            in_micro_batches(lambda rows: encoder.clip._frames(rows, with_head=True), frames, clip.FRAMES_PER_CALL)
            encoder.encode_text(batch["text"])
            in_micro_batches(encoder.clap._mels, mels, clap.AUDIOS_PER_CALL)

    return run


def our_runs(weights: Path, precision: str) -> Callable[[dict[str, Any]], dict[str, Callable[[], None]]]:
    """Give what makes our two runs for a batch: cold, and with known conditions."""
    how: dict[str, Any] = {"weights": weights, "precision": precision, "sample_rate": RATE, "fps": 1}
    cold, known = MAJORScore(**how), MAJORScore(cache_conditions=True, **how)

    def prepare(batch: dict[str, Any]) -> dict[str, Callable[[], None]]:
        ids = [f"{batch['text'][0]} {row}" for row in range(len(batch["text"]))]
        second = batch | {"audio": 0.9 * batch["audio"], "ids": ids}

        def run_cold() -> None:
            cold.update(**batch)

        def run_known() -> None:
            known.update(**second)

        def note() -> None:
            known.update(**batch, ids=ids)  # the encoder remembers the last batch, so this costs little

        return {f"update, {precision}": run_cold, "": note, f"known conditions, {precision}": run_known}

    return prepare


def measure(weights: Path, options: argparse.Namespace) -> dict[str, list[float]]:
    """Time all in turns, after one round that does not count."""
    encoder, peers = load_encoder("c-mcr", weights=weights).on(CPU), Peers(Originals(weights, None), RATE)
    ours = [our_runs(weights, precision) for precision in ("float32", *([] if options.no_bf16 else ["bf16"]))]
    times: dict[str, list[float]] = {}
    for number in range(options.rounds + 1):
        batch = make_batch(number, options.samples)
        runs: dict[str, Callable[[], None]] = {}
        for prepare in ours:
            runs |= {name or f"note {id(prepare)}": run for name, run in prepare(batch).items()}
        runs |= {
            "bare, float32": prepare_bare(encoder, batch),
            ORIGINAL: lambda batch=batch: peers.per_sample(batch),
            "original, batched": lambda batch=batch: peers.batched(batch),
            "Hugging Face": lambda batch=batch: peers.hugging_face(batch),
            "CLIPScore": lambda batch=batch: peers.clip_score_update(batch),
        }
        for name, run in runs.items():
            took = seconds(run)
            if number and not name.startswith("note"):
                times.setdefault(name, []).append(took)
    return times


def decoding_share(manifest: Path, weights: Path) -> str:
    """Time reading alone in one thread, and `score` with reading beside the encoder."""
    from torchmetrics_majorscore.media import read_clip, read_manifest
    from torchmetrics_majorscore.scoring.score import ScoreOptions, score_clips

    entries = read_manifest(manifest)
    shared = load_encoder("c-mcr", weights=weights)
    shared.on(CPU)
    reading = seconds(lambda: [read_clip(entry.video, entry.audio) for entry in entries] and None)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "scores.csv")
        scoring = seconds(lambda: score_clips(entries, output, ScoreOptions(encoder=shared)) and None)
    return (
        f"`score` of {len(entries)} clips: {scoring:.1f} s, {scoring / len(entries):.2f} s a clip, encoder already "
        f"built; reading the same clips alone in one thread: {reading:.1f} s, {100 * reading / scoring:.0f} % of it."
    )


def report(times: dict[str, list[float]], samples: int) -> str:
    """Give the Markdown table."""
    lines = [
        f"| | s per batch of {samples}, median (min to max) | share of the original per sample | share of bare |",
        "|---|---|---|---|",
    ]
    for name, own in times.items():
        columns = [own]
        for other in (ORIGINAL, "bare, float32"):
            columns.append([one / two for one, two in zip(own, times[other], strict=True)])
        cells = [f"{statistics.median(v):.2f} ({min(v):.2f} to {max(v):.2f})" for v in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-bf16", action="store_true", help="for a processor without bf16")
    parser.add_argument("--weights", type=Path, help="folder with checkpoints; seeded ones are written without it")
    parser.add_argument("--manifest", type=Path, help="clips for the share of decoding")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        weights = options.weights or Path(folder, "weights")
        if options.weights is None:
            write_seeded(weights)
        print(report(measure(weights, options), options.samples))
        if options.manifest:
            print("\n" + decoding_share(options.manifest, weights))
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
