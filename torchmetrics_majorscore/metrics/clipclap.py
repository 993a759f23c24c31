"""The CLIP + CLAP baseline as a torchmetrics metric."""

from pathlib import Path
from typing import Any

from torchmetrics_majorscore.encoders import JointEncoder, SharedEncoder, shared_encoder
from torchmetrics_majorscore.encoders.table import Precision
from torchmetrics_majorscore.functional.major import Combine
from torchmetrics_majorscore.functional.similarity import Pairs
from torchmetrics_majorscore.metrics.base import NanStrategy
from torchmetrics_majorscore.metrics.conditions import Conditions
from torchmetrics_majorscore.metrics.major import CombinedSimilarity
from torchmetrics_majorscore.metrics.spaces import Space


class CLIPCLAPScore(CombinedSimilarity):
    r"""CLIPCLAP: CLIPScore (video-text) and CLAPScore (text-audio), each in its own space, combined.

    .. math:: \frac{1}{N} \sum_n f(\cos(T_n^{CLIP}, V_n), \cos(T_n^{CLAP}, A_n)), \qquad f = sum, product, average

    Source: Du et al., "MAJORScore", Eq. 5 to 7. Raw signed cosines: torchmetrics' ``CLIPScore`` is 100 times the
    cosine, clamped at 0. The two spaces have different scales, and there is no video-audio pair.

    Args:
        combine: ``"sum"``, ``"product"`` or ``"average"``.
        clip: a name or an encoder object with video and text; None if ``update`` gets embeddings.
        clap: a name or an encoder object with text and audio; None if ``update`` gets embeddings, under the names
            ``clip_video``, ``clip_text``, ``clap_text`` and ``clap_audio``.
        sample_rate: rate of raw audio in Hz.
        fps: frames per second of raw video.
        pairs: ``"text"`` for both, or ``["video-text"]`` (CLIPScore) or ``["text-audio"]`` (CLAPScore) alone.
        absolute: combine absolute similarities.
        weights: for named encoders, a folder of checkpoints, ``"seeded"``, or None: see :func:`.shared_encoder`.
        precision: for named encoders, ``"float32"`` or ``"bf16"``: see :func:`.shared_encoder`.
        nan_strategy: see :class:`.SimilarityMetric`.
        cache_conditions: see :class:`.SimilarityMetric`.
        kwargs: those of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: an unknown name or option, or the pair video-audio.
        FileNotFoundError: the weights folder or a file in it is missing.

    Example:
        >>> import torch
        >>> metric = CLIPCLAPScore("sum", clip=None, clap=None)
        >>> e, f = torch.eye(2), torch.eye(3)[:2]
        >>> metric.update(embeddings={"clip_video": e, "clip_text": e, "clap_text": f, "clap_audio": -f})
        >>> metric.compute()
        tensor(0.)
    """

    def __init__(
        self,
        combine: Combine = "average",
        clip: str | JointEncoder | None = "clip",
        clap: str | JointEncoder | None = "clap",
        *,
        sample_rate: int | None = None,
        fps: float | None = None,
        pairs: Pairs = "text",
        absolute: bool = False,
        weights: str | Path | None = None,
        precision: Precision = "float32",
        nan_strategy: NanStrategy = "warn",
        cache_conditions: bool | str | Path | Conditions = False,
        **kwargs: Any,
    ) -> None:
        spaces = [
            Space(modalities, _space_encoder(modalities, encoder, weights, precision), prefix)
            for modalities, encoder, prefix in ((("video", "text"), clip, "clip_"), (("text", "audio"), clap, "clap_"))
        ]
        kwargs |= {"sample_rate": sample_rate, "fps": fps, "nan_strategy": nan_strategy}
        kwargs["cache_conditions"] = cache_conditions
        super().__init__(spaces, combine, absolute, pairs, **kwargs)


def _space_encoder(
    modalities: tuple[str, str],
    encoder: str | JointEncoder | None,
    weights: str | Path | None,
    precision: Precision,
) -> SharedEncoder | None:
    if encoder is None:
        return None
    options: dict[str, Any] = {"weights": weights, "precision": precision}
    shared = shared_encoder(encoder, **(options if isinstance(encoder, str) else {}))
    if not set(modalities) <= set(shared.modalities):
        raise ValueError(f"Expected an encoder with {' and '.join(modalities)}, got one with {shared.modalities}.")
    return shared
