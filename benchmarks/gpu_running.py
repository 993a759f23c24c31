"""Sections of `gpu.py` about runs: training, a process group, files.

What takes long to import is imported in functions, for processes that read import this file.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from gpu_setup import CPU, NO_GPU, OUT_OF_TIME, Setup, heading, per_clip, rows
from machine import seconds, show, synchronize
from torch import distributed

EXAMPLE = Path(__file__).parents[1] / "docs/torchrun_example.py"
LEFT_OUT = "not measured: left out of a quick run"
NO_METRIC = "no metric"
INPUTS = {"video": "batch.video", "text": "batch.text", "audio": "outputs.audio", "ids": "batch.ids"}
BATCH = 8  # of `score`, by default


def training(setup: Setup) -> Iterator[str]:
    """Steps and validations of a Lightning run with and without MAJORScoreCallback, in the second epoch, when the
    encoder has been built."""
    kinds: dict[str, Any] = {NO_METRIC: None, "callback": {}, "callback, `offload=True`": {"offload": True}}
    steps, validations = ({name: [] for name in kinds} for _ in range(2))
    peaks: dict[str, tuple[str, str]] = {}
    for number in range(min(setup.rounds, 3)):
        if number and setup.late():
            break
        for name, options in kinds.items():
            setup.offload()
            model = _fit(setup, options)
            steps[name].append(median(model.times["step"][setup.steps :]))
            validations[name].append(median(model.times["validation"][1:]))
            peaks[name] = model.peaks["step"], model.peaks["validation"]
    yield heading("step or validation", NO_METRIC)
    yield from rows("training step", steps, NO_METRIC)
    yield from rows(f"validation, 2 batches of {setup.batch_size}", validations, NO_METRIC)
    yield "\n| | MB at the peak of training | of validation |\n|---|---|---|"
    yield from (f"| {name} | {' | '.join(own)} |" for name, own in peaks.items())


def _fit(setup: Setup, options: dict[str, Any] | None) -> Any:
    """Train for two epochs with a validation behind each; None for no metric."""
    from lightning.pytorch import Trainer
    from torch.utils.data import DataLoader

    from torchmetrics_majorscore.lightning import MAJORScoreCallback

    callbacks = []
    if options is not None:
        raw = {"sample_rate": setup.rate, "fps": 1}
        callbacks = [MAJORScoreCallback(INPUTS, encoder=setup.handle(), **raw, **options)]
    trainer = Trainer(
        accelerator=setup.device.type, devices=1, max_epochs=2, callbacks=callbacks, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    model = _make_model(setup)
    noise = [torch.randn(setup.batch_size, setup.width) for _ in range(setup.steps)]
    validation = [setup.batch(setup.batch_size, number, CPU) for number in range(2)]
    trainer.fit(model, *(DataLoader(batches, batch_size=None) for batches in (noise, validation)))
    return model


def _make_model(setup: Setup) -> Any:
    """Make a stand-in for a generator of sound, which keeps times and memory."""
    from lightning.pytorch import LightningModule

    class Model(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Sequential(*(torch.nn.Linear(setup.width, setup.width) for _ in range(4)))
            self.times: dict[str, list[float]] = {"step": [], "validation": []}
            self.peaks: dict[str, str] = {}

        def training_step(self, batch: Any) -> Any:
            return self.net(batch).square().mean()

        def validation_step(self, batch: Any) -> Any:
            return {"audio": 0.9 * batch["audio"]}

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters())

        def on_train_batch_start(self, *_: Any) -> None:
            synchronize(self.device)
            self.began = perf_counter()

        def on_train_batch_end(self, *_: Any) -> None:
            synchronize(self.device)
            self.times["step"].append(perf_counter() - self.began)

        def on_validation_start(self) -> None:
            self.peaks["step"] = setup.megabytes()[1]
            self.on_train_batch_start()

        def on_validation_end(self) -> None:  # behind the callbacks'
            self.on_train_batch_end()
            self.times["validation"].append(self.times["step"].pop())
            self.peaks["validation"] = setup.megabytes()[1]

    return Model()


def nccl(setup: Setup) -> Iterator[str]:
    """`compute` of MAJORScores in a process group of this one process, against `sync_on_compute=False`, and
    docs/torchrun_example.py under torchrun, against Python."""
    backend = "nccl" if setup.cuda else "gloo"
    yield "NCCL " + ".".join(map(str, torch.cuda.nccl.version())) if setup.cuda else f"NCCL {NO_GPU}; gloo instead"
    place = setup.device if setup.cuda else None
    distributed.init_process_group(backend, store=distributed.HashStore(), rank=0, world_size=1, device_id=place)
    try:
        alone, synced = _fill(setup, False), _fill(setup, True)
        first = seconds(synced.compute, setup.device)
        times = setup.time({"not synced": alone.compute, backend: synced.compute})
        one, two = alone.compute(), synced.compute()
    finally:
        distributed.destroy_process_group()
    yield "\n" + heading("`compute`", "not synced")
    yield from rows(f"{setup.rows} rows", times, "not synced")
    same = all(torch.equal(one[name], two[name]) for name in one)
    yield f"\nThe first one took {1000 * first:.0f} ms. The same bits: {'yes' if same else 'NO'}."
    yield f"\ntorchrun: {_torchrun() if setup.slow_starts else LEFT_OUT}"


def _fill(setup: Setup, sync: bool) -> Any:
    from torchmetrics_majorscore import MAJORScores

    scores = MAJORScores(encoder=None, sync_on_compute=sync, compute_with_cache=False).to(setup.device)
    generator = torch.Generator(setup.device).manual_seed(0)
    for first in range(0, setup.rows, 1000):
        given = {
            name: torch.rand((1000, 64), generator=generator, device=setup.device)
            for name in ("video", "text", "audio")
        }
        scores.update(embeddings=given, ids=range(first, first + 1000))
    return scores


def _torchrun() -> str:
    """Run the example with and without torchrun; on a GPU it takes NCCL."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
    said: dict[str, str] = {}

    def run(name: str, *options: str) -> None:
        command = [sys.executable, *options, str(EXAMPLE)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-1000:]}")
        said[name] = done.stdout.split()[-1]

    plain, launched = seconds(lambda: run("plain")), seconds(lambda: run("launched", *launcher))
    same = "yes" if said["plain"] == said["launched"] else f"NO, {said}"
    return f"works, {launched:.1f} s against {plain:.1f} s (one run each, imports included). The same bits: {same}."


