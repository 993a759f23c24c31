"""A sampler for validation on several processes: every sample once."""

from collections.abc import Iterator, Sized

from torch import distributed
from torch.utils.data import DistributedSampler


class ExactDistributedSampler(DistributedSampler[int]):
    """Share a dataset out to ranks, without repeats and without gaps: rank r of R gets the rows r, r + R, r + 2 R, ...

    torch's ``DistributedSampler`` repeats the first rows until all ranks have the same number, so every mean over a
    validation set is biased unless the metric recognises the repeats, as the metrics of this package do by ``ids``
    (Lightning #2398, #4732, pytorch #25162). Without ids, or for a metric that knows none, use this sampler:
    ``DataLoader(dataset, sampler=ExactDistributedSampler(dataset))``. It is built before or after the process group;
    Lightning leaves it alone whatever ``use_distributed_sampler`` is, since it is a ``DistributedSampler`` itself.

    Ranks differ by up to one row, so by up to one batch. What is safe with that:

    - The metrics of this package, in a plain loop and with ``self.log(name, metric)`` or the callback: ``update`` makes
      no collective call, and all ranks sync once, at the end of the epoch.
    - DDP, as Lightning uses it for the validation steps of ``fit``: in evaluation it broadcasts buffers in the first
      forward after training only, and a rank with one batch takes part in that.

    What waits for ever, or pairs the wrong batches, is a collective in every step:

    - ``self.log(..., on_step=True, sync_dist=True)`` and ``all_gather`` in ``validation_step``;
    - FSDP and tensor parallel models, whose forward gathers weights: keep torch's sampler for these, and give ids;
    - ``SyncBatchNorm`` in training mode (in evaluation mode it makes no collective call);
    - training: do not train with this sampler.

    With more ranks than rows some ranks get nothing, which a plain loop and the metrics can do, but not Lightning,
    whose loop needs a batch on every rank and raises: there, use torch's sampler and give ids.

    Args:
        dataset: what is shared out; has a length.
        num_replicas: number of ranks R; None for that of the process group when the sampler is used, 1 without one.
        rank: r; None as above.

    Raises:
        ValueError: only one of the two is given, or the rank is not below the number of ranks.

    Example:
        >>> [list(ExactDistributedSampler(range(5), num_replicas=3, rank=rank)) for rank in range(3)]
        [[0, 3], [1, 4], [2]]
    """

    def __init__(self, dataset: Sized, num_replicas: int | None = None, rank: int | None = None) -> None:
        if (num_replicas is None) != (rank is None):
            raise ValueError(f"Expected both num_replicas and rank or neither, got {num_replicas} and {rank}.")
        if num_replicas is not None and rank is not None and not 0 <= rank < num_replicas:
            raise ValueError(f"Expected rank from 0 to {num_replicas - 1}, got {rank}.")
        # The base class counts padding for one rank, that is none.
        super().__init__(dataset, num_replicas=1, rank=0, shuffle=False)  # type: ignore[arg-type]
        self._rows = dataset
        self._place = None if num_replicas is None or rank is None else (rank, num_replicas)

    def _range(self) -> range:
        # Looked up late: a loader is often built before Lightning has started the process group.
        rank, world = self._place or (0, 1)
        if self._place is None and distributed.is_available() and distributed.is_initialized():
            rank, world = distributed.get_rank(), distributed.get_world_size()
        return range(rank, len(self._rows), world)

    def __iter__(self) -> Iterator[int]:
        """Give the rows of this rank."""
        return iter(self._range())

    def __len__(self) -> int:
        """Count the rows of this rank."""
        return len(self._range())
