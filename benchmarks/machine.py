"""What every benchmark shares: a clock, and the line that names the machine and the versions."""

import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version

import torch

PACKAGES = (
    "torch", "torchmetrics", "torchvision", "torchaudio", "transformers", "open_clip_torch", "laion_clap", "librosa",
    "soxr", "av",
)  # fmt: skip


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def versions() -> str:
    return ", ".join(f"{package} {version(package)}" for package in PACKAGES)


def machine() -> str:
    cores = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, {platform.machine()}"
    return f"{cores}, {torch.backends.cpu.get_cpu_capability()}, load {os.getloadavg()[0]:.1f}. {versions()}."
