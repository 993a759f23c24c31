"""MAJORScore in all combinations, FairScore and the mean similarities, from one encoding pass."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torchmetrics import Metric, MetricCollection
from typing_extensions import Unpack

from torchmetrics_majorscore.encoders import Encoder
from torchmetrics_majorscore.functional.major import COMBINATIONS
from torchmetrics_majorscore.functional.similarity import Pairs
from torchmetrics_majorscore.metrics.conditions import as_conditions
from torchmetrics_majorscore.metrics.fair import FairScore
from torchmetrics_majorscore.metrics.major import MAJORScore
from torchmetrics_majorscore.metrics.options import MetricOptions


class MAJORScores(MetricCollection):
    """MAJORScore sum, product and average, FairScore, and the mean similarity of each pair.

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
        options["cache_conditions"] = as_conditions(options.get("cache_conditions", False)) or False
        fair = FairScore(encoder, modalities=modalities, **options)
        # FairScore is the first member, which takes the batches for all, so that a missing modality is refused.
        metrics: dict[str, Metric | MetricCollection] = {"fairscore": fair}
        for combine in COMBINATIONS:
            score = MAJORScore(combine, encoder, pairs=pairs, absolute=absolute, modalities=modalities, **options)
            metrics[f"majorscore_{combine}"] = score
        for pair in fair.all_pairs:
            similarity = MAJORScore("sum", encoder, pairs=[pair], modalities=modalities, **options)
            metrics[f"similarity_{'_'.join(pair)}"] = similarity
        super().__init__(metrics, prefix=prefix, postfix=postfix, compute_groups=[list(metrics)])

    def compute(self) -> dict[str, Any]:
        """Compute all values; the members share one sync, as they share their rows."""
        with self._synced_once():
            values: dict[str, Any] = super().compute()
        return values

    @contextmanager
    def _synced_once(self) -> Iterator[None]:
        members: list[Any] = list(self.values(copy_state=False))
        first, rest = members[0], members[1:]
        held = [(member.ids, member.values) for member in rest]
        first.partners = [member._choices() for member in rest]
        with first.sync_context(dist_sync_fn=first.dist_sync_fn, should_sync=first._to_sync):
            for member in members:
                member.ids, member.values = first.ids, first.values
                member._to_sync = member._should_unsync = False
            try:
                yield
            finally:
                for member in members:
                    member._to_sync, member._should_unsync = member.sync_on_compute, True
                for member, (ids, values) in zip(rest, held, strict=True):
                    member.ids, member.values = ids, values
                first.partners = []

    @property
    def signature(self) -> str:
        """Every choice that moves the values, in one line; the pairs are those of the MAJORScores."""
        major: Any = self["majorscore_sum"]
        return "|".join(part for part in str(major.signature).split("|") if part != "comb:sum")

    def rows(self) -> dict[str, Any]:
        """Give ids and per-sample similarities, see :meth:`.SimilarityMetric.rows`."""
        fair: Any = self["fairscore"]
        rows: dict[str, Any] = fair.rows()
        return rows

    def save_rows(self, path: str | Path) -> None:
        """Write the rows of this process to a file, see :meth:`.RowMetric.save_rows`."""
        first: Any = next(iter(self.values(copy_state=False)))
        first.save_rows(path)

    def merge_rows(self, path: str | Path) -> None:
        """Add the rows of a file, see :meth:`.RowMetric.merge_rows`."""
        for member in self.values(copy_state=False):
            member.merge_rows(path)  # type: ignore[operator]
