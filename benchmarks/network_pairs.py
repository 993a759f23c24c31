"""Compare PaSST and Synchformer with their originals: numbers, from seeded weights of full size, and time.

    uv run --with hear21passt --with einops --with omegaconf benchmarks/network_parity.py --av-benchmark CHECKOUT

``CHECKOUT`` is one of https://github.com/hkchengrex/av-benchmark. One process and one thread, CPU time. The originals
come as av-benchmark uses them: torchaudio's resampler with its defaults, FFmpeg's filter ``fps=25``, and torchvision's
bicubic resize of bytes. Clips are those of ``../shared/media``.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
import torchaudio
from machine import machine
from network_originals import OriginalPaSST, OriginalSynchformer
from torch import Tensor
from torch.nn.functional import normalize
from torchvision.transforms import InterpolationMode, v2

from torchmetrics_majorscore.media import read_frames, read_waveform
from torchmetrics_majorscore.modalities.audio import mix
from torchmetrics_majorscore.networks import load_network
from torchmetrics_majorscore.networks.synchrony import load_sync

CLIPS = Path(__file__).resolve().parents[2] / "shared/media/clips"
SOUNDS = ("vgg_drum_0.mp4", "vas_baby_01951.mp4", "lrs3_C8zY0oAdQrs_00018.mp4")
VIDEO = "vgg_drum_0.mp4"
CPU = torch.device("cpu")
SYNC, PASST = "av-benchmark's Synchformer", "hear21passt"


class Pair(NamedTuple):
    """What ours and the original made, (..., D), and how far it may be apart."""

    what: str
    original: str
    ours: Tensor
    theirs: Tensor
    aim: float | None


def passt_pairs(sounds: list[tuple[Tensor, int]]) -> Iterator[Pair]:
    handle = load_network("passt", weights="seeded", profile="av-benchmark")
    network = handle.on(CPU)
    theirs = OriginalPaSST(network)
    for seconds in (3, 8, 10):
        waveform = 0.1 * torch.randn(32_000 * seconds, generator=torch.Generator().manual_seed(seconds))
        ours, made = network.encode_audio([waveform]), theirs(waveform)
        for name in made:
            yield Pair(f"PaSST, {name}, {seconds} s at 32 kHz", PASST, ours[name], made[name], 1e-5)
    for waveform, rate in sounds:
        ours, made = handle.encode([mix(waveform)], rate, CPU), theirs(as_av_benchmark(waveform, rate, 32_000))
        for name in made:
            yield Pair(f"PaSST, {name}, a clip of {rate} Hz", f"{PASST}, torchaudio", ours[name], made[name], 1e-4)


def synchformer_pairs(checkout: Path, sounds: list[tuple[Tensor, int]]) -> Iterator[Pair]:
    handle = load_sync(weights="seeded", profile="av-benchmark")
    network = handle.on(CPU)
    theirs = OriginalSynchformer(network, checkout)
    waveform = 0.1 * torch.randn(128_000, generator=torch.Generator().manual_seed(0))
    ours, made = network.encode_audio([waveform])[0], theirs.audio(waveform)
    yield Pair("Synchformer, sound of 8 s at 16 kHz", SYNC, ours, made, 1e-5)
    sound, rate = sounds[0]
    heard = handle.encode_audio([mix(sound)], rate, CPU)[0]
    made = theirs.audio(as_av_benchmark(sound, rate, 16_000, centred=False))
    yield Pair(f"Synchformer, sound of a clip of {rate} Hz", f"{SYNC}, torchaudio", heard, made, 1e-4)
    # A time is (k + 1/2) / 25 s; a frame that begins just there comes later with FFmpeg.
    own, filtered = read_frames(CLIPS / VIDEO, fps=25, start=0.0199, end=4.8), filtered_frames(CLIPS / VIDEO, 120)
    yield Pair("frames of a file at 25 per second, bytes", "FFmpeg's filter", own.flatten(1), filtered.flatten(1), 0.0)
    resized = v2.Compose([v2.Resize(224, InterpolationMode.BICUBIC), v2.CenterCrop(224)])(filtered)
    seen, made = network.encode_video([resized])[0], theirs.video(resized)
    yield Pair("Synchformer, frames of 4.8 s, from the same 224 x 224 pixels", SYNC, seen, made, 1e-5)
    own_seen, size = network.encode_video([own[:24]])[0], f"{own.shape[-1]} x {own.shape[-2]}"
    yield Pair(
        f"Synchformer, frames of {size}, resized to PIL's bytes", f"{SYNC}, torchvision", own_seen, made[:2], None
    )
    ours, logits = network.compare([made], [heard[:14]])[0], theirs.compare(made, heard[:14])
    yield Pair("Synchformer, logits of 21 offsets from the same features", SYNC, ours, logits, 1e-5)


def times(checkout: Path) -> Iterator[str]:
    """Give what a clip of 8 s takes: lines of CPU seconds, ours and the original's, each the best of three in turn."""
    network, synchformer = (
        load(weights="seeded").on(CPU) for load in (lambda **o: load_network("passt", **o), load_sync)
    )
    passt, original = OriginalPaSST(network), OriginalSynchformer(synchformer, checkout)
    sound = 0.1 * torch.randn(256_000, generator=torch.Generator().manual_seed(0))
    frames = torch.randint(0, 256, (16, 3, 224, 224), dtype=torch.uint8)
    heard, seen = torch.randn(24, 6, 768), torch.randn(24, 8, 768)
    runs: dict[str, tuple[Callable[[], object], Callable[[], object], int]] = {
        "PaSST": (lambda: network.encode_audio([sound]), lambda: passt(sound), 1),
        "Synchformer, sound": (
            lambda: synchformer.encode_audio([sound[:128_000]]),
            lambda: original.audio(sound[:128_000]),
            1,
        ),
        "Synchformer, video (24 times a segment)": (
            lambda: synchformer.encode_video([frames]),
            lambda: original.video(frames),
            24,
        ),
        "Synchformer, comparison": (
            lambda: synchformer.compare([seen], [heard]),
            lambda: original.compare(seen, heard),
            1,
        ),
    }
    for name, (ours, theirs, factor) in runs.items():
        taken = [(cpu_seconds(ours), cpu_seconds(theirs)) for _ in range(3)]
        mine, other = (factor * min(side) for side in zip(*taken, strict=True))
        yield f"| {name} | {mine:.2f} | {other:.2f} | {mine / other:.2f} |"


