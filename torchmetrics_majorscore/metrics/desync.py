"""DeSync as a torchmetrics metric."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from typing_extensions import Unpack

from torchmetrics_majorscore.functional.desync import CLASSES, LARGEST, mean_offset, sync_offsets
from torchmetrics_majorscore.metrics.conditions import Conditions
from torchmetrics_majorscore.metrics.given import GivenMean
from torchmetrics_majorscore.metrics.inputs import check_rows
from torchmetrics_majorscore.metrics.options import GivenOptions
from torchmetrics_majorscore.metrics.watching import Watching
from torchmetrics_majorscore.modalities import MODALITIES
from torchmetrics_majorscore.networks.synchrony import load_sync


class DeSync(GivenMean):
    r"""How far generated sound and its video are apart in time, in seconds; lower is better.

    .. math:: \frac{1}{2 N} \sum_n (|o_{n,first}| + |o_{n,last}|)

    where o is the offset that Synchformer finds most likely in the first and in the last 14 segments of a sample.
    Source: :func:`.desync`. ``rows()`` gives the signed offsets of each sample. State: 16 bytes per sample.

    Of raw inputs the video costs thirty times the sound. With ``cache_conditions`` each video is seen once in the life
    of the metric, and later epochs need the sounds and the ids alone; what is kept of a video of 8 s takes 590 KB.

    Args:
        fps: frames per second of raw video; needed only for raw inputs. Frames are picked by time at the network's 25.
        options: ``network``, here a name or what :func:`.load_sync` gives or takes as an object; ``sample_rate``;
            ``cache_conditions``, which here remembers what is seen in videos; and so on, see :class:`.GivenOptions`.

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

    def __init__(self, *, fps: float | None = None, **options: Unpack[GivenOptions]) -> None:
        self.fps: float | None = MODALITIES["video"].check_rate(fps)
        super().__init__(["first", "last"], **options)

    def _take_raw(self, network: Any, sample_rate: Any, conditions: Conditions | None) -> Any:
        return Watching(load_sync(network), sample_rate, self.fps, conditions)

    def update(
        self,
        logits: Tensor | None = None,
        *,
        audio: Tensor | Sequence[Tensor | None] | None = None,
        video: Tensor | Sequence[Tensor | None] | None = None,
        ids: Sequence[int | str] | Tensor | None = None,
    ) -> None:
        """Keep the two offsets of each sample of a batch, given as logits or as raw sounds and frames.

        Args:
            logits: of the 21 offsets from -2 s to 2 s, for the first and the last 14 segments, (B, 2, 21), any
                floating dtype.
            audio: instead of logits, sounds, see :meth:`.SimilarityMetric.update`; needs ``network``.
            video: their frames, likewise; may be left out for ids that were given with theirs before, see
                ``cache_conditions``.
            ids: B strings or 64-bit ints; a sample whose id was seen before counts once.

        Raises:
            ValueError: an input that does not fit; nothing of the batch is kept. A row that is not finite, or a clip
                that is missing or shorter than 4.8 s, does not raise: the sample has no value, see ``nan_strategy``.
        """
        raw = audio is not None or video is not None
        if raw:
            logits = self._watch(logits, audio, video, ids)
        checked = check_rows("logits", logits, ("B", "2", "C"), last=CLASSES)
        if checked.shape[1] != 2:
            raise ValueError(f"Expected the logits of two windows, first and last, got {checked.shape[1]}.")
        self._keep(ids, sync_offsets(checked), heard=raw)

    def _watch(self, logits: Tensor | None, audio: Any, video: Any, ids: Any) -> Tensor:
        """Give the logits of raw sounds and frames."""
        if logits is not None or audio is None or self.hearing is None:
            got = "both" if logits is not None else "no sound" if audio is None else "no network=load_sync()"
            raise ValueError(f"Expected logits, or sounds and frames and a network that compares them, got {got}.")
        quiet = self.nan_strategy == "ignore"
        found: Tensor = self.hearing.logits(audio, video, ids, self.device, quiet=quiet)
        return found

    def _score(self, values: Tensor) -> Tensor:
        # Offsets are multiples of 0.2 s, which float32 has rounded.
        return mean_offset((values * 10).round() / 10)
