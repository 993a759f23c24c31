"""What the networks and their originals make of the same sounds and frames, for ``networks.py``.

The originals come as av-benchmark uses them: torchaudio's resampler with its defaults, FFmpeg's filter ``fps=25``, and
torchvision's bicubic resize of bytes.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
import torchaudio
from network_originals import CPU, FILES, RATE, OriginalConvolutions, OriginalPaSST, OriginalSynchformer
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from torchmetrics_majorscore.media import read_frames, read_waveform
from torchmetrics_majorscore.modalities.audio import mix
from torchmetrics_majorscore.networks import load_network
from torchmetrics_majorscore.networks.synchrony import load_sync

CLIPS = Path(__file__).resolve().parents[2] / "shared/media/clips"
SOUNDS = ("vgg_drum_0.mp4", "vas_baby_01951.mp4", "lrs3_C8zY0oAdQrs_00018.mp4")
VIDEO = "vgg_drum_0.mp4"
SYNC, PASST = "av-benchmark's Synchformer", "hear21passt"


class Pair(NamedTuple):
    """What ours and the original made, (..., D), and how far it may be apart."""

    what: str
    original: str
    ours: Tensor
    theirs: Tensor
    aim: float | None


def sound(seconds: float, rate: int = RATE, seed: int = 0) -> Tensor:
    """Make a gliding tone with noise, and silence between; the same as in tests/signals.py."""
    t = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    noise = 0.1 * torch.randn(len(t), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    tone = 0.4 * torch.sin(2 * torch.pi * (300 + 100 * seed) * t * (1 + 0.05 * t))
    return ((tone + noise) * (torch.sin(2 * t + seed) > -0.6)).float()


def convolution_pairs(originals: OriginalConvolutions, weights: Path) -> Iterator[Pair]:
    """Compare PANNs and VGGish, which read the same files as the originals."""
    cases: dict[str, list[tuple[Tensor, int]]] = {
        f"{seconds:g} s at 16 kHz": [(sound(seconds, seed=seed)[None], RATE) for seed in range(3)]
        for seconds in (1, 8, 9.77)
    }
    cases["silence"] = [(torch.zeros(1, RATE), RATE)]
    real = []
    for path in sorted(CLIPS.iterdir()):
        with suppress(ValueError):  # some have no sound
            real.append(read_waveform(path))
    cases[f"{len(real)} clips from their own rates, cut to 8 s"] = real
    for name in FILES:
        handle = load_network(name, weights=weights, profile="av-benchmark")
        for what, sounds in cases.items():
            made: dict[str, list[tuple[Tensor, Tensor]]] = {}
            for waveform, rate in sounds:
                ours = handle.encode([mix(waveform)], rate, CPU)
                for key, theirs in originals.run(name, as_av_benchmark(waveform, rate, RATE)[None]).items():
                    made.setdefault(key, []).append((ours[key][0], theirs[0]))
            for key, pairs in made.items():
                own, other = (
                    torch.cat([side.reshape(-1, side.shape[-1]) for side in rows]) for rows in zip(*pairs, strict=True)
                )
                yield Pair(f"{name}, {key}, {what}", "av-benchmark's copy", own, other, 1e-5)


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


def synchformer_pairs(sounds: list[tuple[Tensor, int]]) -> Iterator[Pair]:
    handle = load_sync(weights="seeded", profile="av-benchmark")
    network = handle.on(CPU)
    theirs = OriginalSynchformer(network)
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
