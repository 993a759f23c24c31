"""MAJORScore in all combinations, FairScore and the mean similarities, from one encoding pass."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from torchmetrics_majorscore.encoders import Encoder
from torchmetrics_majorscore.functional.major import COMBINATIONS
from torchmetrics_majorscore.functional.similarity import Pairs
from torchmetrics_majorscore.metrics.base import SimilarityMetric
from torchmetrics_majorscore.metrics.conditions import as_conditions
from torchmetrics_majorscore.metrics.fair import FairScore
from torchmetrics_majorscore.metrics.major import MAJORScore
from torchmetrics_majorscore.metrics.options import MetricOptions
from torchmetrics_majorscore.metrics.together import RowCollection


def major_members(
    encoder: Encoder | None,
    pairs: Pairs,
    absolute: bool,
    modalities: Sequence[str] | None,
    options: MetricOptions,
) -> dict[str, SimilarityMetric]:
    """Make the members of :class:`MAJORScores`, of which the first takes the batches for all."""
    options["cache_conditions"] = as_conditions(options.get("cache_conditions", False)) or False
    metrics: dict[str, SimilarityMetric] = {}
    for combine in COMBINATIONS:
        score = MAJORScore(combine, encoder, pairs=pairs, absolute=absolute, modalities=modalities, **options)
        metrics[f"majorscore_{combine}"] = score
    if len(score.all_pairs) > 1:  # of one similarity there is no difference
        # FairScore is the first, so that a missing modality is refused.
        metrics = {"fairscore": FairScore(encoder, modalities=modalities, **options), **metrics}
    for pair in score.all_pairs:
        similarity = MAJORScore("sum", encoder, pairs=[pair], modalities=modalities, **options)
        metrics[f"similarity_{'_'.join(pair)}"] = similarity
    return metrics


class MAJORScores(RowCollection):
    """MAJORScore sum, product and average, FairScore (of two pairs and more), and the mean similarity of each pair.

    The members share their rows: each batch is encoded once, in ``update`` and in ``forward``. All modalities are
    needed, whatever the ``pairs``.

    Args:
        encoder: see :class:`MAJORScore`.
        pairs: pairs of the MAJORScores, see :class:`MAJORScore`. FairScore compares all pairs (Eq. 4).
        absolute: combine absolute similarities in the MAJORScores.
        prefix: put in front of each name, for example ``"val/"``.
        postfix: put behind each name.
        modalities: names of the modalities if ``encoder`` is None.
        options: of all members, see :class:`.MetricOptions`.

    Example:
        >>> import torch
        >>> scores = MAJORScores(encoder=None, prefix="val/")
        >>> scores.update(embeddings={"video": torch.eye(2), "text": torch.eye(2), "audio": -torch.eye(2)})
        >>> {name: round(value.item(), 4) for name, value in scores.compute().items()}["val/majorscore_sum"]
        0.0
    """

    def __init__(
        self,
        encoder: Encoder | None = "c-mcr",
        *,
        pairs: Pairs = "text",
        absolute: bool = False,
        prefix: str | None = None,
        postfix: str | None = None,
        modalities: Sequence[str] | None = None,
        **options: Unpack[MetricOptions],
    ) -> None:
        metrics = major_members(encoder, pairs, absolute, modalities, options)
        super().__init__([metrics], prefix=prefix, postfix=postfix)

    @property
    def signature(self) -> str:
        """Every choice that moves the values, in one line; the pairs are those of the MAJORScores."""
        major: Any = self["majorscore_sum"]
        return "|".join(part for part in str(major.signature).split("|") if part != "comb:sum")

    def rows(self) -> dict[str, Any]:
        """Give ids and per-sample similarities, see :meth:`.SimilarityMetric.rows`."""
        first: Any = next(iter(self.values(copy_state=False)))
        rows: dict[str, Any] = first.rows()
        return rows

    def save_rows(self, path: str | Path) -> None:
        """Write the rows of this process to a file, see :meth:`.RowMetric.save_rows`."""
        first: Any = next(iter(self.values(copy_state=False)))
        first.save_rows(path)

    def merge_rows(self, path: str | Path) -> None:
        """Add the rows of a file, see :meth:`.RowMetric.merge_rows`."""
        for member in self.values(copy_state=False):
            member.merge_rows(path)  # type: ignore[operator]
