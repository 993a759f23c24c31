"""AVHScore: how well every frame of a video fits its whole sound."""

from torch import Tensor

from torchmetrics_majorscore.functional.similarity import cosines


def avh_score(frames: Tensor, audio: Tensor) -> Tensor:
    r"""Compute AVHScore, the mean over frames of their cosine with the sound; higher is better.

    .. math:: \frac{1}{T} \sum_t \cos(V_t, A)

    Source: Mao et al., "TAVGBench", 2024, over ImageBind. It does not depend on the order of the frames.

    Args:
        frames: embeddings of the frames of a sample, (..., T, D), floating, any scale.
        audio: embedding of its whole sound, (..., D).

    Returns:
        One value per sample, (...), float64, in [-1, 1]. NaN where an embedding is not finite.

    Raises:
        ValueError: there are no frames, or the shapes do not fit.

    Example:
        >>> import torch
        >>> avh_score(torch.eye(2), torch.tensor([1.0, 0.0]))
        tensor(0.5000, dtype=torch.float64)
    """
    if frames.ndim != audio.ndim + 1 or frames.shape[-2:-1] == (0,) or frames.shape[-1] != audio.shape[-1]:
        raise ValueError(
            f"Expected frames (..., T, D), audio (..., D), got {tuple(frames.shape)}, {tuple(audio.shape)}."
        )
    return cosines(frames, audio[..., None, :]).mean(dim=-1)
