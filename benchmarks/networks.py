"""Compare PANNs, VGGish, PaSST and Synchformer with their originals: numbers, and CPU time of a clip of 8 s.

    uv run --with hear21passt --with einops --with omegaconf benchmarks/networks.py --av-benchmark CHECKOUT
        [--weights FOLDER] [--only NAME ...] [--golden]

``CHECKOUT`` is one of https://github.com/hkchengrex/av-benchmark. All weights are seeded numbers of full size; of PANNs
and VGGish they are written as the public files are, 0.6 GB, or ``--weights`` has these. One process and one thread.
Clips are those of ``../shared/media``.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from machine import machine
from network_originals import (
    CPU,
    FILES,
    RATE,
    OriginalConvolutions,
    OriginalPaSST,
    OriginalSynchformer,
    original_panns,
    original_vggish,
    write_weights,
)
from network_pairs import CLIPS, SOUNDS, Pair, convolution_pairs, passt_pairs, sound, synchformer_pairs
from torch import nn
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders.base import seed_weights
from torchmetrics_majorscore.media import read_waveform
from torchmetrics_majorscore.networks import load_network
from torchmetrics_majorscore.networks.synchrony import load_sync

NAMES = ("panns", "passt", "synchformer")
CHANNELS = (4, 8, 8, 256, 256, 16)  # of the small networks whose numbers the tests keep
STAGES = ((4,), (4,), (6, 6), (256, 8))
BATCH = 8
Run = Callable[[], object]


def row(pair: Pair) -> str:
    """Give a line of the table of numbers."""
    ours, theirs = (rows.double().flatten(end_dim=-2) for rows in (pair.ours, pair.theirs))
    difference = (ours - theirs).abs().max().item()
    distance = (1 - (normalize(ours) * normalize(theirs)).sum(dim=1).clamp(max=1)).max().item()
    aim = "" if pair.aim is None else f"difference ≤ {pair.aim:.0e}" if pair.aim else "same bytes"
    met = "" if pair.aim is None else "yes" if difference <= pair.aim else "**no**"
    largest = theirs.abs().max().item()
    return f"| {pair.what} | {pair.original} | {difference:.1e} | {largest:.2g} | {distance:.1e} | {aim} | {met} |"


def convolution_times(originals: OriginalConvolutions, weights: Path) -> Iterator[tuple[str, Run, list[Run], float]]:
    """Give what is to be timed: name, ours, ways of the original, and what a clip is of it."""
    batch = [sound(8, seed=seed) for seed in range(BATCH)]
    for name in FILES:
        handle = load_network(name, weights=weights)
        yield (
            f"{name}, in a batch of {BATCH}",
            lambda handle=handle: handle.encode(batch, RATE, CPU),
            [
                lambda name=name: originals.run(name, torch.stack(batch)),
                lambda name=name: [originals.run(name, one[None]) for one in batch],
            ],
            1 / BATCH,
        )


def passt_times() -> Iterator[tuple[str, Run, list[Run], float]]:
    """Give what is to be timed of PaSST."""
    network: Any = load_network("passt", weights="seeded").on(CPU)
    original, waveform = OriginalPaSST(network), sound(8, 32_000)
    yield "passt", lambda: network.encode_audio([waveform]), [lambda: original(waveform)], 1


def synchformer_times() -> Iterator[tuple[str, Run, list[Run], float]]:
    """Give what is to be timed of Synchformer; of its 24 segments of video one."""
    network: Any = load_sync(weights="seeded").on(CPU)
    original, waveform = OriginalSynchformer(network), sound(8)
    frames = torch.randint(0, 256, (16, 3, 224, 224), dtype=torch.uint8)
    heard, seen = torch.randn(24, 6, 768), torch.randn(24, 8, 768)
    yield "synchformer, sound", lambda: network.encode_audio([waveform]), [lambda: original.audio(waveform)], 1
    what = "synchformer, video (24 times a segment)"
    yield what, lambda: network.encode_video([frames]), [lambda: original.video(frames)], 24
    what = "synchformer, comparison"
    yield what, lambda: network.compare([seen], [heard]), [lambda: original.compare(seen, heard)], 1


def timed(what: str, ours: Run, originals: list[Run], factor: float) -> str:
    """Give a line of CPU seconds, each the best of three in turn; of several ways of the original the fastest."""
    taken = [[cpu_seconds(run) for run in (ours, *originals)] for _ in range(3)]
    mine, *others = (factor * min(times) for times in zip(*taken, strict=True))
    return f"| {what} | {mine:.3f} | {min(others):.3f} | {mine / min(others):.2f} |"


def cpu_seconds(run: Run) -> float:
    """Time a call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def golden() -> str:
    """Give what the originals make of few channels, for GOLDEN in tests/test_panns.py and tests/test_vggish.py."""
    panns, vggish = original_panns(), original_vggish()
    block: Any = type(panns.conv_block1)
    for number, widths in enumerate(zip((1, *CHANNELS), CHANNELS, strict=False), start=1):
        setattr(panns, f"conv_block{number}", block(*widths))
    panns.fc1, panns.fc_audioset = nn.Linear(CHANNELS[-1], CHANNELS[-1]), nn.Linear(CHANNELS[-1], 5)
    layers: list[nn.Module] = []
    width = 1
    for stage in STAGES:
        for channels in stage:
            layers += [nn.Conv2d(width, channels, 3, padding=1), nn.ReLU()]
            width = channels
        layers.append(nn.MaxPool2d(2))
    vggish.features = nn.Sequential(*layers)
    linear = [nn.Linear(width * 24, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 6)]
    vggish.embeddings = nn.Sequential(*linear)
    for network in (panns.eval(), vggish.eval()):
        seed_weights(network)
    made = panns(sound(1.97)[None])
    numbers = {"features": made["2048"][0, :8], "logits": made["logits"][0], "vggish": vggish(sound(1.97)[None])[0]}
    return json.dumps({name: made.double().round(decimals=6).tolist() for name, made in numbers.items()})


def compare(names: list[str], weights: Path | None) -> None:
    """Print both tables."""
    lines: list[str] = []
    sounds = [read_waveform(CLIPS / name) for name in SOUNDS]
    print("| what | original | largest difference | largest value | 1 - cosine | aim | met |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            if name == "panns":
                if weights is None:
                    write_weights(Path(folder))
                own = weights or Path(folder)
                originals = OriginalConvolutions(own)
                pairs, runs = convolution_pairs(originals, own), convolution_times(originals, own)
            else:
                pairs = passt_pairs(sounds) if name == "passt" else synchformer_pairs(sounds)
                runs = passt_times() if name == "passt" else synchformer_times()
            for pair in pairs:
                print(row(pair), flush=True)
            lines += [timed(*run) for run in runs]
    print("\n| network | ours, s | original, s | ratio |\n|---|---|---|---|", *lines, sep="\n")
    print(f"\n{machine()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--av-benchmark", type=Path, required=True, help="checkout of hkchengrex/av-benchmark")
    parser.add_argument("--weights", type=Path, help="folder with the public files of PANNs and VGGish")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES), help="panns: and VGGish")
    parser.add_argument("--golden", action="store_true", help="print the numbers that the tests keep, and nothing else")
    options = parser.parse_args()
    sys.path.insert(0, str(options.av_benchmark))
    torch.set_num_threads(1)
    with torch.no_grad():
        if options.golden:
            print(golden())
        else:
            compare(options.only, options.weights)


if __name__ == "__main__":
    main()
