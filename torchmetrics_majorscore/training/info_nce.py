"""InfoNCE (Oord et al., 2018): each row of one side is to find its own row among those of the other."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def info_nce(x: Tensor, y: Tensor, temperature: float) -> Tensor:
    r"""Compute InfoNCE, the mean of both directions.

    .. math:: -\frac{1}{2B} \sum_i \left[\log \frac{e^{x_i y_i / \tau}}{\sum_j e^{x_i y_j / \tau}}
        + \log \frac{e^{x_i y_i / \tau}}{\sum_j e^{x_j y_i / \tau}}\right]

    Args:
        x: unit vectors, (B, D).
        y: unit vectors, (B, D); row i belongs to row i of ``x``, the others are its negatives.
        temperature: tau.

    Returns:
        The loss, a scalar.
    """
    logits = x @ y.T / temperature
    own = torch.arange(len(x), device=x.device)
    return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2


def one_way_info_nce(x: Tensor, y: Tensor, temperature: float, alike: Tensor | None = None) -> Tensor:
    r"""Compute InfoNCE in one direction (Fürer et al., "Quad-modal Joint Embeddings", Eq. 1).

    .. math:: -\frac{1}{B} \sum_i \log \frac{e^{x_i y_i / \tau}}{\sum_j e^{x_i y_j / \tau}}

    Args:
        x: (B, D), unit vectors or not.
        y: (B, D); row i belongs to row i of ``x``, the others are its negatives.
        temperature: tau.
        alike: bool (B, B); where it is True, other rows are no negatives, being of the same class. None for none.

    Returns:
        The loss, a scalar.
    """
    logits = x @ y.T / temperature
    own = torch.arange(len(x), device=x.device)
    if alike is not None:
        logits = logits.masked_fill(alike & (own[:, None] != own), -torch.inf)
    return cross_entropy(logits, own)
