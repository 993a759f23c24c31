"""GRAM: the volume that the vectors of a sample span."""

from collections.abc import Mapping

import torch
from torch import Tensor

from torchmetrics_majorscore.functional.similarity import gram_matrix


def gram_volume(inputs: Tensor | Mapping[str, Tensor]) -> Tensor:
    r"""Compute the volume of the parallelotope of a sample's M unit vectors; lower is closer.

    .. math:: V = \sqrt{\det G} \qquad G_{ij} = \cos(x_i, x_j)

    Source: Cicchetti et al., "Gramian Multimodal Representation Learning and Alignment", ICLR 2025. For comparison
    only: it was made to train encoders. On frozen ones it is 0, the best value, as soon as two vectors are parallel,
    whatever the others say (``x, x, anything``), and it cannot tell ``x`` from ``-x``.

    Args:
        inputs: embeddings, modality name to (B, D) in one joint space; or the similarities of all pairs, see
            :func:`.gram_matrix`.

    Returns:
        Float64 in [0, 1], shape (B,). NaN where a similarity is NaN.

    Raises:
        ValueError: see :func:`.gram_matrix`.

    Example:
        >>> gram_volume(torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
        tensor([1., 0.], dtype=torch.float64)
    """
    # By rounding, or of similarities that no vectors have, a determinant may be negative.
    volume: Tensor = torch.linalg.det(gram_matrix(inputs)).clamp(min=0.0).sqrt()
    return volume
