"""What a network hears in raw sounds, for the metrics over features and logits: check, encode once, remember."""

import math
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchmetrics_majorscore.encoders.base import exact_float32
from torchmetrics_majorscore.metrics.conditions import Conditions, Content
from torchmetrics_majorscore.metrics.inputs import check_inputs
from torchmetrics_majorscore.modalities import MODALITIES
from torchmetrics_majorscore.networks import SharedNetwork

TARGET = "target_audio"


class Heard(NamedTuple):
    """What a network made of a batch: features (W, D) of each sample, and logits (B, C); NaN of one without a value."""

    features: list[Tensor]
    logits: Tensor | None


class Hearing:
    """How a metric takes raw sounds.

    Args:
        network: what hears them.
        sample_rate: theirs, in Hz.
        conditions: where what is heard in references is remembered; None to hear them anew each time.
    """

    def __init__(self, network: SharedNetwork, sample_rate: int | None, conditions: Conditions | None) -> None:
        self.network = network
        self.sample_rate = sample_rate
        self.conditions = conditions
        self.said: Collection[str] = ()
        """Inputs of whose samples another metric of a collection warns, and ``"too short"`` if of these too."""

    def recalls(self, ids: object) -> bool:
        """Tell whether references may be known by ids."""
        return self.conditions is not None and ids is not None

    def hear(
        self,
        sounds: Mapping[str, Any],
        ids: Sequence[int | str] | Tensor | None,
        device: torch.device,
        asker: int,
        *,
        recall: bool = False,
        quiet: bool = False,
    ) -> dict[str, Heard]:
        """Hear a batch.

        Args:
            sounds: ``"audio"``, ``"target_audio"`` or both to a batch as ``update`` takes it.
            ids: of the samples.
            device: where to hear.
            asker: ``id()`` of the metric.
            recall: take the references by their ids.
            quiet: do not warn of samples without a value.

        Returns:
            Each name to what is heard, nothing if the batch is empty.

        Raises:
            ValueError: an input that does not fit, or a reference that is not known.
        """
        with exact_float32(device):
            kinds, rates = dict.fromkeys(sounds, MODALITIES["audio"]), dict.fromkeys(sounds, self.sample_rate)
            samples: dict[str, list[Any]] = dict(check_inputs(sounds, kinds, rates, ids, quiet=quiet, said=self.said))
            count = len(next(iter(samples.values()), () if ids is None else ids))
            if self.conditions and (recall or TARGET in samples):
                slot = f"{TARGET}@{self.sample_rate}"
                known = self.conditions.note_or_recall(slot, None if recall else samples[TARGET], ids, count)
                samples[TARGET] = known
            return {name: self._hear(own, device, asker) for name, own in samples.items() if count}

    def _hear(self, samples: Sequence[Any], device: torch.device, asker: int) -> Heard:
        present = [sample for sample in samples if sample is not None]
        # Of silence, where there is nothing else, only the sizes are taken.
        packed = iter(self._vectors(present or [torch.zeros(self.sample_rate or 0)], device, asker))
        first = next(packed)
        nothing = first.like_missing()
        ones = iter([first, *packed] if present else [])
        heard = [nothing if sample is None else next(ones) for sample in samples]
        logits = [one.logits for one in heard if one.logits is not None]
        return Heard([one.features for one in heard], torch.stack(logits) if logits else None)

    def _vectors(self, samples: Sequence[Any], device: torch.device, asker: int) -> "list[_One]":
        def run(items: list[Tensor]) -> list[Tensor]:
            made = self.network.encode(items, self.sample_rate or 0, device, asker)
            self._say_short(items, device)
            features, logits = made["features"], made.get("logits", [None] * len(items))
            return [_One(own.reshape(-1, own.shape[-1]), c).pack() for own, c in zip(features, logits, strict=True)]

        if self.conditions and isinstance(samples[0], Content):
            name = f"{self.network.name}|{self.network.portable_key}|{TARGET}"
            vectors = self.conditions.remember(name, samples, run)
        else:
            vectors = run([sample.to(device) for sample in samples])
        return [_One.unpack(vector.to(device)) for vector in vectors]

    def _say_short(self, items: Sequence[Tensor], device: torch.device) -> None:
        remarks = self.network.remark(items, self.sample_rate or 0, device)
        if remarks and "too short" not in self.said:
            others = f" (and {len(remarks) - 1} more of the batch)" if len(remarks) > 1 else ""
            warnings.warn(f"A sound {next(iter(remarks.values()))}{others}.", stacklevel=6)


class _One(NamedTuple):
    """One sample: features (W, D) and logits (C,)."""

    features: Tensor
    logits: Tensor | None

    def pack(self) -> Tensor:
        """Give one vector, to be remembered: the numbers of windows, features and classes, and they."""
        classes = self.features.new_empty(0) if self.logits is None else self.logits
        sizes = classes.new_tensor([*self.features.shape, len(classes)])
        return torch.cat([sizes, self.features.flatten(), classes])

    @classmethod
    def unpack(cls, vector: Tensor) -> "_One":
        windows, width, classes = map(int, vector[:3].tolist())
        features, logits = torch.split(vector[3:], [windows * width, classes])
        return cls(features.reshape(windows, width), logits if classes else None)

    def like_missing(self) -> "_One":
        """Give a sample without a value."""
        none = None if self.logits is None else torch.full_like(self.logits, math.nan)
        return _One(torch.full_like(self.features[:1], math.nan), none)
