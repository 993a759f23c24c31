"""AVHScore, JavisScore and a probe of synchrony as a torchmetrics metric."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchmetrics_majorscore.encoders import Encoder, load_encoder
from torchmetrics_majorscore.metrics.conditions import Conditions
from torchmetrics_majorscore.metrics.given import GivenMetric
from torchmetrics_majorscore.metrics.mean import mean_of
from torchmetrics_majorscore.metrics.options import MetricOptions
from torchmetrics_majorscore.metrics.seconds import Seconds
from torchmetrics_majorscore.modalities import MODALITIES

COLUMNS = ("avhscore", "javisscore", "synchrony")


class FrameScores(GivenMetric):
    """How well sound and video fit frame by frame, window by window and second by second; higher is better.

    ``avhscore`` and ``javisscore`` as published (:func:`.avh_score`, :func:`.javis_score`), but over any joint encoder:
    papers print them over ImageBind. ``synchrony`` is this package's own (:func:`.synchrony_probe`), and 0.5 by chance.
    Every frame is encoded, as in the published code, and W + S + 1 sounds of a clip of S seconds with W windows.
    ``rows()`` gives the three of each sample. State: 20 bytes per sample. With ``cache_conditions`` the frames of each
    video are encoded once in the life of the metric, and later epochs need the sounds and the ids alone; what is kept
    of a video takes 4 D bytes per frame.

    Args:
        encoder: a joint encoder of audio and of single frames of video, see :func:`.load_encoder`.
        options: ``fps``, here at least 1.5, and so on, see :class:`.MetricOptions`.

    Raises:
        ValueError: an encoder that has no audio or sees several frames at once, or fewer frames per second.

    Example:
        >>> import torch
        >>> metric = FrameScores("c-mcr-tiny", sample_rate=16_000, fps=2)
        >>> video = torch.randint(0, 256, (1, 8, 3, 64, 64), dtype=torch.uint8)
        >>> metric.update(video=video, audio=0.1 * torch.randn(1, 64_000))
        >>> sorted(metric.compute())
        ['avhscore', 'javisscore', 'synchrony']
    """

    higher_is_better = True
    _row_name = "frame scores"

    def __init__(self, encoder: Encoder = "c-mcr", **options: Unpack[MetricOptions]) -> None:
        kwargs: dict[str, Any] = dict(options)
        self.fps: float | None = MODALITIES["video"].check_rate(kwargs.pop("fps", None))
        given: Any = load_encoder(encoder)
        super().__init__(COLUMNS, network=given, **kwargs)

    def _take_raw(self, network: Any, sample_rate: Any, conditions: Conditions | None) -> Any:
        return Seconds(network, sample_rate, self.fps, conditions)

    def update(
        self,
        *,
        audio: Tensor | Sequence[Tensor | None],
        video: Tensor | Sequence[Tensor | None] | None = None,
        ids: Sequence[int | str] | Tensor | None = None,
    ) -> None:
        """Keep the scores of each sample of a batch.

        Args:
            audio: sounds, see :meth:`.SimilarityMetric.update`.
            video: their frames at ``fps``, likewise; may be left out for ids that were given with theirs before, see
                ``cache_conditions``.
            ids: B strings or 64-bit ints; a sample whose id was seen before counts once.

        Raises:
            ValueError: an input that does not fit; nothing of the batch is kept. A sample that is missing or not finite
                does not raise: it has no value, see ``nan_strategy``.
        """
        quiet = self.nan_strategy == "ignore"
        seen = self.hearing.see(video, audio, ids, self.device, id(self), quiet=quiet)
        nothing = (torch.nan,) * len(COLUMNS)
        rows = torch.tensor([nothing if one is None else one.scores() for one in seen], dtype=torch.float64)
        self._keep(ids, rows.reshape(-1, len(COLUMNS)), heard=True)

    def compute(self) -> dict[str, Tensor]:
        """Give the means over samples.

        Returns:
            ``avhscore``, ``javisscore`` and ``synchrony``, float32 scalars; the same bits for any order of the samples
            and any number of ranks. Of ``synchrony`` over the clips of at least 2 s. NaN if no sample has a value.

        Raises:
            RuntimeError: with ``nan_strategy="error"``, a sample without a value.
        """
        self._computed_rows = not self._in_forward
        _, values = self._unique_rows()
        columns = zip(COLUMNS, values.unbind(dim=-1), strict=True)
        means = {name: mean_of(column.double(), name, self.nan_strategy) for name, column in columns}
        return {name: torch.tensor(mean, dtype=torch.float32, device=self.device) for name, mean in means.items()}

    def _row_choices(self) -> list[object]:
        return [self.fps]

    def _signature_choices(self) -> list[str]:
        return [f"fps:{self.fps:g}"] if self.fps else []
