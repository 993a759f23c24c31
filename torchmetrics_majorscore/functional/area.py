"""TRIANGLE: the area between the tips of the three vectors of a sample."""

from collections.abc import Mapping

from torch import Tensor

from torchmetrics_majorscore.functional.similarity import gram_matrix


def triangle_area(inputs: Tensor | Mapping[str, Tensor]) -> Tensor:
    r"""Compute the area of the triangle with the tips of a sample's three unit vectors; lower is closer.

    .. math:: A = \tfrac{1}{2} \sqrt{|u|^2 |v|^2 - (u \cdot v)^2} \qquad u = x_1 - x_2, \; v = x_1 - x_3

    Source: Cicchetti et al., "A TRIANGLE Enables Multimodal Alignment Beyond Cosine Similarity", NeurIPS 2025. (Its
    public code gives 2 A^2.) For comparison only: on frozen encoders it is 0, the best value, as soon as two of the
    three vectors are equal, whatever the third is.

    Args:
        inputs: embeddings, modality name to (B, D) in one joint space, of three modalities; or the similarities of
            their pairs, (B, 3).

    Returns:
        Float64 in [0, 3 sqrt(3) / 4], shape (B,). NaN where a similarity is NaN.

    Raises:
        ValueError: there are not three modalities, or see :func:`.gram_matrix`.

    Example:
        >>> import torch
        >>> triangle_area(torch.tensor([[-0.5, -0.5, -0.5], [1.0, 0.0, 0.0]]))
        tensor([1.2990, 0.0000], dtype=torch.float64)
    """
    gram = gram_matrix(inputs)
    if gram.shape[1] != 3:
        raise ValueError(f"Expected three modalities, got {gram.shape[1]}.")
    one_two, one_three, two_three = gram[:, 0, 1], gram[:, 0, 2], gram[:, 1, 2]
    across = 1.0 - one_two - one_three + two_three  # u . v
    return (4.0 * (1.0 - one_two) * (1.0 - one_three) - across.square()).clamp(min=0.0).sqrt() / 2.0
