"""FairScore as a torchmetrics metric."""

import math
from collections.abc import Sequence

from torch import Tensor
from typing_extensions import Unpack

from torchmetrics_majorscore.encoders import Encoder
from torchmetrics_majorscore.functional.fair import fair_score
from torchmetrics_majorscore.functional.similarity import Pairs
from torchmetrics_majorscore.metrics.base import SimilarityMetric
from torchmetrics_majorscore.metrics.options import MetricOptions
from torchmetrics_majorscore.metrics.spaces import joint_space


class FairScore(SimilarityMetric):
    r"""FairScore: mean absolute difference between the similarities of a sample; lower is better.

    .. math:: \frac{1}{N} \sum_n \frac{1}{C(K, 2)} \sum_{1 \le i < j \le K} |S_{ni} - S_{nj}|

    Source: Du et al., "MAJORScore", Eq. 4. It depends on the scale of the similarities: an encoder with smaller ones
    looks fairer, so compare encoders only after dividing by the pooled standard deviation.

    Args:
        encoder: see :class:`MAJORScore`.
        pairs: ``"all"`` (Eq. 4), ``"text"`` for the "Diff." of the paper's Table I, or a list of at least two.
        modalities: names of the modalities if ``encoder`` is None.
        options: ``sample_rate``, ``fps`` and so on, see :class:`.MetricOptions`.

    Raises:
        ValueError: an unknown name or option, or fewer than two pairs.
        FileNotFoundError: the weights folder or a file in it is missing.

    Example:
        >>> import torch
        >>> metric = FairScore(encoder=None, pairs="text")
        >>> video = text = torch.eye(2)
        >>> metric.update(embeddings={"video": video, "text": text, "audio": torch.tensor([[0.6, 0.8], [0.8, 0.6]])})
        >>> metric.compute()
        tensor(0.4000)
    """

    higher_is_better = False
    plot_lower_bound = 0.0

    def __init__(
        self,
        encoder: Encoder | None = "c-mcr",
        *,
        pairs: Pairs = "all",
        modalities: Sequence[str] | None = None,
        **options: Unpack[MetricOptions],
    ) -> None:
        super().__init__([joint_space(encoder, modalities)], pairs, **options)
        if len(self._pairs) < 2:
            raise ValueError(f"Expected at least two pairs to compare, got {self._pair_names}.")

    @property
    def plot_upper_bound(self) -> float:  # type: ignore[override]
        """Highest possible value: half of the K similarities are -1 and half are 1; 2 for K = 2, 4/3 for K = 3."""
        count = len(self._pairs)
        return 2 * (count // 2) * (count - count // 2) / math.comb(count, 2)

    def _score(self, similarities: Tensor) -> Tensor:
        return fair_score(similarities)
