"""The best and the worst samples of a validation, to listen to."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from lightning.pytorch import Trainer
from torch import Tensor


@dataclass(frozen=True)
class Clip:
    """A sample that was scored; its waveform is mono float32 (S,) on the CPU."""

    name: str
    score: float
    waveform: Tensor


Rank = Callable[[float, str], tuple[float, str]]
# By score, then by name, so that equal scores give the same clips in any order and on any number of ranks.
ORDERS: dict[str, Rank] = {
    "best": lambda score, name: (-score, name),
    "worst": lambda score, name: (score, name),
}


class BestAndWorst:
    """Keeps the ``count`` best and ``count`` worst samples of this process, each name once.

    Args:
        count: how many of each.
        rank: of this process.
    """

    def __init__(self, count: int, rank: int) -> None:
        self.count = count
        self.rank = rank
        self.seen = 0
        self.kept: dict[str, list[Clip]] = {order: [] for order in ORDERS}

    def add(self, scores: Tensor, waveforms: Sequence[Tensor | None], ids: Any) -> None:
        """Take in a batch.

        Args:
            scores: (B,); NaN for a sample without a value.
            waveforms: B times (S,) or (C, S), float or int16, on any device; None for a missing one.
            ids: of the samples, as ``update`` takes them; None for none.
        """
        if ids is None:
            ids = [f"sample {self.seen + row} of rank {self.rank}" for row in range(len(scores))]
        self.seen += len(scores)
        names = map(str, ids.tolist() if isinstance(ids, Tensor) else ids)
        for score, waveform, name in zip(scores.tolist(), waveforms, names, strict=True):
            if waveform is None or math.isnan(score):
                continue
            for order, rank in ORDERS.items():
                kept = self.kept[order]
                if any(clip.name == name for clip in kept):
                    continue  # a sample that the sampler has repeated
                if len(kept) < self.count or rank(score, name) < rank(kept[-1].score, kept[-1].name):
                    clips = [*kept, Clip(name, score, _to_mono(waveform))]
                    self.kept[order] = sorted(clips, key=lambda clip: rank(clip.score, clip.name))[: self.count]

    def gather(self, trainer: Trainer) -> dict[str, list[Clip]]:
        """Find the best and worst of all ranks; every rank has to call this, and gets the same.

        Only names and scores go from all to all. The few waveforms that are wanted are then sent one by one.
        """
        if trainer.world_size == 1:
            return self.kept
        own = {order: [(clip.score, clip.name) for clip in clips] for order, clips in self.kept.items()}
        seen: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(seen, own)
        winners = {}
        for order, rank in ORDERS.items():
            owners: dict[str, tuple[float, int]] = {}
            for owner, entries in enumerate(seen):
                for score, name in entries[order]:
                    owners.setdefault(name, (score, owner))
            chosen = sorted(owners, key=lambda name: rank(owners[name][0], name))[: self.count]
            winners[order] = [self._send(trainer, order, name, owners[name][1]) for name in chosen]
        return winners

    def _send(self, trainer: Trainer, order: str, name: str, owner: int) -> Clip:
        own = next((clip for clip in self.kept[order] if clip.name == name), None)
        return cast("Clip", trainer.strategy.broadcast(own if trainer.global_rank == owner else None, src=owner))


def _to_mono(waveform: Tensor) -> Tensor:
    scaled = waveform.detach().float() / (32768.0 if waveform.dtype == torch.int16 else 1.0)
    # The division has made a copy: a view of a batch would keep the whole batch alive.
    return (scaled.mean(dim=0) if scaled.ndim == 2 else scaled).cpu()


def audio_loggers(trainer: Trainer) -> list[Any]:
    """Give the loggers that take audio.

    Found by the name of the class: ``lightning`` and ``pytorch_lightning`` have one each, and on ranks other than 0 an
    ``experiment`` claims to have every method.
    """
    known = {"TensorBoardLogger", "WandbLogger"}
    return [logger for logger in trainer.loggers if known & {cls.__name__ for cls in type(logger).__mro__}]


def log_clips(loggers: Sequence[Any], tag: str, clips: Sequence[Clip], sample_rate: int, step: int) -> None:
    """Send clips to loggers.

    Args:
        loggers: those of :func:`audio_loggers`.
        tag: name of the group, for example ``"val/best"``.
        clips: what to send.
        sample_rate: of the waveforms in Hz.
        step: the trainer's global step.
    """
    captions = [f"{clip.name}: {clip.score:.4f}" for clip in clips]
    waveforms = [clip.waveform.clamp(-1, 1) for clip in clips]
    for logger in loggers if clips else ():
        if hasattr(logger, "log_audio"):
            rates = [sample_rate] * len(clips)
            audios = [waveform.numpy() for waveform in waveforms]
            logger.log_audio(tag, audios, step=step, caption=captions, sample_rate=rates)
            continue
        for place, (waveform, caption) in enumerate(zip(waveforms, captions, strict=True)):
            logger.experiment.add_audio(f"{tag}/{place}", waveform[None], step, sample_rate=sample_rate)
            logger.experiment.add_text(f"{tag}/{place}", caption, step)
