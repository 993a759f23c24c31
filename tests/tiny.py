"""A small joint encoder, one that counts its calls, the metric that everybody would write first, and processes."""

import multiprocessing
import os
import socket
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from zlib import crc32

import pytest
import torch
import torch.distributed as dist
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.functional import pairwise_cosine_similarity

from torchmetrics_majorscore import FairScore, MAJORScore

SAMPLE_RATE = 16_000
FPS = 2
RAW = {"sample_rate": SAMPLE_RATE, "fps": FPS}
bites = pytest.raises((AssertionError, RuntimeError, ValueError))


class TinyEncoder(nn.Module):
    """Three towers with BatchNorm and dropout, 12 000 parameters, and a word table of 450 KB; sample by sample."""

    modalities = ("video", "text", "audio")
    sample_rate = SAMPLE_RATE

    def __init__(self, seed: int = 0, name: str = "tiny", dim: int = 16) -> None:
        super().__init__()
        self.name = name
        self.register_buffer("words", torch.empty(3600, 32))
        self.towers = nn.ModuleDict(
            {m: _tower(width, dim) for m, width in (("video", 12), ("text", 32), ("audio", 160))}
        )
        generator = torch.Generator().manual_seed(seed)
        for tensor in (tensor for tensor in self.state_dict().values() if tensor.is_floating_point()):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5 if tensor.ndim == 1 else tensor)
            if tensor.ndim == 2:
                tensor.copy_(torch.randn(tensor.shape, generator=generator))

    def encode_video(self, batch: list[Tensor]) -> Tensor:
        """Encode frames; each has four rows of four blocks."""
        pooled = [nn.functional.adaptive_avg_pool2d(frames.to(self.words.dtype) / 255, 4) for frames in batch]
        return self._encode("video", [frames.transpose(1, 2).reshape(-1, 12) for frames in pooled])

    def encode_text(self, batch: list[str]) -> Tensor:
        """Encode words; an unspoken one in front."""
        numbers = [[crc32(word.encode()) % len(self.words) for word in ("<start>", *text.split())] for text in batch]
        return self._encode("text", [self.words[rows] for rows in numbers])

    def encode_audio(self, batch: list[Tensor]) -> Tensor:
        """Encode waveforms; a row has 10 ms."""
        padded = [nn.functional.pad(waveform, (0, 320 - len(waveform) % 160)) for waveform in batch]
        return self._encode("audio", [waveform.to(self.words.dtype).reshape(-1, 160) for waveform in padded])

    def _encode(self, modality: str, samples: list[Tensor]) -> Tensor:
        means = [self.towers[modality](rows).mean(dim=0) for rows in samples]
        return nn.functional.normalize(torch.stack(means), dim=-1)


def _tower(width: int, dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 48), nn.BatchNorm1d(48), nn.Tanh(), nn.Dropout(0.2), nn.Linear(48, dim))


class CountingEncoder:
    """A plain object that counts the calls of each encode method; ``name`` does not tell the seeds apart."""

    modalities = TinyEncoder.modalities

    def __init__(self, seed: int = 0, sample_rate: int = SAMPLE_RATE) -> None:
        self.name = "counting"
        self.sample_rate = sample_rate
        self.calls: Counter[str] = Counter()
        self._encoder = TinyEncoder(seed).eval().requires_grad_(False)

    def encode_video(self, batch: list[Tensor]) -> Tensor:
        return self._count("video", batch)

    def encode_text(self, batch: list[str]) -> Tensor:
        return self._count("text", batch)

    def encode_audio(self, batch: list[Tensor]) -> Tensor:
        return self._count("audio", batch)

    def _count(self, modality: str, batch: list) -> Tensor:
        self.calls[modality] += 1
        return getattr(self._encoder, f"encode_{modality}")(batch)


class NaiveMAJORScore(Metric):
    """The first thing that one writes: the encoder a submodule, the states float32 sums. The checks must catch it."""

    full_state_update = False

    def __init__(self, encoder=None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.encoder = encoder.eval() if isinstance(encoder, nn.Module) else encoder
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, video=None, text=None, audio=None, ids=None, embeddings=None) -> None:
        if embeddings is None:
            inputs = {"video": list(video), "text": text, "audio": list(audio)}
            embeddings = {m: getattr(self.encoder, f"encode_{m}")(batch) for m, batch in inputs.items() if batch}
        if embeddings:
            one, other = (
                pairwise_cosine_similarity(embeddings["text"], embeddings[m]).diagonal() for m in ("video", "audio")
            )
            self.total += (one + other).sum() / 2
            self.count += len(one)

    def compute(self) -> Tensor:
        return self.total / self.count


