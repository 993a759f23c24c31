"""Sections of `gpu.py` about encoding: what it costs on the device, and whether it gives the CPU's bits there."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any
from unittest.mock import patch

import torch
from gpu_setup import CPU, OUT_OF_TIME, Setup, heading, make_frames, make_sounds, per_clip, rows
from machine import spread
from torch import Tensor

from torchmetrics_majorscore.encoders import clap, clip
from torchmetrics_majorscore.encoders.base import exact_float32
from torchmetrics_majorscore.encoders.resize import prepare_frames

BARE = "encoders, micro-batches"
PRECISIONS = ("float32", "bf16")
AGAINST_CPU = (
    "| | values | that differ | by at most | ms on the device, median (min to max) | ms on the CPU | ratio | runs |\n"
    "|---|---|---|---|---|---|---|---|"
)


def update(setup: Setup) -> Iterator[str]:
    """`update` of MAJORScores on decoded tensors, and the encoders alone on prepared ones (mel and tokenizer included):
    in our micro-batches of constant size, and each modality in one call. All tensors are on the device; no TF32."""
    yield heading("sample", "micro-batches, or to float32")
    for size in setup.batches:
        if setup.late():
            yield f"| batch {size} | | {OUT_OF_TIME} | | |"
            continue
        runs = {(p, name): run for p in PRECISIONS for name, run in _update_runs(setup, p, size).items()}
        times = per_clip(setup.time(runs), size)
        for precision in PRECISIONS:
            own = {name: took for (other, name), took in times.items() if other == precision}
            yield from rows(f"batch {size}, {precision}", own, BARE)
        yield from rows(f"batch {size}, `update`", {p: times[p, "`update`"] for p in PRECISIONS}, "float32")


def _update_runs(setup: Setup, precision: str, size: int) -> dict[str, Callable[[], None]]:
    handle, scores = setup.handle(precision), setup.scores(precision)
    batch, prepared = setup.batch(size), setup.prepared(size)

    def encode() -> None:
        for name, samples in prepared.items():
            handle.encode(name, samples, setup.device)

    def encode_whole() -> None:
        pictures = patch.object(clip, "FRAMES_PER_CALL", size * setup.duration)
        with pictures, patch.object(clip, "TEXTS_PER_CALL", size), patch.object(clap, "AUDIOS_PER_CALL", size):
            encode()

    return {"`update`": lambda: scores.update(**batch), BARE: encode, "encoders, one call": encode_whole}


def resize(setup: Setup) -> Iterator[str]:
    """`prepare_frames` of four pictures, which is to give the same bytes on every device."""
    yield AGAINST_CPU
    size = setup.handle().on(CPU).clip.frames.size
    for height, width in setup.pictures:
        pictures = make_frames((1, 4), (height, width), CPU)[0]
        yield _against_cpu(setup, f"{width} x {height}", [pictures], lambda given, _: prepare_frames(given[0], size))


def mel(setup: Setup) -> Iterator[str]:
    """Log-mels in dB of one sound, shorter than the network's length and longer."""
    yield AGAINST_CPU
    handle = setup.handle()
    for duration in (0.3 * setup.duration, 1.0 * setup.duration, 3.0 * setup.duration):
        sound = make_sounds(1, round(duration * handle.sample_rate), CPU)[0]
        yield _against_cpu(setup, f"{duration:.1f} s", [sound], lambda given, at: handle.on(at).clap.mel(given[0]))


def embeddings(setup: Setup) -> Iterator[str]:
    """The encoder's unit vectors in float32, a batch in one call; then sample by sample on the device."""
    yield AGAINST_CPU
    handle, size, alike = setup.handle(), setup.batches[0], {}
    for name, batch in setup.prepared(size, CPU).items():
        yield _against_cpu(setup, f"{name}, {size}", batch, lambda given, at, name=name: handle.encode(name, given, at))
        given = [item.to(setup.device) if isinstance(item, Tensor) else item for item in batch]
        apart = torch.cat([handle.encode(name, [item], setup.device) for item in given])
        alike[name] = torch.equal(apart, handle.encode(name, given, setup.device))
    yield f"\nSample by sample, the same bits as in a batch: {_say(alike)}."


def _against_cpu(setup: Setup, what: str, given: Sequence[Any], run: Callable[[Any, torch.device], Tensor]) -> str:
    """Run the same on the device and on the CPU, and compare all values."""
    values: dict[str, Tensor] = {}

    def running(name: str, place: torch.device) -> Callable[[], None]:
        there = [item.to(place) if isinstance(item, Tensor) else item for item in given]

        def run_there() -> None:
            with exact_float32(place):
                values[name] = run(there, place)

        return run_there

    times = setup.time({name: running(name, place) for name, place in (("own", setup.device), ("cpu", CPU))}, 3)
    apart = (values["own"].cpu().double() - values["cpu"].double()).abs()
    ratios = [own / other for own, other in zip(times["own"], times["cpu"], strict=True)]
    spreads = [spread([1000 * one for one in own]) for own in times.values()]
    cells = [what, apart.numel(), int((apart > 0).sum()), f"{apart.max():.2g}", *spreads, spread(ratios), len(ratios)]
    return f"| {' | '.join(map(str, cells))} |"


def _say(alike: dict[str, bool]) -> str:
    return ", ".join(f"{name} {'yes' if same else 'NO'}" for name, same in alike.items())


def epochs(setup: Setup) -> Iterator[str]:
    """An epoch without and with known conditions (`cache_conditions`), one batch; the sound is new each time."""
    size, versions = setup.batch_size, count()
    plain, known = setup.scores(), setup.scores(cache_conditions=True)
    batch = setup.batch(size)

    def renew(scores: Any, *names: str) -> None:
        scores.update(**{name: batch[name] for name in names}, audio=batch["audio"] * 0.999 ** next(versions))

    runs = {
        "first": lambda: renew(plain, "video", "text", "ids"),
        "second, all given": lambda: renew(known, "video", "text", "ids"),
        "second, sound and ids": lambda: renew(known, "ids"),
    }
    yield heading("sample", "the first")
    yield from rows(f"batch {size}", per_clip(setup.time(runs), size), "first")
    for scores, names in ((plain, list(batch)), (known, ["audio", "ids"])):
        scores.reset()
        scores.update(**{name: batch[name] for name in names})
    one, two = plain.rows(), known.rows()
    yield f"\nThe same bits: {_say({name: torch.equal(one[name], two[name]) for name in one if name != 'id'})}."


def memory(setup: Setup) -> Iterator[str]:
    """Memory of the device that tensors take, the batch included, around `SharedEncoder.offload`, and what it costs."""
    size, handle, scores = setup.batch_size, setup.handle(), setup.scores()
    batch = setup.batch(size)
    setup.offload()
    steps: dict[str, Callable[[], object]] = {
        "all on the CPU": lambda: None, "the encoder on the device": lambda: handle.on(setup.device),
        f"`update`, batch {size}": lambda: scores.update(**batch), "`offload`": handle.offload,
    }  # fmt: skip
    yield "| | MB | MB at the peak |\n|---|---|---|"
    setup.megabytes()
    for name, step in steps.items():
        step()
        yield f"| {name} | {' | '.join(setup.megabytes())} |"
    yield "\n" + heading("batch", "`update`")
    cold = {"`update`": lambda: scores.update(**batch), "`offload`, then `update`": lambda: _update_cold(scores, batch)}
    yield from rows(f"batch {size}", setup.time(cold), "`update`")


def _update_cold(scores: Any, batch: dict[str, Any]) -> None:
    scores["fairscore"].encoder.offload()
    scores.update(**batch)
