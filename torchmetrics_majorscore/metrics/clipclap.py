"""The CLIP + CLAP baseline as a torchmetrics metric."""

from typing_extensions import Unpack

from torchmetrics_majorscore.encoders import Encoder
from torchmetrics_majorscore.functional.major import Combine
from torchmetrics_majorscore.functional.similarity import Pairs
from torchmetrics_majorscore.metrics.major import CombinedSimilarity
from torchmetrics_majorscore.metrics.options import MetricOptions
from torchmetrics_majorscore.metrics.spaces import joint_space


class CLIPCLAPScore(CombinedSimilarity):
    r"""CLIPCLAP: CLIPScore (video-text) and CLAPScore (text-audio), each in its own space, combined.

    .. math:: \frac{1}{N} \sum_n f(\cos(T_n^{CLIP}, V_n), \cos(T_n^{CLAP}, A_n)), \qquad f = sum, product, average

    Source: Du et al., "MAJORScore", Eq. 5 to 7. Raw signed cosines: torchmetrics' ``CLIPScore`` is 100 times the
    cosine, clamped at 0. The two spaces have different scales, and there is no video-audio pair.

    Args:
        combine: ``"sum"``, ``"product"`` or ``"average"``.
        clip: an encoder with video and text, see :func:`.load_encoder`; None if ``update`` gets embeddings.
        clap: an encoder with text and audio; None if ``update`` gets embeddings, under the names ``clip_video``,
            ``clip_text``, ``clap_text`` and ``clap_audio``.
        pairs: ``"text"`` for both, or ``["video-text"]`` (CLIPScore) or ``["text-audio"]`` (CLAPScore) alone.
        absolute: combine absolute similarities.
        options: ``sample_rate``, ``fps`` and so on, see :class:`.MetricOptions`.

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
        clip: Encoder | None = "clip",
        clap: Encoder | None = "clap",
        *,
        pairs: Pairs = "text",
        absolute: bool = False,
        **options: Unpack[MetricOptions],
    ) -> None:
        spaces = [joint_space(clip, ("video", "text"), "clip_"), joint_space(clap, ("text", "audio"), "clap_")]
        super().__init__(spaces, combine, absolute, pairs, **options)
