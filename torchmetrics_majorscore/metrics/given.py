"""Metrics over features, logits or detections: what a network made of a sample, given or heard, kept as rows."""

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import Unpack

from torchmetrics_majorscore.encoders.signature import signature_of
from torchmetrics_majorscore.metrics.conditions import Conditions, as_conditions
from torchmetrics_majorscore.metrics.hearing import TARGET, Heard, Hearing
from torchmetrics_majorscore.metrics.ids import ids_to_int64
from torchmetrics_majorscore.metrics.mean import check_nan_strategy, mean_of
from torchmetrics_majorscore.metrics.options import GivenOptions, NanStrategy
from torchmetrics_majorscore.metrics.rows import RowMetric
from torchmetrics_majorscore.metrics.spaces import weights_digest
from torchmetrics_majorscore.modalities import MODALITIES
from torchmetrics_majorscore.networks import load_network


class GivenMetric(RowMetric):
    """Base of the metrics that are fed with what a network made, or make a network hear it; a row per sample.

    Args:
        columns: see :class:`.RowMetric`.
        options: see :class:`.GivenOptions`.
    """

    is_differentiable = False
    higher_is_better: bool | None = False
    full_state_update = False
    __jit_unused_properties__: ClassVar[list[str]] = [
        *Metric.__jit_unused_properties__,
        "signature",
        "network",
        "_network_key",
    ]
    _uses_logits = False
    """Whether it is over logits, and not over features."""
    _wants_target = False
    """Whether it compares with references."""

    def __init__(self, columns: Sequence[str] | None, **options: Unpack[GivenOptions]) -> None:
        kwargs: dict[str, Any] = dict(options)
        given = kwargs.pop("network", None)
        rate = MODALITIES["audio"].check_rate(kwargs.pop("sample_rate", None))
        conditions = as_conditions(kwargs.pop("cache_conditions", False))
        self._name = given if isinstance(given, str) else None
        raw = given is not None and self._name is None
        self.hearing: Any = self._take_raw(given, rate, conditions) if raw else None
        self.nan_strategy: NanStrategy = kwargs.pop("nan_strategy", "warn")
        check_nan_strategy(self.nan_strategy)
        parts: list[object] = [(type(self).__name__, self._network_key, self._row_choices())]
        parts += [id(self.hearing.network)] if self.hearing else []
        digests = [hashlib.blake2b(repr(part).encode(), digest_size=8).digest() for part in parts]
        super().__init__(columns, b"".join(digests).ljust(24, b"\0"), **kwargs)

    @property
    def network(self) -> str | None:
        """Name of what makes features and logits, with a digest of its weights; builds the network."""
        return self.hearing.network.name if self.hearing else self._name

    @property
    def _network_key(self) -> str | None:
        """What tells networks apart that need not be built."""
        return self.hearing.network.portable_key if self.hearing else self._name

    def _take_raw(self, network: Any, sample_rate: Any, conditions: Conditions | None) -> Any:
        """Make what takes raw inputs, which has ``network``, a handle."""
        return Hearing(load_network(network), sample_rate, conditions)

    def _hear(
        self, given: Sequence[object], sounds: Mapping[str, Any], ids: Any, needed: Sequence[str] = ()
    ) -> dict[str, Heard] | None:
        """Hear raw sounds, see :meth:`.Hearing.hear`; None if features or logits are given in place of them."""
        sounds = {name: batch for name, batch in sounds.items() if batch is not None}
        rows = any(one is not None for one in given)
        if not sounds and (rows or self.hearing is None):
            return None
        if rows or not sounds or self.hearing is None:
            what = "logits" if self._uses_logits else "features"
            got = "both" if rows else "none" if not sounds else "raw sounds without network=load_network(...)"
            raise ValueError(f"Expected {what}, or raw sounds and a network that hears them, got {got}.")
        wanted = TARGET in needed if needed else self._wants_target
        recall = wanted and TARGET not in sounds and self.hearing.recalls(ids)
        if lost := [name for name in needed if name not in [*sounds, *([TARGET] if recall else [])]]:
            raise ValueError(f"Expected {' and '.join(needed)} for {type(self).__name__}, got no {lost[0]}.")
        quiet = self.nan_strategy == "ignore"
        heard: dict[str, Heard] = self.hearing.hear(sounds, ids, self.device, id(self), recall=recall, quiet=quiet)
        if self._uses_logits and any(one.logits is None for one in heard.values()):
            raise ValueError(f"Expected a network that gives logits, got {self.network}, which gives features only.")
        return heard

    def _weights(self, heard: object) -> bytes:
        """Digest the network that has heard a batch; 8 zeros if nothing was heard."""
        return weights_digest([self.hearing.network.name]) if self.hearing and heard else bytes(8)

    def _row_choices(self) -> list[object]:
        """Give what makes the rows of a batch differ; metrics that agree in it may share their rows."""
        return []

    def _choices(self) -> list[object]:
        return [type(self).__name__, self.nan_strategy, *self._row_choices()]

    def _signature_choices(self) -> list[str]:
        """Give the choices that move the value."""
        return []

    @property
    def signature(self) -> str:
        """Every choice that moves the value, in one line to print beside it and the number of samples."""
        own = self.hearing.network.logit_choices if self.hearing and self._uses_logits else ()
        return signature_of(type(self).__name__.lower(), self.network or "given", [*own, *self._signature_choices()])

    def _keep(self, ids: Sequence[int | str] | Tensor | None, values: Tensor, heard: object = None) -> None:
        """Keep the rows of a batch, (B, K), with the ids given for it."""
        numbers = ids_to_int64(ids, len(values))
        with torch.inference_mode(False), torch.no_grad():
            rows = values.detach().to(self.device, torch.float32, copy=True)
            self.append_rows(numbers, rows, self._weights(heard))
        self._warn_of_union()

    def extra_repr(self) -> str:
        """Say in ``repr`` what tells metrics apart."""
        return ", ".join([*self._signature_choices(), f"network={self._network_key}"])


class GivenMean(GivenMetric):
    """A metric that is a mean over samples."""

    def compute(self) -> Tensor:
        """Reduce the rows to the metric's value.

        Returns:
            Mean over samples, a float32 scalar; the same bits for any order of the samples and any number of ranks.
            NaN if no sample has a value.

        Raises:
            RuntimeError: with ``nan_strategy="error"``, a sample without a value.
        """
        self._computed_rows = not self._in_forward
        _, values = self._unique_rows()
        mean = mean_of(self._score(values.double()), type(self).__name__, self.nan_strategy)
        return torch.tensor(mean, dtype=torch.float32, device=self.device)

    @abstractmethod
    def _score(self, values: Tensor) -> Tensor:
        """Map rows, float64 (N, K), to one score per sample (N,)."""
