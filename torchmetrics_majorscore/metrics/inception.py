"""Inception score as a torchmetrics metric."""

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchmetrics_majorscore.functional.inception import check_splits, split_scores
from torchmetrics_majorscore.metrics.canonical import by_content
from torchmetrics_majorscore.metrics.given import GivenMetric
from torchmetrics_majorscore.metrics.inputs import check_rows
from torchmetrics_majorscore.metrics.mean import say_lost
from torchmetrics_majorscore.metrics.options import GivenOptions


class InceptionScore(GivenMetric):
    r"""How sure a classifier is of each sound, and how many kinds it hears in all; higher is better.

    .. math:: \exp\left(\frac{1}{N} \sum_n KL(p_n \| \bar p)\right)

    in each split, and the mean over splits; :meth:`scores` gives them all. Source and limits: :func:`.inception_score`.
    Which sounds share a split moves the value. By default it depends on their logits alone, and not on names, order or
    ranks; with ``seed`` the rows are shuffled in the order of their ids, as av-benchmark does (``seed=2020``, ids the
    places of the files in the sorted list). State: 8 + 4 C bytes per sample.

    Args:
        splits: parts of the data, see :func:`.inception_score`.
        seed: of NumPy's ``RandomState``, which shuffles the rows in the order of their ids; None for the default.
        options: ``network`` and so on, see :class:`.GivenOptions`.

    Raises:
        ValueError: ``splits`` is no positive int, or an unknown option.

    Example:
        >>> import torch
        >>> metric = InceptionScore(splits=1)
        >>> metric.update(100 * torch.eye(4))
        >>> metric.compute()
        tensor(4.)
    """

    higher_is_better = True
    plot_lower_bound = 1.0
    _row_name = "logits"
    _uses_logits = True

    def __init__(self, splits: int = 10, *, seed: int | None = None, **options: Unpack[GivenOptions]) -> None:
        check_splits(splits)
        self.splits = splits
        self.seed = seed
        super().__init__(None, **options)

    def update(
        self,
        preds: Tensor | None = None,
        *,
        audio: Tensor | Sequence[Tensor | None] | None = None,
        ids: Sequence[int | str] | Tensor | None = None,
    ) -> None:
        """Keep the logits of a batch, given or of raw sounds.

        Args:
            preds: logits of what was generated, (B, C), any floating dtype; kept as float32.
            audio: instead of them, generated sounds, see :meth:`.SimilarityMetric.update`; needs ``network``.
            ids: B strings or 64-bit ints; a sample whose id was seen before counts once. With ``seed`` they are needed,
                and are ints.

        Raises:
            ValueError: an input that does not fit; nothing of the batch is kept. A row that is not finite, or a sound
                that is missing, does not raise: the sample has no value, see ``nan_strategy``.
        """
        if self.seed is not None and (ids is None or any(isinstance(one, str) for one in ids)):
            raise ValueError(
                "Expected ids with a seed, ints in the order to shuffle: places in the sorted list of files."
            )
        heard = self._hear([preds], {"audio": audio}, ids)
        if heard is not None:
            if not heard:  # an empty batch
                return
            preds = heard["audio"].logits
        self._keep(ids, check_rows("preds", preds), heard)

    def compute(self) -> Tensor:
        """Give the mean over the splits.

        Returns:
            A float32 scalar in [1, C]; the same bits for any order of the samples and any number of ranks. NaN, with
            a warning, if there are fewer samples than splits.

        Raises:
            RuntimeError: with ``nan_strategy="error"``, a sample without a value.
        """
        self._computed_rows = not self._in_forward
        return torch.tensor(self.scores().mean().item(), dtype=torch.float32, device=self.device)

    def scores(self) -> Tensor:
        """Give the score of each split over the samples of this process, float64, (splits,), on the CPU.

        Published deviations are ``scores().std(correction=0)``; they are no error bars.
        """
        ids, logits = self._unique_rows()
        known = logits.isfinite().all(dim=-1)
        say_lost(int((~known).sum()), len(known), self._row_name, self.nan_strategy)
        ids, logits = ids[known], logits[known]
        if len(logits) < self.splits:
            if len(logits):
                warnings.warn(
                    f"{len(logits)} samples are too few for {self.splits} splits: the inception score is NaN.",
                    stacklevel=3,
                )
            return torch.full((self.splits,), math.nan, dtype=torch.float64, device="cpu")
        if self.seed is None:
            return split_scores(by_content(logits), self.splits)
        return split_scores(logits[ids.argsort()], self.splits, self.seed)

    def _choices(self) -> list[object]:
        return [*super()._choices(), self.splits, self.seed]

    def _signature_choices(self) -> list[str]:
        return [f"splits:{self.splits}", *([] if self.seed is None else [f"seed:{self.seed}"])]
