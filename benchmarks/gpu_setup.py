"""Where and with what `gpu.py` measures, and how its tables look."""

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from machine import spread, take_turns
from torch import Tensor
from torch.nn.functional import interpolate

from torchmetrics_majorscore.encoders import SharedEncoder, load_encoder

CPU = torch.device("cpu")
OUT_OF_TIME = "not measured: out of time"
NO_GPU = "not measured: no GPU"


@dataclass
class Setup:
    """Durations are in seconds, sizes of pictures height and width; the defaults are those of a real measurement."""

    device: torch.device
    manifest: Path
    deadline: float
    encoder: str = "c-mcr"
    weights: str | None = None
    rounds: int = 5
    batches: Sequence[int] = (8, 16, 32, 64, 128)
    duration: int = 10
    picture: tuple[int, int] = (360, 640)
    rate: int = 44_100
    pictures: Sequence[tuple[int, int]] = ((360, 640), (720, 1280), (1080, 1920), (333, 517))
    rows: int = 200_000
    readers: Sequence[int] = (1, 2, 4, 8, 16)
    workers: Sequence[int] = (2, 16)
    clips: int = 8  # distinct ones, and as many for each reader
    width: int = 4096
    steps: int = 8
    slow_starts: bool = True  # of processes, which import torch again
    handles: dict[str, SharedEncoder] = field(default_factory=dict)

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def batch_size(self) -> int:
        """Of what is measured at one size only."""
        return self.batches[len(self.batches) // 2]

    def late(self) -> bool:
        return time.perf_counter() >= self.deadline

    def time(self, runs: Mapping[Any, Callable[[], object]], at_most: int = 5) -> dict[Any, list[float]]:
        return take_turns(runs, min(self.rounds, at_most), self.device, self.late)

    def megabytes(self) -> tuple[str, str]:
        """Give the memory of the GPU that tensors take now, and took at most since the last call."""
        if not self.cuda:
            return NO_GPU, NO_GPU
        now, peak = torch.cuda.memory_allocated(self.device), torch.cuda.max_memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        return f"{now / 1e6:.0f}", f"{peak / 1e6:.0f}"

    def handle(self, precision: str = "float32") -> SharedEncoder:
        if precision not in self.handles:  # kept, or every section would build it anew
            self.handles[precision] = load_encoder(self.encoder, weights=self.weights, precision=precision)
        return self.handles[precision]

    def offload(self) -> None:
        """Free the device of all that earlier sections have left there."""
        gc.collect()
        for handle in self.handles.values():
            handle.offload()

    def scores(self, precision: str = "float32", **options: Any) -> Any:
        from torchmetrics_majorscore import MAJORScores  # slow to import, which processes that read do not need

        return MAJORScores(self.handle(precision), sample_rate=self.rate, fps=1, **options).to(self.device)

    def batch(self, samples: int, number: int = 0, device: torch.device | None = None) -> dict[str, Any]:
        """Make a batch as `update` takes it."""
        place = device or self.device
        return {
            "video": make_frames((samples, self.duration), self.picture, place, number),
            "text": make_captions(samples),
            "audio": make_sounds(samples, self.duration * self.rate, place, number),
            "ids": [samples * number + row for row in range(samples)],
        }

    def prepared(self, samples: int, device: torch.device | None = None) -> dict[str, list[Any]]:
        """Make a batch as encoders take it: pictures of their size, sound at their rate."""
        place, encoder = device or self.device, self.handle().on(self.device)
        size = encoder.clip.frames.size
        return {
            "video": list(make_frames((samples, self.duration), (size, size), place)),
            "text": make_captions(samples),
            "audio": list(make_sounds(samples, self.duration * encoder.sample_rate, place)),
        }

    def entries(self, count: int) -> list[Any]:
        """Give clips from all over the manifest, again and again under other ids."""
        from torchmetrics_majorscore.media import read_manifest

        every = read_manifest(self.manifest)
        chosen = every[:: max(1, len(every) // self.clips)][: self.clips]
        return [replace(entry, id=f"{number} {entry.id}") for number, entry in enumerate(islice(cycle(chosen), count))]


def make_frames(shape: tuple[int, int], size: tuple[int, int], device: torch.device, number: int = 0) -> Tensor:
    """Make videos of blotches: uint8, (B, T, 3, H, W)."""
    generator = torch.Generator(device).manual_seed(number)
    coarse = torch.randint(0, 256, (shape[0] * shape[1], 3, 9, 16), generator=generator, device=device)
    return interpolate(coarse.float(), size=size, mode="bilinear").to(torch.uint8).view(*shape, 3, *size)


def make_sounds(count: int, length: int, device: torch.device, number: int = 0) -> Tensor:
    """Make noise: float32, (B, S)."""
    generator = torch.Generator(device).manual_seed(number)
    return torch.rand((count, length), generator=generator, device=device) - 0.5


def make_captions(count: int) -> list[str]:
    """Make captions that c-mcr-tiny knows the words of."""
    from torchmetrics_majorscore.training.world.captions import caption
    from torchmetrics_majorscore.training.world.scene import COMBINATIONS, draw_scenes

    scenes = draw_scenes([row % len(COMBINATIONS) for row in range(count)], seed=0, split="test")
    return [caption(scene, "test") for scene in scenes]


def heading(unit: str, peer: str) -> str:
    return f"| | | ms per {unit}, median (min to max) | ratio to {peer} | runs |\n|---|---|---|---|---|"


def rows(what: str, times: Mapping[str, Sequence[float]], peer: str) -> Iterator[str]:
    """Give a line for each, times in seconds; ratios are taken within a round."""
    for name, own in times.items():
        ratios = [one / other for one, other in zip(own, times[peer], strict=True)]
        ratio = "1" if name == peer else spread(ratios)
        yield f"| {what} | {name} | {spread([1000 * one for one in own])} | {ratio} | {len(own)} |"


def per_clip(times: Mapping[Any, Sequence[float]], clips: int) -> dict[Any, list[float]]:
    return {name: [one / clips for one in own] for name, own in times.items()}