def readers(setup: Setup) -> Iterator[str]:
    """Reading clips (one picture a second and the sound, nothing resized) by threads, and by processes, which do not
    send back what they read."""
    runs: dict[str, Callable[[], None]] = {}
    with ExitStack() as stack:
        for number in setup.readers:
            runs[f"{number} threads"] = partial(read_all, setup.entries(number * setup.clips), number)
        if setup.slow_starts:
            # Not forks, which are not safe behind a GPU and threads.
            pool = stack.enter_context(ProcessPoolExecutor(max(setup.readers), get_context("spawn")))
            for number in setup.readers:
                entries = setup.entries(number * setup.clips)
                runs[f"{number} processes"] = partial(
                    read_all, entries, number, lambda e: pool.submit(read, e).result()
                )
        times = setup.time(runs, 3)
    each = {name: [took / (int(name.split()[0]) * setup.clips) for took in own] for name, own in times.items()}
    yield heading("clip", "one thread")
    yield from rows("reading", each, next(iter(each)))
    if not setup.slow_starts:
        yield f"| reading | processes | {LEFT_OUT} | | |"
    best = min(each, key=lambda name: median(each[name]))
    yield f"\n{_bound(setup, best, each[best])}"


def read(entry: Any) -> None:
    from torchmetrics_majorscore.media import read_clip

    read_clip(entry.video, entry.audio, start=entry.start, end=entry.end)


def read_all(entries: Sequence[Any], threads: int, one: Callable[[Any], None] = read) -> None:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, entries))


def score(setup: Setup) -> Iterator[str]:
    """`score` end to end, against reading the same clips by as many threads and doing nothing with them."""
    bounds = []
    yield heading("clip", "reading")
    for workers in setup.workers:
        if setup.late():
            yield f"| {workers} workers | | {OUT_OF_TIME} | | |"
            continue
        entries = setup.entries(2 * workers * setup.clips)
        runs = {"`score`": partial(_score, setup, entries, workers), "reading": partial(read_all, entries, workers)}
        times = per_clip(setup.time(runs, 3), len(entries))
        yield from rows(f"{workers} workers, {len(entries)} clips", times, "reading")
        rate = f"{workers} workers: {show(1 / median(times['`score`']))} clips per second"
        bounds.append(f"{rate}; {_bound(setup, f'{workers} threads', times['reading'])}")
    yield from (f"\n{bound}" for bound in bounds)


def _score(setup: Setup, entries: Sequence[Any], workers: int) -> None:
    from torchmetrics_majorscore.scoring.score import ScoreOptions, score_clips

    options = ScoreOptions(setup.handle(), batch_size=BATCH, workers=workers, device=str(setup.device))
    with tempfile.TemporaryDirectory() as folder:
        score_clips(entries, Path(folder, "scores.csv"), options)


def _bound(setup: Setup, how: str, reading: Sequence[float]) -> str:
    """Compare with encoding the samples of `update`, which are of other sizes than the clips."""
    batch, scores = setup.batch(BATCH), setup.scores()
    took = {
        f"reading ({how})": median(reading),
        f"`update` in batches of {BATCH}": median(setup.time({"": lambda: scores.update(**batch)})[""]) / BATCH,
    }
    both = ", ".join(f"{name} {show(1000 * each)}" for name, each in took.items())
    return f"ms per clip: {both}. What bounds: {max(took, key=took.__getitem__)}."
