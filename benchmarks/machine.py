"""What every benchmark shares: a clock, and the line that names the machine and the versions."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import torch

PACKAGES = (
    "torch", "torchmetrics", "torchvision", "torchaudio", "transformers", "open_clip_torch", "laion_clap", "librosa",
    "soxr", "av",
)  # fmt: skip


def synchronize(device: torch.device | None) -> None:
    """Wait for what a GPU still has to do; a call returns before it is done."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(run: Callable[[], object], device: torch.device | None = None) -> float:
    synchronize(device)
    start = time.perf_counter()
    run()
    synchronize(device)
    return time.perf_counter() - start


def take_turns(
    runs: Mapping[str, Callable[[], object]],
    rounds: int,
    device: torch.device | None = None,
    late: Callable[[], bool] = lambda: False,
) -> dict[str, list[float]]:
    """Time calls in turns, so that ratios within a round are free of drift; a round before does not count.

    Once ``late``, no further round is begun.
    """
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        if number and late():
            break
        for name, run in runs.items():
            times[name].append(seconds(run, device))
    return times


def show(number: float) -> str:
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def spread(values: Sequence[float]) -> str:
    """Give median (min to max)."""
    return f"{show(statistics.median(values))} ({show(min(values))} to {show(max(values))})"


def versions() -> str:
    found = []
    for package in PACKAGES:
        with suppress(PackageNotFoundError):  # of an extra that is not installed
            found.append(f"{package} {version(package)}")
    return ", ".join(found)


def gpu() -> str:
    if not torch.cuda.is_available():
        return "no GPU"
    own = torch.cuda.get_device_properties(0)
    return f"{own.name}, {own.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"


def machine() -> str:
    cores = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, {platform.machine()}"
    cpu = f"{cores}, {torch.backends.cpu.get_cpu_capability()}, load {os.getloadavg()[0]:.1f}"
    return f"{cpu}; {gpu()}. {versions()}."
