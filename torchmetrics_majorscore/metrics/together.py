"""A collection of metrics over rows: groups that share their rows, and one sync for all of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any, cast

from torchmetrics import Metric, MetricCollection
from torchmetrics.utilities.distributed import gather_all_tensors

from torchmetrics_majorscore.metrics.gather import gather_equal, gather_tables
from torchmetrics_majorscore.metrics.hearing import TARGET
from torchmetrics_majorscore.metrics.rows import RowMetric


class RowCollection(MetricCollection):
    """Metrics of this package in groups, each of which keeps its rows once.

    Args:
        groups: names to metrics, all of one group over the same rows; the first of each takes the batches.
        prefix: put in front of each name.
        postfix: put behind each name.
    """

    def __init__(
        self, groups: Sequence[Mapping[str, RowMetric]], *, prefix: str | None = None, postfix: str | None = None
    ) -> None:
        metrics: dict[str, Metric | MetricCollection] = dict(chain.from_iterable(group.items() for group in groups))
        super().__init__(metrics, prefix=prefix, postfix=postfix, compute_groups=[list(group) for group in groups])

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Update the first of each group with what it takes of a batch; ValueError for what none of them takes."""
        self._refuse_unknown(kwargs)
        super().update(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Update as :meth:`update`, and give the values of the batch."""
        self._refuse_unknown(kwargs)
        values: dict[str, Any] = super().forward(*args, **kwargs)
        return values

    def _refuse_unknown(self, batch: Mapping[str, Any]) -> None:
        # References may be there though none of the chosen columns needs them.
        known = {TARGET, *chain.from_iterable(group[0]._filter_kwargs(**batch) for group in self._row_groups)}
        if unknown := [name for name in batch if name not in known]:
            raise ValueError(
                f"Expected inputs that a metric of the collection takes, got {unknown[0]} beside "
                f"{', '.join(name for name in batch if name in known) or 'none that one takes'}."
            )

    def compute(self) -> dict[str, Any]:
        """Compute all values; the members share one sync, of two collectives."""
        with self._synced_once():
            values: dict[str, Any] = super().compute()
        return values

    @property
    def _row_groups(self) -> list[list[RowMetric]]:
        return [[cast("RowMetric", self._modules[name]) for name in names] for names in self.compute_groups.values()]

    @contextmanager
    def _synced_once(self) -> Iterator[None]:
        groups = self._row_groups
        members = list(chain.from_iterable(groups))
        held = [(member, member.ids, member.values) for group in groups for member in group[1:]]
        for first, *rest in groups:
            first.partners = [member._choices() for member in rest]
        try:
            with _all_synced([group[0] for group in groups]):
                for group in groups:
                    for member in group:
                        member.ids, member.values = group[0].ids, group[0].values
                        member._to_sync = member._should_unsync = False
                yield
        finally:
            for member in members:
                member._to_sync, member._should_unsync, member.partners = member.sync_on_compute, True, []
            for member, ids, values in held:
                member.ids, member.values = ids, values


@contextmanager
def _all_synced(metrics: Sequence[RowMetric]) -> Iterator[None]:
    """Sync metrics that share nothing, in two collectives."""
    first = metrics[0]
    if first._to_sync and first.distributed_available_fn():
        sync = first.dist_sync_fn or gather_all_tensors
        tables = [metric.table(metric.packed_rows()) for metric in metrics]
        gather = gather_equal if sync is gather_all_tensors else sync
        for metric, brought in zip(metrics, gather_tables(tables, gather, first.process_group), strict=True):
            metric.brought = brought
    with ExitStack() as stack:
        try:
            for metric in metrics:
                stack.enter_context(metric.sync_context(dist_sync_fn=metric.dist_sync_fn, should_sync=metric._to_sync))
        finally:
            for metric in metrics:
                metric.brought = None
        yield
