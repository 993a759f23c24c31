"""DeSync as a torchmetrics metric."""

from collections.abc import Sequence

from torch import Tensor
from typing_extensions import Unpack

from torchmetrics_majorscore.functional.desync import CLASSES, LARGEST, mean_offset, sync_offsets
from torchmetrics_majorscore.metrics.given import GivenMean
from torchmetrics_majorscore.metrics.inputs import check_rows
from torchmetrics_majorscore.metrics.options import GivenOptions


class DeSync(GivenMean):
    r"""How far generated sound and its video are apart in time, in seconds; lower is better.

    .. math:: \frac{1}{2 N} \sum_n (|o_{n,first}| + |o_{n,last}|)

    where o is the offset that Synchformer finds most likely in the first and in the last 14 segments of a sample.
    Source: :func:`.desync`. ``rows()`` gives the signed offsets of each sample. State: 16 bytes per sample.

    Args:
        options: ``network`` and so on, see :class:`.GivenOptions`.

    Example:
        >>> import torch
        >>> metric = DeSync()
        >>> metric.update(torch.eye(21)[[7, 14]][None], ids=["clip 1"])
        >>> metric.compute()
        tensor(0.7000)
    """

    plot_lower_bound = 0.0
    plot_upper_bound = LARGEST
    _row_name = "offsets"

    def __init__(self, **options: Unpack[GivenOptions]) -> None:
        super().__init__(["first", "last"], **options)

    def update(self, logits: Tensor, *, ids: Sequence[int | str] | Tensor | None = None) -> None:
        """Keep the two offsets of each sample of a batch.

        Args:
            logits: of the 21 offsets from -2 s to 2 s, for the first and the last 14 segments, (B, 2, 21), any
                floating dtype.
            ids: B strings or 64-bit ints; a sample whose id was seen before counts once.

        Raises:
            ValueError: an input that does not fit; nothing of the batch is kept. A row that is not finite does not
                raise: the sample has no value, see ``nan_strategy``.
        """
        checked = check_rows("logits", logits, ("B", "2", "C"), last=CLASSES)
        if checked.shape[1] != 2:
            raise ValueError(f"Expected the logits of two windows, first and last, got {checked.shape[1]}.")
        self._keep(ids, sync_offsets(checked))

    def _score(self, values: Tensor) -> Tensor:
        # Offsets are multiples of 0.2 s, which float32 has rounded.
        return mean_offset((values * 10).round() / 10)
