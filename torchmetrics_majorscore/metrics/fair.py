"""FairScore as a torchmetrics metric."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from torchmetrics_majorscore.encoders import JointEncoder
from torchmetrics_majorscore.encoders.table import Pool, Precision
from torchmetrics_majorscore.functional.fair import fair_score
from torchmetrics_majorscore.functional.similarity import Pairs
from torchmetrics_majorscore.metrics.base import NanStrategy, SimilarityMetric
from torchmetrics_majorscore.metrics.conditions import Conditions
from torchmetrics_majorscore.metrics.spaces import MODALITIES, joint_space


class FairScore(SimilarityMetric):
    r"""FairScore: mean absolute difference between the similarities of a sample; lower is better.

    .. math:: \frac{1}{N} \sum_n \frac{1}{C(K, 2)} \sum_{1 \le i < j \le K} |S_{ni} - S_{nj}|

    Source: Du et al., "MAJORScore", Eq. 4. It depends on the scale of the similarities: an encoder with smaller ones
    looks fairer, so compare encoders only after dividing by the pooled standard deviation.

    Args:
        encoder: a name (``"c-mcr"``), an encoder object, or None if ``update`` gets embeddings.
        sample_rate: rate of raw audio in Hz.
        fps: frames per second of raw video.
        pairs: ``"all"`` (Eq. 4), ``"text"`` for the "Diff." of the paper's Table I, or a list of at least two.
        weights: for a named encoder, a folder of checkpoints, ``"seeded"``, or None: see :func:`.shared_encoder`.
        pool: for a named encoder, ``"after_head"`` or ``"before_head"``: see :class:`.clip.CLIP`.
        precision: for a named encoder, ``"float32"`` or ``"bf16"``: see :func:`.shared_encoder`.
        modalities: names of the modalities if ``encoder`` is None.
        nan_strategy: see :class:`.SimilarityMetric`.
        cache_conditions: see :class:`.SimilarityMetric`.
        kwargs: those of :class:`torchmetrics.Metric`.

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
    plot_upper_bound = 2.0

    def __init__(
        self,
        encoder: str | JointEncoder | None = "c-mcr",
        *,
        sample_rate: int | None = None,
        fps: float | None = None,
        pairs: Pairs = "all",
        weights: str | Path | None = None,
        pool: Pool = "after_head",
        precision: Precision = "float32",
        modalities: Sequence[str] = MODALITIES,
        nan_strategy: NanStrategy = "warn",
        cache_conditions: bool | str | Path | Conditions = False,
        **kwargs: Any,
    ) -> None:
        space = joint_space(encoder, weights, pool, precision, modalities)
        super().__init__([space], pairs, sample_rate, fps, nan_strategy, cache_conditions, **kwargs)
        if len(self._pairs) < 2:
            raise ValueError(f"Expected at least two pairs to compare, got {self._pair_names}.")

    def _score(self, similarities: Tensor) -> Tensor:
        return fair_score(similarities)
