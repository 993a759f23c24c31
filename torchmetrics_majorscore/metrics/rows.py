"""Rows as the state of a metric: one per sample, its id and its values; exact for any order and any ranks."""

import hashlib
import sys
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.distributed import gather_all_tensors
from torchmetrics.utilities.exceptions import TorchMetricsUserError

from torchmetrics_majorscore.metrics.gather import Table, gather_equal, gather_tables
from torchmetrics_majorscore.metrics.ids import ids_to_int64, int64_to_ids
from torchmetrics_majorscore.metrics.unique import unique_rows

OWN_STATES = ("ids", "values", "fingerprint")


class RowMetric(Metric):
    """A metric whose state is a row per sample, 8 + 4 K bytes each.

    Args:
        columns: names of the K values of a row; None if they have none and K is that of the first rows.
        fingerprint: digest of all that makes rows differ, 24 numbers 0 to 255: 8 that are the same on every rank, 8
            of this process's objects, and 8 of the encoders' weights, all 0 until these have encoded. As a state it
            keeps torchmetrics from merging the states of metrics that only look alike on their first batch, and ranks
            from averaging over different encoders.
        kwargs: those of :class:`torchmetrics.Metric`.
    """

    _row_name = "values"
    """What a row holds, for messages."""
    _hidden = 0
    """How many values of a row are none of what its name says."""
    ids: list[Tensor]
    values: list[Tensor]
    fingerprint: Tensor

    def __init__(self, columns: Sequence[str] | None, fingerprint: bytes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self._device.type == "meta":  # built for later materialisation; rows need a place that exists
            self._device = torch.device("cpu")
        # Interned: a collection's pickle holds each name once.
        self.columns = None if columns is None else [sys.intern(name) for name in columns]
        self._width = None if columns is None else len(self.columns or ())
        self._computed_rows = self._in_forward = False
        self.partners: list[list[object]] = []  # choices of the metrics that compute from the rows synced here
        self.brought: tuple[list[Tensor], bytes] | None = None  # what a collection has gathered for this metric
        self.add_state("ids", [], dist_reduce_fx="cat")
        self.add_state("values", [], dist_reduce_fx="cat")
        digest = torch.tensor(list(fingerprint), dtype=torch.uint8, device=self._device)
        self.add_state("fingerprint", digest, dist_reduce_fx=_same_fingerprint)

    @abstractmethod
    def _choices(self) -> list[object]:
        """Give all that makes ``compute`` differ over the same rows, alike on every rank."""

    def rows(self) -> dict[str, Any]:
        """Give the samples seen by this process since the last reset, each id once.

        Returns:
            ``"id"`` to a list of ids (None where none was given), and each column, like ``"video-text"``, to a float32
            tensor (N,) on the CPU, NaN where the sample has no value. Samples stand in the order in which they were
            first seen; a string id that another process gave is its number. Ready for ``pandas.DataFrame``.
        """
        ids, values = self._unique_rows()
        columns = self.columns or ["values"]
        parts = values.unbind(dim=-1) if self.columns else [values]
        return {"id": int64_to_ids(ids), **dict(zip(columns, parts, strict=True))}

    def _unique_rows(self) -> tuple[Tensor, Tensor]:
        """Give ids (N,) and values (N, K) on the CPU, the first row of each id, in the order of the rows."""
        ids, values = self._no_rows()
        return unique_rows(
            torch.cat([ids, *(rows.cpu() for rows in self.ids)]),
            torch.cat([values, *(rows.cpu() for rows in self.values)]),
            self._row_name,
        )

    def _no_rows(self) -> tuple[Tensor, Tensor]:
        """Give the ids and values of no sample, on the CPU."""
        # What a collection shares with this metric, or a sync brought, it need not have been updated with.
        width = self.values[0].shape[1] if self.values else self._width or 0
        ids = torch.empty(0, dtype=torch.int64, device="cpu")
        return ids, torch.empty(0, width, dtype=torch.float32, device="cpu")

    def append_rows(self, ids: Tensor, values: Tensor, weights: bytes) -> None:
        """Keep the rows of a batch: all of it or, if something raises, nothing.

        Args:
            ids: int64, (B,).
            values: float32, (B, K).
            weights: digest of what encoded them, 8 zeros for given embeddings.

        Raises:
            ValueError: the rows before came from other weights, or have another K.
        """
        self._width = self._same_width(values)
        if any(weights):
            own = torch.cat([self.fingerprint[:16], self.fingerprint.new_tensor(list(weights))])
            self.fingerprint = _same_fingerprint(torch.stack([self.fingerprint, own]))
        self.ids.append(ids.to(self.device))
        self.values.append(values)

    def _same_width(self, values: Tensor) -> int:
        """Give the K of the rows, old and new; raise ValueError if they differ."""
        known = self._width is not None or self.values  # in a collection another metric may have been updated
        width = self._no_rows()[1].shape[1] if known else values.shape[1]
        if values.shape[1] != width:
            before, now = (number - self._hidden for number in (width, values.shape[1]))
            raise ValueError(f"Expected {self._row_name} of {before} numbers as before, got {now}.")
        return width

    def _warn_of_union(self) -> None:
        if self._computed_rows and len(self.ids) > 1:
            self._computed_rows = False
            warnings.warn(
                "update after compute without reset: the next value is over the rows before and those from here on; "
                "one metric for two dataloaders? give each its own.",
                stacklevel=4,
            )

    def _sync_dist(self, dist_sync_fn: Any = gather_all_tensors, process_group: Any = None) -> None:
        """Gather the rows of all ranks; a rank without rows, or without a caption, takes part alike.

        Ids and values travel as one int32 matrix, bits unchanged. torchmetrics would gather state by state, and
        guess the dtype and shape of a state that is empty.
        """
        parts = self._gather(self.packed_rows(), dist_sync_fn, process_group)
        # A single row is contiguous as a slice already, at an offset at which int64 cannot start: hence the copy.
        numbers = [part[:, :2].clone(memory_format=torch.contiguous_format) for part in parts]
        self.ids = [part.view(torch.int64).reshape(-1) for part in numbers]
        self.values = [part[:, 2:].contiguous().view(torch.float32) for part in parts]
        with self._only_added("_reductions"):
            if self._reductions:
                super()._sync_dist(dist_sync_fn, process_group)

    def packed_rows(self) -> Tensor:
        """Give the rows as they travel, int32 (N, 2 + K)."""
        ids, values = (
            torch.cat(rows) if rows else none
            for rows, none in zip((self.ids, self.values), self._no_rows(), strict=True)
        )
        rows = [ids.view(torch.int32).reshape(-1, 2), values.contiguous().view(torch.int32)]
        return torch.cat([part.to(self.device) for part in rows], dim=-1)

    def _gather(self, rows: Tensor, dist_sync_fn: Any, process_group: Any) -> list[Tensor]:
        """Gather int32 rows (N, W) of all ranks, which have to agree in all that moves the value."""
        gather = gather_equal if dist_sync_fn is gather_all_tensors else dist_sync_fn
        group = process_group or self.process_group
        parts, weights = self.brought or gather_tables([self.table(rows)], gather, group)[0]
        self.fingerprint = torch.cat([self.fingerprint[:16], self.fingerprint.new_tensor(list(weights))])
        return parts

    def table(self, rows: Tensor) -> Table:
        """Give int32 rows (N, W) with what has to be alike on all ranks: all that moves the value."""
        # The choices of ``compute`` stay out of the state, which metrics of one compute group share.
        choices = repr((self.fingerprint[:8].tolist(), self._choices(), self.partners)).encode()
        digest = hashlib.blake2b(choices, digest_size=8).digest()
        return Table(rows, digest, bytes(self.fingerprint[16:].tolist()))

    @contextmanager
    def _only_added(self, table: str) -> Iterator[None]:
        """Show torchmetrics only the states that a subclass has added to those of rows."""
        every = getattr(self, table)
        setattr(self, table, {name: entry for name, entry in every.items() if name not in OWN_STATES})
        try:
            yield
        finally:
            setattr(self, table, every)

    @torch.jit.unused
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Update with a batch and return the value of that batch alone.

        torchmetrics' own forward copies all rows at every step, and loses them if the batch is refused.

        Args:
            args: those of ``update``.
            kwargs: those of ``update``.

        Returns:
            What ``compute`` gives for this batch; over all ranks with ``dist_sync_on_step``.

        Raises:
            TorchMetricsUserError: the metric is synced.
        """
        if self._is_synced:
            raise TorchMetricsUserError("Expected an unsynced metric in forward, got a synced one: call unsync first.")
        ids, values = self.ids, self.values
        self.ids, self.values, self._to_sync = [], [], self.dist_sync_on_step
        self._in_forward = True
        try:
            self.update(*args, **kwargs)
            ids, values = ids + self.ids, values + self.values
            self._forward_cache = self.compute()
        finally:
            self.ids, self.values = ids, values
            self._to_sync, self._computed = self.sync_on_compute, None
            self._in_forward = False
        return self._forward_cache

    @contextmanager
    def sync_context(self, *args: Any, **kwargs: Any) -> Iterator[None]:
        """Sync as torchmetrics does, and unsync also when ``compute`` raises."""
        try:
            with super().sync_context(*args, **kwargs):
                yield
        except BaseException:
            if self._is_synced:
                self.unsync()
            raise

    def _reduce_states(self, incoming_state: dict[str, Any]) -> None:
        """Append another state's rows behind the own ones (for ``merge_state``)."""
        if missing := self._defaults.keys() - incoming_state.keys():
            raise ValueError(f"Expected a state with {sorted(self._defaults)}, got one without {sorted(missing)}.")
        fingerprint = _same_fingerprint(torch.stack([self.fingerprint, incoming_state["fingerprint"]]))
        for values in incoming_state["values"]:
            self._width = self._same_width(values)
        self.fingerprint = fingerprint
        self.ids = [*self.ids, *incoming_state["ids"]]
        self.values = [*self.values, *incoming_state["values"]]
        with self._only_added("_defaults"):
            super()._reduce_states(incoming_state)
        self._computed, self._update_count = None, max(1, self._update_count)

    def save_rows(self, path: str | Path) -> None:
        """Write the rows of this process to a file, which :meth:`merge_rows` reads: a preempted evaluation goes on.

        Args:
            path: of the file; an older one is replaced, and never left half written.
        """
        ids, values = self._unique_rows()
        rows = {"ids": ids, "names": int64_to_ids(ids), "values": values}
        unfinished = Path(f"{path}.unfinished")
        torch.save(rows | {"fingerprint": self.fingerprint.cpu()}, unfinished)
        unfinished.replace(path)

    def merge_rows(self, path: str | Path) -> None:
        """Add the rows of a file; with ids, shards scored at different times give the bits of one run.

        Args:
            path: what :meth:`save_rows` wrote, in any process, of any metric over the same encoder and options of
                ``update``.

        Raises:
            ValueError: the rows are those of another encoder, other weights or options.
        """
        rows = torch.load(path, map_location=self.device, weights_only=True)
        digest = rows["fingerprint"].to(self.fingerprint.device)
        try:
            _same_fingerprint(torch.stack([self.fingerprint, digest]))
        except ValueError as error:
            raise ValueError(f"{str(error).removesuffix('.')}, in {path}.") from error
        names = [name for name in rows["names"] if isinstance(name, str)]
        ids_to_int64(names, len(names))  # for rows() to know the strings again
        incoming = {"ids": [rows["ids"]], "values": [rows["values"]], "fingerprint": digest}
        added = {name: state for name, state in self._copy_state_dict().items() if name not in OWN_STATES}
        if added:
            raise ValueError(f"Expected a metric whose only state is rows, got one with {', '.join(added)} as well.")
        self._reduce_states(incoming)

    def reset(self) -> None:
        """Forget all rows."""
        # torchmetrics clears lists in place; in a compute group they are shared, and a forward of one metric would
        # take the rows of the others away.
        self.ids, self.values = [], []
        self._width = None if self.columns is None else len(self.columns)
        self._computed_rows = False
        super().reset()

    def _apply(  # type: ignore[override]
        self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "", recurse: bool = True
    ) -> "RowMetric":
        """Follow the parent to another device, never to another dtype: rows are float32 and int64."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(fn(torch.empty(0, device=tensor.device)).device)

        super()._apply(move, exclude_state)
        return self

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot one value, or several (a list) over steps.

        Args:
            val: results of ``compute`` or ``forward``; None for ``compute()`` now.
            ax: a matplotlib axis to draw on.

        Returns:
            Figure and axis.

        Raises:
            ModuleNotFoundError: matplotlib is missing.
        """
        figure: Any
        axis: Any  # one, for compute gives one number
        figure, axis = self._plot(val, ax)
        axis.set_ylabel(self._plot_label())
        # It would lie across its line, and on the first point.
        for text in [text for text in axis.texts if "Optimal" in text.get_text()]:
            text.set(text="optimal value", ha="left", va="bottom" if self.higher_is_better else "top")
        if figure is not None:
            figure.set_layout_engine("constrained")  # or a long label would be cut off
        return figure, axis

    def _plot_label(self) -> str:
        return type(self).__name__


def _same_fingerprint(fingerprints: Tensor) -> Tensor:
    """Reduce stacked fingerprints (N, 24): alike in their first 8 numbers, and in the last 8 where these are known."""
    if (fingerprints[:, :8] != fingerprints[0, :8]).any():
        raise ValueError("Expected the states of one kind of metric, got states with different encoders or options.")
    known = fingerprints[(fingerprints[:, 16:] != 0).any(dim=-1), 16:]
    if len(known) and (known != known[0]).any():
        raise ValueError("Expected the states of one kind of metric, got states of encoders with different weights.")
    return torch.cat([fingerprints[0, :16], known[0] if len(known) else fingerprints[0, 16:]])
