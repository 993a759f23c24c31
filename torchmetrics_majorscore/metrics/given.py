"""Metrics over given features, logits or detections: what a network made of a sample, kept as rows."""

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import Unpack

from torchmetrics_majorscore.encoders.signature import signature_of
from torchmetrics_majorscore.metrics.ids import ids_to_int64
from torchmetrics_majorscore.metrics.mean import check_nan_strategy, mean_of
from torchmetrics_majorscore.metrics.options import GivenOptions, NanStrategy
from torchmetrics_majorscore.metrics.rows import RowMetric


class GivenMetric(RowMetric):
    """Base of the metrics that are fed with what a network made; a row per sample.

    Args:
        columns: see :class:`.RowMetric`.
        options: see :class:`.GivenOptions`.
    """

    is_differentiable = False
    higher_is_better: bool | None = False
    full_state_update = False
    __jit_unused_properties__: ClassVar[list[str]] = [*Metric.__jit_unused_properties__, "signature"]

    def __init__(self, columns: Sequence[str] | None, **options: Unpack[GivenOptions]) -> None:
        kwargs: dict[str, Any] = dict(options)
        self.network: str | None = kwargs.pop("network", None)
        self.nan_strategy: NanStrategy = kwargs.pop("nan_strategy", "warn")
        check_nan_strategy(self.nan_strategy)
        kind = repr((type(self).__name__, self.network, self._row_choices())).encode()
        super().__init__(columns, hashlib.blake2b(kind, digest_size=8).digest() + bytes(16), **kwargs)

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
        return signature_of(type(self).__name__.lower(), self.network or "given", self._signature_choices())

    def _keep(self, ids: Sequence[int | str] | Tensor | None, values: Tensor) -> None:
        """Keep the rows of a batch, (B, K), with the ids given for it."""
        numbers = ids_to_int64(ids, len(values))
        with torch.inference_mode(False), torch.no_grad():
            self.append_rows(numbers, values.detach().to(self.device, torch.float32, copy=True), bytes(8))
        self._warn_of_union()

    def extra_repr(self) -> str:
        """Say in ``repr`` what tells metrics apart."""
        return ", ".join([*self._signature_choices(), f"network={self.network}"])


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
