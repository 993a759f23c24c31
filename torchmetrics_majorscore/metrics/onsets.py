"""Onset accuracy, average precision and F1 as a torchmetrics metric."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchmetrics_majorscore.functional.onset_detection import Onsets, Protocol, check_protocol
from torchmetrics_majorscore.functional.onset_scores import TOLERANCES, OnsetScore, onset_scores
from torchmetrics_majorscore.metrics.given import GivenMetric
from torchmetrics_majorscore.metrics.mean import mean_of, say_lost
from torchmetrics_majorscore.metrics.options import GivenOptions


class OnsetScores(GivenMetric):
    """Do the onsets of generated sounds come when the true ones do? Means over samples; higher is better.

    Source, formulas and the faults of ``"mmaudio"``: :func:`.onset_scores`. ``rows()`` gives the scores of each sample.
    State: 20 bytes per sample.

    Args:
        protocol: ``"strict"`` or ``"mmaudio"``.
        tolerance: in seconds; None for that of the protocol.
        options: ``network`` and so on, see :class:`.GivenOptions`.

    Raises:
        ValueError: an unknown protocol or option, or a tolerance that is not positive.

    Example:
        >>> import torch
        >>> from torchmetrics_majorscore.functional import Onsets
        >>> metric = OnsetScores()
        >>> found = Onsets(torch.tensor([1.0, 2.0]), torch.ones(2), torch.ones(2))
        >>> metric.update([found], [torch.tensor([1.05, 2.0, 5.0])], ids=["clip 1"])
        >>> metric.compute()["onset_f1"]
        tensor(0.8000)
    """

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    _row_name = "onset scores"

    def __init__(
        self, protocol: Protocol = "strict", *, tolerance: float | None = None, **options: Unpack[GivenOptions]
    ) -> None:
        check_protocol(protocol)
        self.protocol: Protocol = protocol
        self.tolerance = TOLERANCES[protocol] if tolerance is None else tolerance
        if not self.tolerance > 0:
            raise ValueError(f"Expected a tolerance > 0 seconds, got {tolerance!r}.")
        super().__init__(list(OnsetScore._fields), **options)

    def update(
        self,
        preds: Sequence[Onsets],
        target: Sequence[Tensor],
        *,
        ids: Sequence[int | str] | Tensor | None = None,
    ) -> None:
        """Keep the scores of each sample of a batch.

        Args:
            preds: detections in B generated sounds, see :func:`.detect_onsets`.
            target: B tensors of true onsets in seconds, (T,), sorted.
            ids: B strings or 64-bit ints; a sample whose id was seen before counts once.

        Raises:
            ValueError: an input that does not fit; nothing of the batch is kept.
        """
        if len(preds) != len(target):
            raise ValueError(f"Expected as many sounds in preds and target, got {len(preds)} and {len(target)}.")
        scores = [
            onset_scores(own, true, protocol=self.protocol, tolerance=self.tolerance)
            for own, true in zip(preds, target, strict=True)
        ]
        self._keep(ids, torch.tensor(scores, dtype=torch.float32, device=self.device).reshape(-1, 3))

    def compute(self) -> dict[str, Tensor]:
        """Give the means over samples.

        Returns:
            ``onset_accuracy``, ``onset_average_precision`` and ``onset_f1``, float32 scalars; the same bits for any
            order of the samples and any number of ranks. NaN if no sample has a value.

        Raises:
            RuntimeError: with ``nan_strategy="error"``, a sample without a value.
        """
        self._computed_rows = not self._in_forward
        _, values = self._unique_rows()
        say_lost(int(values.isnan().any(dim=-1).sum()), len(values), "some onset score", self.nan_strategy)
        means: dict[str, Any] = {
            f"onset_{name}": mean_of(column.double(), name, "ignore")
            for name, column in zip(OnsetScore._fields, values.unbind(dim=-1), strict=True)
        }
        return {name: torch.tensor(mean, dtype=torch.float32, device=self.device) for name, mean in means.items()}

    def _row_choices(self) -> list[object]:
        return [self.protocol, self.tolerance]

    def _signature_choices(self) -> list[str]:
        return [f"protocol:{self.protocol}", f"tolerance:{self.tolerance:g}"]
