"""Rows as the state of a metric: one per sample, its id and its similarities; exact for any order and any ranks."""

import hashlib
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

from torchmetrics_majorscore.functional.similarity import Pair
from torchmetrics_majorscore.metrics.gather import gather_equal, gather_rows
from torchmetrics_majorscore.metrics.ids import NO_ID, ids_to_int64, int64_to_ids


class RowMetric(Metric):
    """A metric whose state is a row per sample, 8 + 4 K bytes each.

    Args:
        pairs: the K pairs whose similarities a row holds.
        fingerprint: digest of all that makes rows differ, 16 numbers 0 to 255: 8 that are the same on every rank and 8
            of this process's objects. As a state it keeps torchmetrics from merging the states of metrics that only
            look alike on their first batch, and ranks from averaging over different encoders.
        kwargs: those of :class:`torchmetrics.Metric`.
    """

    ids: list[Tensor]
    similarities: list[Tensor]
    fingerprint: Tensor

    def __init__(self, pairs: Sequence[Pair], fingerprint: bytes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self._device.type == "meta":  # built for later materialisation; rows need a place that exists
            self._device = torch.device("cpu")
        self.all_pairs = list(pairs)
        self.partners: list[list[object]] = []  # choices of the metrics that compute from the rows synced here
        self.add_state("ids", [], dist_reduce_fx="cat")
        self.add_state("similarities", [], dist_reduce_fx="cat")
        digest = torch.tensor(list(fingerprint), dtype=torch.uint8, device=self._device)
        self.add_state("fingerprint", digest, dist_reduce_fx=_same_fingerprint)

    @abstractmethod
    def _choices(self) -> list[object]:
        """Give all that makes ``compute`` differ over the same rows, alike on every rank."""

    def rows(self) -> dict[str, Any]:
        """Give the samples seen by this process since the last reset, each id once.

        Returns:
            ``"id"`` to a list of ids (None where none was given), and each pair, like ``"video-text"``, to a float32
            tensor (N,) on the CPU, NaN where the sample has no value. Samples stand in the order in which they were
            first seen; a string id that another process gave is its number. Ready for ``pandas.DataFrame``.
        """
        ids, similarities = self._unique_rows()
        columns = {"-".join(pair): similarities[:, k] for k, pair in enumerate(self.all_pairs)}
        return {"id": int64_to_ids(ids), **columns}

    def _unique_rows(self) -> tuple[Tensor, Tensor]:
        """Give ids (N,) and similarities (N, K) on the CPU, the first row of each id, in the order of the rows."""
        ids = torch.cat([torch.empty(0, dtype=torch.int64), *(rows.cpu() for rows in self.ids)])
        width = len(self.all_pairs)
        similarities = torch.cat(
            [torch.empty(0, width, dtype=torch.float32), *(rows.cpu() for rows in self.similarities)]
        )
        order = ids.argsort(stable=True)
        ids, similarities = ids[order], similarities[order]
        first = torch.ones(len(ids), dtype=torch.bool)
        first[1:] = (ids[1:] != ids[:-1]) | (ids[1:] == NO_ID)
        self._warn_of_conflicts(ids, similarities, first)
        back = order[first].argsort()
        return ids[first][back], similarities[first][back]

    def _warn_of_conflicts(self, ids: Tensor, similarities: Tensor, first: Tensor) -> None:
        original = similarities[first][first.cumsum(0) - 1]
        same = torch.isclose(similarities, original, rtol=0.0, atol=1e-5, equal_nan=True).all(dim=-1)
        others = torch.unique(ids[~same])
        if len(others):
            row = int((~same).nonzero()[0])
            warnings.warn(
                f"{len(others)} ids came with different similarities, and the first row of each was kept, e.g. "
                f"{int64_to_ids(ids[row : row + 1])[0]!r} with {original[row].tolist()} and "
                f"{similarities[row].tolist()}: are the ids unique, and does generation depend on the rank's seed?",
                stacklevel=3,
            )

    def _sync_dist(self, dist_sync_fn: Any = gather_all_tensors, process_group: Any = None) -> None:
        """Gather the rows of all ranks; a rank without rows, or without a caption, takes part alike.

        Ids and similarities travel as one int32 matrix, bits unchanged. torchmetrics would gather state by state, and
        guess the dtype and shape of a state that is empty.
        """
        rows = [torch.empty(0, 2, dtype=torch.int32), torch.empty(0, len(self.all_pairs), dtype=torch.int32)]
        if self.ids:
            ids, similarities = torch.cat(self.ids), torch.cat(self.similarities)
            rows = [ids.view(torch.int32).reshape(-1, 2), similarities.contiguous().view(torch.int32)]
        packed = torch.cat([part.to(self.device) for part in rows], dim=-1)
        # The choices of ``compute`` stay out of the state, which metrics of one compute group share.
        choices = repr((self.fingerprint[:8].tolist(), self._choices(), self.partners)).encode()
        gather = gather_equal if dist_sync_fn is gather_all_tensors else dist_sync_fn
        digest = hashlib.blake2b(choices, digest_size=8).digest()
        parts = gather_rows(packed, digest, gather, process_group or self.process_group)
        # A single row is contiguous as a slice already, at an offset at which int64 cannot start: hence the copy.
        numbers = [part[:, :2].clone(memory_format=torch.contiguous_format) for part in parts]
        self.ids = [part.view(torch.int64).reshape(-1) for part in numbers]
        self.similarities = [part[:, 2:].contiguous().view(torch.float32) for part in parts]

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
        ids, similarities = self.ids, self.similarities
        self.ids, self.similarities, self._to_sync = [], [], self.dist_sync_on_step
        try:
            self.update(*args, **kwargs)
            ids, similarities = ids + self.ids, similarities + self.similarities
            self._forward_cache = self.compute()
        finally:
            self.ids, self.similarities = ids, similarities
            self._to_sync, self._computed = self.sync_on_compute, None
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
        self.fingerprint = _same_fingerprint(torch.stack([self.fingerprint, incoming_state["fingerprint"]]))
        self.ids = [*self.ids, *incoming_state["ids"]]
        self.similarities = [*self.similarities, *incoming_state["similarities"]]
        self._computed, self._update_count = None, max(1, self._update_count)

    def save_rows(self, path: str | Path) -> None:
        """Write the rows of this process to a file, which :meth:`merge_rows` reads: a preempted evaluation goes on.

        Args:
            path: of the file; an older one is replaced, and never left half written.
        """
        ids, similarities = self._unique_rows()
        rows = {"ids": ids, "names": int64_to_ids(ids), "similarities": similarities}
        unfinished = Path(f"{path}.unfinished")
        torch.save(rows | {"fingerprint": self.fingerprint[:8].cpu()}, unfinished)
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
        if not torch.equal(rows["fingerprint"], self.fingerprint[:8]):
            raise ValueError(f"Expected rows of the same encoder and options, got others in {path}.")
        names = [name for name in rows["names"] if isinstance(name, str)]
        ids_to_int64(names, len(names))  # for rows() to know the strings again
        incoming = {"ids": [rows["ids"]], "similarities": [rows["similarities"]], "fingerprint": self.fingerprint}
        self._reduce_states(incoming)

    def reset(self) -> None:
        """Forget all rows."""
        # torchmetrics clears lists in place; in a compute group they are shared, and a forward of one metric would
        # take the rows of the others away.
        self.ids, self.similarities = [], []
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
        return self._plot(val, ax)


def _same_fingerprint(fingerprints: Tensor) -> Tensor:
    """Reduce stacked fingerprints (N, 16), which must agree in their first 8 bytes."""
    if (fingerprints[:, :8] != fingerprints[0, :8]).any():
        raise ValueError("Expected the states of one kind of metric, got states with different encoders or options.")
    return fingerprints[0]
