"""MAJORScore as a torchmetrics metric."""

import warnings
from collections.abc import Sequence

from torch import Tensor
from typing_extensions import Unpack

from torchmetrics_majorscore.encoders import Encoder
from torchmetrics_majorscore.functional.major import Combine, check_combine, major_score
from torchmetrics_majorscore.functional.similarity import Pairs
from torchmetrics_majorscore.metrics.base import SimilarityMetric
from torchmetrics_majorscore.metrics.options import MetricOptions
from torchmetrics_majorscore.metrics.spaces import Space, joint_space


class CombinedSimilarity(SimilarityMetric):
    """Mean over samples of the combined similarities; what MAJORScore and the CLIPCLAP baseline share."""

    higher_is_better = True
    _warned = False

    def __init__(
        self,
        spaces: Sequence[Space],
        combine: Combine,
        absolute: bool,
        pairs: Pairs,
        **options: Unpack[MetricOptions],
    ) -> None:
        try:
            check_combine(combine)
        except ValueError as error:
            raise ValueError(f"{str(error).removesuffix('.')}; an encoder goes by its name, encoder=...") from None
        super().__init__(spaces, pairs, **options)
        self.combine = combine
        self.absolute = absolute

    @property
    def plot_upper_bound(self) -> float:  # type: ignore[override]
        """Highest possible value: the sum of K similarities is K, all else is at most 1."""
        return float(len(self._pairs)) if self.combine == "sum" else 1.0

    @property
    def plot_lower_bound(self) -> float:  # type: ignore[override]
        """Lowest possible value."""
        return 0.0 if self.absolute else -self.plot_upper_bound

    def _plot_label(self) -> str:
        return f"{type(self).__name__} {self.combine}\n{self._pair_names}"

    def _score(self, similarities: Tensor) -> Tensor:
        if self.combine == "product" and not self.absolute:
            self._warn_of_false_positives(similarities)
        return major_score(similarities, self.combine, absolute=self.absolute)

    def _warn_of_false_positives(self, similarities: Tensor) -> None:
        false = ((similarities < 0).any(dim=-1) & (similarities.prod(dim=-1) > 0)).sum().item()
        if false and not self._warned:
            self._warned = True
            warnings.warn(
                f"{false} of {len(similarities)} samples have a positive product of negative similarities; "
                "prefer combine='average'.",
                stacklevel=4,
            )

    def _choices(self) -> list[object]:
        return [*super()._choices(), self.combine, self.absolute]

    def _signature_choices(self) -> list[str]:
        return [f"comb:{self.combine}", *(["abs"] if self.absolute else [])]


class MAJORScore(CombinedSimilarity):
    r"""MAJORScore: how well video, text and audio of a sample fit each other in one joint space; higher is better.

    .. math:: \frac{1}{N} \sum_n f(S_{n1}, ..., S_{nK}), \qquad f = sum, product, average

    Source: Du et al., "MAJORScore", Eq. 1 to 3. It is semantic only: a mean over frames is blind to timing, so pair it
    with a synchrony metric.

    Args:
        combine: ``"sum"``, ``"product"`` or ``"average"`` of the K selected similarities.
        encoder: a name (``"c-mcr"``), an encoder object, what :func:`.load_encoder` gives, or None if ``update`` gets
            embeddings.
        pairs: ``"text"`` (the paper's video-text and text-audio), ``"all"``, or a list like ``["video-audio"]``.
        absolute: combine absolute similarities.
        modalities: names of the modalities if ``encoder`` is None.
        options: ``sample_rate``, ``fps`` and so on, see :class:`.MetricOptions`.

    Raises:
        ValueError: an unknown name or option.
        FileNotFoundError: the weights folder or a file in it is missing.

    Example:
        >>> import torch
        >>> metric = MAJORScore(encoder=None)
        >>> video = text = torch.eye(2)
        >>> metric.update(embeddings={"video": video, "text": text, "audio": torch.tensor([[0.6, 0.8], [0.8, 0.6]])})
        >>> metric.compute()
        tensor(0.8000)
    """

    def __init__(
        self,
        combine: Combine = "average",
        encoder: Encoder | None = "c-mcr",
        *,
        pairs: Pairs = "text",
        absolute: bool = False,
        modalities: Sequence[str] | None = None,
        **options: Unpack[MetricOptions],
    ) -> None:
        super().__init__([joint_space(encoder, modalities)], combine, absolute, pairs, **options)
