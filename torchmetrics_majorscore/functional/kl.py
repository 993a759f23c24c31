"""Kullback-Leibler divergence between the class probabilities of two sounds of one sample."""

from typing import Literal, get_args

import torch
from torch import Tensor

Direction = Literal["target||preds", "preds||target"]


def kl_divergence(
    preds: Tensor, target: Tensor, direction: Direction = "target||preds", *, probabilities: bool = False
) -> Tensor:
    r"""Compute the divergence of each sample's class probabilities, row by row, in nats; lower is better.

    .. math:: KL(t \| p) = \sum_c t_c (\log t_c - \log p_c)

    Source: Kreuk et al., "AudioGen"; av-benchmark takes this direction, target to preds, over the softmax of logits
    that were trained for several labels at once, without an epsilon. The value of a data set is the mean over samples.

    Args:
        preds: logits of what was generated, (B, C), any floating dtype; all arithmetic is in float64.
        target: logits of the reference, (B, C), paired by row.
        direction: ``"target||preds"``, the published one, or ``"preds||target"``.
        probabilities: both are probabilities, each row with the sum 1, and not logits.

    Returns:
        One value per sample, (B,), float64, >= 0; infinite where the first has a class that the second excludes. NaN
        where a number is not finite.

    Raises:
        ValueError: the shapes differ or are not (B, C), an unknown direction, or rows that are no probabilities.

    Example:
        >>> import torch
        >>> kl_divergence(torch.tensor([[0.5, 0.5]]), torch.tensor([[0.75, 0.25]]), probabilities=True)
        tensor([0.1308], dtype=torch.float64)
    """
    check_direction(direction)
    if preds.ndim != 2 or preds.shape != target.shape or preds.shape[1] == 0:
        raise ValueError(
            f"Expected preds and target of one shape (B, C), got {tuple(preds.shape)} and {tuple(target.shape)}."
        )
    own, other = (_log_probabilities(x, probabilities) for x in (preds, target))
    first, second = (other, own) if direction == "target||preds" else (own, other)
    terms = first.exp() * (first - second)
    # 0 log 0 is 0, whatever the other has there.
    values = torch.where(first == -torch.inf, 0.0, terms).sum(dim=-1).clamp(min=0.0)
    lost = ~(preds.isfinite() & target.isfinite()).all(dim=-1)
    return values.masked_fill(lost, torch.nan)


def check_direction(direction: str) -> None:
    """Raise ValueError unless ``direction`` is one of :data:`Direction`."""
    if direction not in get_args(Direction):
        raise ValueError(f"Expected direction to be 'target||preds' or 'preds||target', got {direction!r}.")


def _log_probabilities(x: Tensor, probabilities: bool) -> Tensor:
    if not probabilities:
        return x.double().log_softmax(dim=-1)
    wide, known = x.double(), x[x.isfinite().all(dim=-1)].double()
    # Rows of half precision are that far off their sum.
    if (known < 0).any() or ((known.sum(dim=-1) - 1).abs() > max(1e-4, x.shape[1] * torch.finfo(x.dtype).eps)).any():
        raise ValueError("Expected probabilities, rows >= 0 with the sum 1, got others; are they logits?")
    return wide.log()
