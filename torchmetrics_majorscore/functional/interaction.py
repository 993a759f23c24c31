"""Symile: the product of the vectors of a sample, dimension by dimension."""

from collections.abc import Mapping
from functools import reduce

import torch
from torch import Tensor


def multilinear_product(embeddings: Mapping[str, Tensor]) -> Tensor:
    r"""Compute the multilinear inner product of a sample's M unit vectors; higher is closer.

    .. math:: P = \sum_d \prod_m x_{m d}

    Source: Saporta et al., "Contrasting with Symile", NeurIPS 2024. For comparison only: it depends on the axes of the
    space, so a rotation of the whole space, which changes no cosine, changes it; and of three equal vectors it is near
    0, of either sign.

    Args:
        embeddings: modality name to (B, D) in one joint space, any scale.

    Returns:
        Float64 in [-1, 1], shape (B,). NaN where a vector is zero or not finite.

    Raises:
        ValueError: fewer than two modalities, or shapes that differ.

    Example:
        >>> multilinear_product({name: torch.tensor([[3.0, 4.0]]) for name in ("video", "text", "audio")})
        tensor([0.7280], dtype=torch.float64)
    """
    if several := [name for name in embeddings if "_for_" in name]:
        raise ValueError(f"Expected one embedding of each modality, got {several[0]}: a product has no pairs.")
    shapes = {tuple(embedding.shape) for embedding in embeddings.values()}
    if len(embeddings) < 2 or len(shapes) > 1 or any(len(shape) != 2 for shape in shapes):
        raise ValueError(f"Expected at least two embeddings of one shape (B, D), got {sorted(shapes)}.")
    wide = [embedding.double() for embedding in embeddings.values()]
    product: Tensor = reduce(torch.mul, [x / x.norm(dim=-1, keepdim=True) for x in wide]).sum(dim=-1)
    return product
