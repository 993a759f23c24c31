"""Compare PANNs' Cnn14 and VGGish with av-benchmark's copies of the originals: numbers, and time of a clip of 8 s.

    uv run benchmarks/networks.py --av-benchmark CHECKOUT [--weights FOLDER] [--clips FOLDER] [--golden]

``CHECKOUT`` is one of https://github.com/hkchengrex/av-benchmark. Without ``--weights``, seeded random weights are
written as the public files are, 0.6 GB. One process and one thread, CPU time.
"""

import argparse
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
import torchaudio
from machine import machine
from torch import Tensor, nn

from torchmetrics_majorscore.encoders.base import seed_weights
from torchmetrics_majorscore.media import read_waveform
from torchmetrics_majorscore.networks import SharedNetwork, load_network

CLIPS = Path(__file__).resolve().parents[2] / "shared/media/clips"
FILES = {"panns": "Cnn14_16k_mAP=0.438.pth", "vggish": "vggish-10086976.pth"}
RATE, SECONDS = 16_000, 8
CHANNELS = (4, 8, 8, 256, 256, 16)  # of the small networks whose numbers the tests keep
STAGES = ((4,), (4,), (6, 6), (256, 8))
CPU = torch.device("cpu")


def sound(seconds: float, rate: int = RATE, seed: int = 0) -> Tensor:
    """Make a gliding tone with noise, and silence between; the same as in tests/signals.py."""
    t = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    noise = 0.1 * torch.randn(len(t), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    tone = 0.4 * torch.sin(2 * torch.pi * (300 + 100 * seed) * t * (1 + 0.05 * t))
    return ((tone + noise) * (torch.sin(2 * t + seed) > -0.6)).float()


def original_panns(state: dict[str, Tensor] | None = None) -> nn.Module:
    """Build av-benchmark's Cnn14, which its constructor would download weights for."""
    module: Any = importlib.import_module("av_bench.panns.models")
    module.os = SimpleNamespace(path=SimpleNamespace(expanduser=str, exists=lambda path: True))
    with (
        patch.object(module.torch, "load", lambda *args, **options: {"model": {}}),
        patch.object(module.Cnn14, "load_state_dict", lambda *args: None),
    ):
        network: nn.Module = module.Cnn14(["2048", "logits"], RATE, 512, 160, 64, 50, 8000, 527)
    if state is not None:
        network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def original_vggish(state: dict[str, Tensor] | None = None) -> nn.Module:
    """Build av-benchmark's VGGish, without its download by torch.hub."""
    sys.modules.setdefault("resampy", ModuleType("resampy"))  # which it imports for rates other than 16 kHz
    module: Any = importlib.import_module("av_bench.vggish.vggish")
    network: nn.Module = module.VGGish(device=CPU, pretrained=False, postprocess=False)
    if state is not None:
        network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def write_weights(folder: Path) -> None:
    """Write seeded weights, as the public files are laid out."""
    panns, vggish = original_panns(), original_vggish()
    seed_weights(panns)
    seed_weights(vggish)
    torch.save({"iteration": 1, "model": panns.state_dict()}, folder / FILES["panns"])
    torch.save(vggish.state_dict(), folder / FILES["vggish"])


class Originals:
    """Both networks, as functions of waveforms of one length (B, S)."""

    def __init__(self, weights: Path) -> None:
        self.panns = original_panns(torch.load(weights / FILES["panns"], weights_only=False)["model"])
        self.vggish = original_vggish(torch.load(weights / FILES["vggish"], weights_only=True))

    def run(self, name: str, batch: Tensor) -> dict[str, Tensor]:
        if name == "vggish":
            return {"features": self.vggish(batch)}
        made = self.panns(batch)
        return {"features": made["2048"], "logits": made["logits"]}


def rows(originals: Originals, weights: Path, clips: Path) -> Iterator[str]:
    """Give the table's lines: the largest difference of a number, and the largest number of the original."""
    cases: dict[str, list[tuple[Tensor, int]]] = {
        f"{seconds:g} s at 16 kHz": [(sound(seconds, seed=seed), RATE) for seed in range(3)] for seconds in (1, 8, 9.77)
    }
    cases["silence"] = [(torch.zeros(RATE), RATE)]
    real = []
    for path in sorted(clips.iterdir()):
        with suppress(ValueError):  # some have no sound
            waveform, rate = read_waveform(path)
            real.append((waveform.mean(dim=0), rate))
    cases[f"{len(real)} real clips from their own rates, cut to 8 s"] = real
    for name in FILES:
        handle = load_network(name, weights=weights, profile="av-benchmark")
        for what, sounds in cases.items():
            worst: dict[str, list[float]] = {}
            for waveform, rate in sounds:
                ours = handle.encode([waveform], rate, CPU)
                centred = (waveform - waveform.mean())[None]
                prepared = torchaudio.transforms.Resample(rate, RATE)(centred)[:, : RATE * SECONDS]
                for key, theirs in originals.run(name, prepared).items():
                    apart = (ours[key][0] - theirs[0]).abs().max().item()
                    worst.setdefault(key, []).extend([apart, theirs.abs().max().item()])
            for key, numbers in worst.items():
                yield f"| {name} | {key} | {what} | {max(numbers[::2]):.1e} | {max(numbers[1::2]):.2g} |"


def seconds_of(run: Callable[[], object], rounds: int = 3) -> float:
    """Time a call, in CPU time, the best of some."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def times(originals: Originals, weights: Path) -> Iterator[str]:
    """Give the lines of seconds of a clip of 8 s, in a batch of 8."""
    batch = [sound(SECONDS, seed=seed) for seed in range(8)]
    for name in FILES:
        handle: SharedNetwork = load_network(name, weights=weights)
        handle.encode(batch[:1], RATE, CPU)
        ours = seconds_of(lambda handle=handle: handle.encode(batch, RATE, CPU)) / 8
        whole = seconds_of(lambda name=name: originals.run(name, torch.stack(batch))) / 8
        single = seconds_of(lambda name=name: [originals.run(name, one[None]) for one in batch]) / 8
        yield f"| {name} | {ours:.3f} | {whole:.3f} | {single:.3f} | {ours / min(whole, single):.2f} |"


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--av-benchmark", type=Path, required=True, help="checkout of hkchengrex/av-benchmark")
    parser.add_argument("--weights", type=Path, help="folder with the public files")
    parser.add_argument("--clips", type=Path, default=CLIPS, help="folder of files with sound")
    parser.add_argument("--golden", action="store_true", help="print the numbers that the tests keep, and nothing else")
    options = parser.parse_args()
    sys.path.insert(0, str(options.av_benchmark))
    torch.set_num_threads(1)
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        if options.golden:
            print(golden())
            return
        weights = options.weights or Path(folder)
        if options.weights is None:
            write_weights(weights)
        originals = Originals(weights)
        print("| network | what | input | largest difference | largest value |\n|---|---|---|---|---|")
        for line in rows(originals, weights, options.clips):
            print(line, flush=True)
        print("\n| network | ours, s | av-benchmark in a batch, s | one by one, s | ours / the faster |")
        print("|---|---|---|---|---|")
        for line in times(originals, weights):
            print(line, flush=True)
        print(f"\n{machine()}")


if __name__ == "__main__":
    main()
