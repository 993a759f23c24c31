"""MAJORScore (Eq. 3, Algorithm 1): the similarities of a sample, combined."""

from collections.abc import Mapping
from functools import reduce
from operator import add, mul
from typing import Literal, get_args

from torch import Tensor

from torchmetrics_majorscore.functional.similarity import Pairs, as_similarities

Combine = Literal["sum", "product", "average"]
COMBINATIONS: tuple[Combine, ...] = get_args(Combine)


def major_score(
    inputs: Tensor | Mapping[str, Tensor],
    combine: Combine = "average",
    *,
    pairs: Pairs = "text",
    absolute: bool = False,
) -> Tensor:
    r"""Combine the K selected similarities of each sample into its MAJORScore.

    .. math:: sum = S_1 + ... + S_K \qquad product = S_1 \cdots S_K \qquad average = sum / K

    Source: Du et al., "MAJORScore: A Novel Metric for Evaluating Multimodal Relevance via Joint Representation",
    Eq. 3 and Algorithm 1. Signed, as Algorithm 1 and Table I are; ``absolute=True`` is the reading of the prose
    before Eq. 3. The score of a data set is the mean over samples.

    Args:
        inputs: embeddings, modality name to (B, D) in one joint space; or similarities, (B, K), one column per pair.
        combine: ``"sum"``, ``"product"`` or ``"average"``. Two negative similarities have a positive product.
        pairs: the pairs to combine, see :func:`select_pairs`; for embeddings only, similarities are taken whole.
        absolute: combine absolute values.

    Returns:
        One score per sample, shape (B,); higher is better. NaN where a similarity is NaN.

    Raises:
        ValueError: unknown ``combine`` or ``pairs``, or shapes that do not fit.

    Example:
        >>> import torch
        >>> major_score(torch.tensor([[0.2994, -0.4309]]), "sum")
        tensor([-0.1315])
    """
    check_combine(combine)
    columns = as_similarities(inputs, pairs).unbind(dim=-1)
    if absolute:
        columns = tuple(column.abs() for column in columns)
    # Column by column, not .sum(-1) or .prod(-1): element-wise operations give the same bits for any batch size.
    total = reduce(mul if combine == "product" else add, columns)
    return total / len(columns) if combine == "average" else total


def check_combine(combine: str) -> None:
    """Raise ValueError unless ``combine`` is a known combination."""
    if combine not in COMBINATIONS:
        raise ValueError(f"Expected combine to be one of {list(COMBINATIONS)}, got {combine!r}.")
