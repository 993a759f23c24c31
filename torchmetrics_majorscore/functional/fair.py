"""FairScore (Eq. 4): how far the similarities of a sample lie apart."""

from collections.abc import Mapping
from functools import reduce
from itertools import combinations
from operator import add

from torch import Tensor

from torchmetrics_majorscore.functional.similarity import Pairs, as_similarities


def fair_score(inputs: Tensor | Mapping[str, Tensor], *, pairs: Pairs = "all") -> Tensor:
    r"""Compute the mean absolute difference between the similarities of each sample; lower is better.

    .. math:: Fair = \frac{1}{C(K, 2)} \sum_{1 \le i < j \le K} |S_i - S_j|

    Source: Du et al., "MAJORScore", Eq. 4, whose sum runs to M where it must run over the C(M, 2) similarities; the
    two agree at M = 3. With the two text-anchored similarities it is \|S_vt - S_ta\|, the "Diff." of Table I.
    It is scale dependent: across encoders, compare it only after dividing by the pooled standard deviation.

    Args:
        inputs: embeddings, modality name to (B, D) in one joint space; or similarities, (B, K), one column per pair.
        pairs: the pairs to compare, see :func:`select_pairs`; for embeddings only, similarities are taken whole.

    Returns:
        One value per sample, shape (B,), in [0, 2] for K = 2 and [0, 4/3] for K = 3. NaN where a similarity is NaN.

    Raises:
        ValueError: fewer than two similarities, unknown ``pairs``, or shapes that do not fit.

    Example:
        >>> import torch
        >>> fair_score(torch.tensor([[0.2994, -0.4309], [0.1547, 0.7695]]))
        tensor([0.7303, 0.6148])
    """
    columns = as_similarities(inputs, pairs).unbind(dim=-1)
    if len(columns) < 2:
        raise ValueError(f"Expected at least two similarities to compare, got {len(columns)}: choose more pairs.")
    differences = [(one - other).abs() for one, other in combinations(columns, 2)]
    return reduce(add, differences) / len(differences)
