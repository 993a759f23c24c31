"""PaSST and Synchformer beside their originals, see parity.py: the same weights, the same sounds and frames.

The originals come as av-benchmark uses them: torchaudio's resampler with its defaults, FFmpeg's filter ``fps=25``, and
torchvision's bicubic resize of bytes. Clips are those of ``../shared/media``.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
import torchaudio
from network_originals import OriginalPaSST, OriginalSynchformer
from torch import Tensor
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
    own, filtered = read_frames(CLIPS / VIDEO, fps=25, start=0.0195, end=4.82), filtered_frames(CLIPS / VIDEO, 120)
    same = torch.equal(own, filtered)
    print(f"frames: {len(own)}, {len(filtered)}, equal {same}", flush=True)
    resized = v2.Compose([v2.Resize(224, InterpolationMode.BICUBIC), v2.CenterCrop(224)])(filtered)
    seen, made = network.encode_video([resized])[0], theirs.video(resized)
    yield Pair("Synchformer, frames of 4.8 s, from the same 224 x 224 pixels", SYNC, seen, made, 1e-5)
    own_seen = network.encode_video([own])[0]
    size = f"{own.shape[-1]} x {own.shape[-2]}"
    yield Pair(f"Synchformer, frames of a file, {size}: PIL's bytes", f"{SYNC}, torchvision", own_seen, made, None)
    logits = theirs.compare(made, heard[:14])
    ours = network.compare([made], [heard[:14]])[0]
    yield Pair("Synchformer, logits of 21 offsets from the same features", SYNC, ours, logits, 1e-5)
    ours = network.compare([own_seen], [heard[:14]])[0]
    yield Pair("Synchformer, logits, from files", f"{SYNC}, torchaudio, torchvision", ours, logits, None)


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


def pairs(checkout: Path) -> Iterator[Pair]:
    """Give what both made of everything."""
    sounds = [read_waveform(CLIPS / name) for name in SOUNDS]
    yield from passt_pairs(sounds)
    yield from synchformer_pairs(checkout, sounds)