def make_samples(count: int, seed: int = 0) -> dict[str, list]:
    """Make raw inputs of different lengths, as ``update`` takes them."""
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 6, (count, 2), generator=g).tolist()
    return {
        "video": [torch.randint(0, 256, (FPS * t, 3, 8, 8), generator=g, dtype=torch.uint8) for t, _ in lengths],
        "text": [f"sound number {n} of {seed}" for n in range(count)],
        "audio": [torch.rand(s * 700 + n, generator=g) * 2 - 1 for n, (_, s) in enumerate(lengths)],
        "ids": [f"clip-{seed}-{n}" for n in range(count)],
    }


def make_embeddings(count: int, dim: int = 16, seed: int = 0) -> dict[str, Tensor]:
    """Make embeddings that are neither of unit norm nor independent."""
    g = torch.Generator().manual_seed(seed)
    common = torch.randn(count, dim, generator=g)
    return {m: 3 * (common + torch.randn(count, dim, generator=g)) for m in TinyEncoder.modalities}


def take(inputs: dict, rows: list[int]) -> dict:
    """Select samples of a batch, whatever its containers are."""
    return {m: x[rows] if isinstance(x, Tensor) else [x[row] for row in rows] for m, x in inputs.items()}


def bits(value: Tensor) -> int:
    """Give the bits of a float32 scalar, so that NaN equals NaN and nothing is nearly equal."""
    assert value.dtype == torch.float32
    assert value.ndim == 0
    return int(value.detach().cpu().view(torch.int32))


def ours(encoder, combine="average", **options) -> MAJORScore:
    return MAJORScore(combine, encoder, **{**RAW, **options})


def fair(encoder, **options) -> FairScore:
    return FairScore(encoder, **{**RAW, **options})


def naive(encoder, combine="average", **options) -> NaiveMAJORScore:
    return NaiveMAJORScore(encoder)


class Model(LightningModule):
    """A user's module with parameters and buffers of its own, and perhaps a metric."""

    def __init__(self, metric: Metric | None = None) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
        if metric is not None:
            self.metric = metric


def value_of(metric: Metric, **inputs) -> int:
    """Give the bits of a fresh value; raw inputs are encoded again."""
    metric.reset()
    if "embeddings" not in inputs:
        metric.update(**make_samples(2, seed=99))  # drives the last batch's embeddings out of the encoder's memory
        metric.reset()
    metric.update(**(inputs or make_samples(3)))
    return bits(metric.compute())


def run_processes(work: Callable[[int, int, Path], None], world: int, folder: Path) -> tuple[list[int | None], list]:
    """Run ``work(rank, world, folder)`` in processes of their own, which have a minute.

    Returns:
        Exit codes, None for a process that had to be killed, and what the ranks left in ``folder/<rank>.pt``.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        (folder / "port").write_text(str(free.getsockname()[1]))
    # Forks of one fresh interpreter that has imported what costs seconds.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torchmetrics_majorscore", "lightning.pytorch"])
    ranks = [
        context.Process(target=_one_thread, args=(work, rank, world, folder), daemon=True) for rank in range(world)
    ]
    for process in ranks:
        process.start()
    deadline = time.monotonic() + 60
    for process in ranks:
        process.join(max(0.0, deadline - time.monotonic()))
    codes = [process.exitcode for process in ranks]
    for process in ranks:
        process.kill()
    files = [folder / f"{rank}.pt" for rank in range(world)]
    return codes, [torch.load(file, weights_only=True) for file in files if file.is_file()]


def join(rank: int, world: int, folder: Path) -> None:
    """Let a Trainer of this process be one of ``world`` that something else, as torchrun does, has started."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": (folder / "port").read_text()}
    os.environ |= {"TORCHELASTIC_RUN_ID": "1", "GROUP_RANK": "0"}


def run_once(work: Callable[[int, int, Path], None], factory: pytest.TempPathFactory) -> Callable[[int], list]:
    """Give what each rank of so many processes saw; those of one number run once."""

    @cache
    def run(world: int) -> tuple[list[int | None], list]:
        return run_processes(work, world, factory.mktemp(f"world{world}"))

    def seen(world: int) -> list:
        codes, results = run(world)
        if codes != [0] * world:
            pytest.fail(f"the ranks ended with {codes} (None: after a minute); see their output")
        return results

    return seen


@contextmanager
def in_group(rank: int, world: int, folder: Path, unheard: Sequence[str]) -> Iterator[None]:
    """Be a rank of a group over gloo, for which all warnings but the unheard ones are errors."""
    warnings.simplefilter("error")
    for message in unheard:
        warnings.filterwarnings("ignore", message, UserWarning)
    store = dist.FileStore(str(folder / "store"), world)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=timedelta(seconds=20))
    yield
    dist.destroy_process_group()


def _one_thread(work: Callable[[int, int, Path], None], rank: int, world: int, folder: Path) -> None:
    torch.set_num_threads(1)
    work(rank, world, folder)
