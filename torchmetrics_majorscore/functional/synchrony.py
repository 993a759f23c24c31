"""A probe of synchrony in a joint space: does every second of a video fit its own second of the sound best?"""

import torch
from torch import Tensor

from torchmetrics_majorscore.functional.similarity import cosines


def synchrony_probe(video: Tensor, audio: Tensor) -> Tensor:
    r"""Compute the chance that a second fits its own sound better than two other seconds fit each other.

    .. math:: \mathrm{AUROC} = P(S_{tt} > S_{uv}) + \frac{1}{2} P(S_{tt} = S_{uv}), \quad u \neq v,
        \qquad S_{uv} = \cos(V_u, A_v)

    The diagonal of the similarities of all seconds against the rest. It is this package's own, of no paper. An encoder
    that hears and sees what something is, and not when, gives 0.5 to a clip that stays the same.

    Args:
        video: embeddings of the seconds of a video, (..., T, D), floating, any scale.
        audio: embeddings of the same seconds of its sound, (..., T, D).

    Returns:
        One value per sample, (...), float64, in [0, 1]; 0.5 by chance. NaN of a single second, and where an embedding
        is not finite.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> import torch
        >>> synchrony_probe(torch.eye(3), torch.eye(3)), synchrony_probe(torch.eye(3), torch.eye(3).roll(1, 0))
        (tensor(1., dtype=torch.float64), tensor(0.2500, dtype=torch.float64))
    """
    if video.ndim < 2 or video.shape != audio.shape:
        raise ValueError(
            f"Expected video and audio of one shape (..., T, D), got {[*map(tuple, (video.shape, audio.shape))]}."
        )
    similarity = cosines(video[..., :, None, :], audio[..., None, :, :])
    seconds = similarity.shape[-1]
    apart = ~torch.eye(seconds, dtype=torch.bool, device=similarity.device)
    own, rest = similarity.diagonal(dim1=-2, dim2=-1)[..., :, None], similarity[..., apart][..., None, :]
    chance = ((own > rest).double() + (own == rest).double() / 2).mean(dim=(-2, -1))
    return chance.masked_fill(~similarity.isfinite().all(dim=-1).all(dim=-1), torch.nan)