def cpu_seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def as_av_benchmark(waveform: Tensor, rate: int, target: int, *, centred: bool = True) -> Tensor:
    """Prepare a sound (C, S) as av-benchmark's data sets do."""
    mono = waveform.mean(dim=0)
    mono = mono - mono.mean() if centred else mono
    return torchaudio.transforms.Resample(rate, target)(mono)[: 8 * target]


def filtered_frames(path: Path, count: int) -> Tensor:
    """Read the first frames through FFmpeg's filter of rates: (count, 3, H, W), uint8."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        graph = av.filter.Graph()
        nodes = [graph.add_buffer(template=stream), graph.add("fps", "25:round=near:start_time=0")]
        nodes += [graph.add("format", "rgb24"), graph.add("buffersink")]
        graph.link_nodes(*nodes).configure()
        frames: list[np.ndarray] = []
        for frame in container.decode(stream):
            graph.push(frame)
            while len(frames) < count:
                try:
                    frames.append(graph.pull().to_ndarray())
                except (BlockingIOError, av.error.EOFError):
                    break
            if len(frames) == count:
                break
    return torch.from_numpy(np.stack(frames)).movedim(-1, 1).contiguous()


def rows(checkout: Path) -> Iterator[str]:
    """Give the lines of the table of numbers."""
    sounds = [read_waveform(CLIPS / name) for name in SOUNDS]
    for pair in (*passt_pairs(sounds), *synchformer_pairs(checkout, sounds)):
        a, b = (rows.double().flatten(end_dim=-2) for rows in (pair.ours, pair.theirs))
        difference = (a - b).abs().max().item()
        distance = (1 - (normalize(a) * normalize(b)).sum(dim=1).clamp(max=1)).max().item()
        aim = "" if pair.aim is None else f"difference ≤ {pair.aim:.0e}" if pair.aim else "same bytes"
        met = "" if pair.aim is None else "yes" if difference <= pair.aim else "**no**"
        yield f"| {pair.what} | {pair.original} | {difference:.1e} | {distance:.1e} | {aim} | {met} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--av-benchmark", type=Path, required=True, metavar="CHECKOUT")
    checkout = parser.parse_args().av_benchmark
    torch.set_num_threads(1)
    print("| network | ours, s | original, s | ratio |\n|---|---|---|---|")
    for line in times(checkout):
        print(line, flush=True)
    print("\n| what | original | largest difference | 1 - cosine | aim | met |\n|---|---|---|---|---|---|")
    for line in rows(checkout):
        print(line, flush=True)
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
