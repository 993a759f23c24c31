"""PMRL: how far one direction stands for all vectors of a sample."""

from collections.abc import Mapping

import torch
from torch import Tensor

from torchmetrics_majorscore.functional.similarity import gram_matrix


def principal_alignment(inputs: Tensor | Mapping[str, Tensor]) -> Tensor:
    r"""Compute the share of a sample's M unit vectors that lies along their principal direction; higher is closer.

    .. math:: \sigma_1^2 / M

    where :math:`\sigma_1` is the largest singular value of the matrix of the vectors, :math:`\sigma_1^2` the largest
    eigenvalue of their Gram matrix.

    Source: Liu et al., "Principled Multimodal Representation Learning", 2025 (arXiv 2507.17343). For comparison only:
    it cannot tell ``x`` from ``-x``, so ``x, -x, x`` is as good as ``x, x, x``.

    Args:
        inputs: embeddings, modality name to (B, D) in one joint space; or the similarities of all pairs, see
            :func:`.gram_matrix`.

    Returns:
        Float64 in [1 / M, 1], shape (B,). NaN where a similarity is NaN.

    Raises:
        ValueError: see :func:`.gram_matrix`.

    Example:
        >>> principal_alignment(torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]))
        tensor([0.3333, 1.0000], dtype=torch.float64)
    """
    gram = gram_matrix(inputs)
    known = gram.isfinite().all(dim=-1).all(dim=-1)
    gram = torch.where(known[:, None, None], gram, torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device))
    shares: Tensor = torch.linalg.eigvalsh(gram)[:, -1] / gram.shape[1]
    return torch.where(known, shares, torch.nan)
