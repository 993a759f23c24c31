"""Kullback-Leibler divergence of paired class probabilities as a torchmetrics metric."""

from collections.abc import Sequence

from torch import Tensor
from typing_extensions import Unpack

from torchmetrics_majorscore.functional.kl import Direction, check_direction, kl_divergence
from torchmetrics_majorscore.metrics.given import GivenMean
from torchmetrics_majorscore.metrics.hearing import TARGET
from torchmetrics_majorscore.metrics.inputs import check_rows
from torchmetrics_majorscore.metrics.options import GivenOptions


class PairedKL(GivenMean):
    r"""Divergence of what a classifier hears in each generated sound from what it hears in its reference, in nats.

    .. math:: \frac{1}{N} \sum_n \sum_c t_{nc} (\log t_{nc} - \log p_{nc})

    Lower is better. Source and conventions: :func:`.kl_divergence`. State: 12 bytes per sample.

    Args:
        direction: ``"target||preds"``, the published one, or ``"preds||target"``.
        probabilities: ``update`` gets probabilities and not logits.
        options: ``network`` and so on, see :class:`.GivenOptions`.

    Raises:
        ValueError: an unknown direction or option.

    Example:
        >>> import torch
        >>> metric = PairedKL()
        >>> metric.update(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 1.0]]), ids=["clip 1"])
        >>> metric.compute()
        tensor(0.1109)
    """

    plot_lower_bound = 0.0
    _uses_logits = _wants_target = True

    def __init__(
        self, direction: Direction = "target||preds", *, probabilities: bool = False, **options: Unpack[GivenOptions]
    ) -> None:
        check_direction(direction)
        self.direction: Direction = direction
        self.probabilities = probabilities
        super().__init__(["kl"], **options)

    def update(
        self,
        preds: Tensor | None = None,
        target: Tensor | None = None,
        *,
        audio: Tensor | Sequence[Tensor | None] | None = None,
        target_audio: Tensor | Sequence[Tensor | None] | None = None,
        ids: Sequence[int | str] | Tensor | None = None,
    ) -> None:
        """Keep the divergence of each sample of a batch, given as logits or as raw sounds.

        Args:
            preds: logits of what was generated, (B, C), any floating dtype.
            target: logits of the references, (B, C), paired by row.
            audio: instead of logits, generated sounds, see :meth:`.SimilarityMetric.update`; needs ``network``.
            target_audio: their references, likewise; may be left out for ids that were given with theirs before, see
                ``cache_conditions``.
            ids: B strings or 64-bit ints; a sample whose id was seen before counts once.

        Raises:
            ValueError: an input that does not fit; nothing of the batch is kept. A row that is not finite, or a sound
                that is missing, does not raise: the sample has no value, see ``nan_strategy``.
        """
        sounds = {"audio": audio, TARGET: target_audio}
        heard = self._hear((preds, target), sounds, ids, needed=list(sounds))
        if heard is not None:
            if not heard:  # an empty batch
                return
            preds, target = heard["audio"].logits, heard[TARGET].logits
        own, other = check_rows("preds", preds), check_rows("target", target)
        rows = kl_divergence(own, other.to(own.device), self.direction, probabilities=self.probabilities)
        self._keep(ids, rows[:, None], heard)

    def _score(self, values: Tensor) -> Tensor:
        return values[:, 0]

    def _row_choices(self) -> list[object]:
        return [self.direction, self.probabilities]

    def _signature_choices(self) -> list[str]:
        return [f"dir:{self.direction.replace('||', '-to-')}"]
