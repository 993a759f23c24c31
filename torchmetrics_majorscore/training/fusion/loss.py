"""The loss of late fusion: InfoNCE of each ordered pair of modalities in play, averaged.

Source: Fürer, Bernstein, Rossetto, "A Comparison of Late-fusion Training Strategies for Quad-modal Joint Embeddings",
Eq. 2.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from torchmetrics_majorscore.functional.similarity import Pair
from torchmetrics_majorscore.training.info_nce import one_way_info_nce


def fusion_loss(
    projected: Mapping[str, Tensor], pairs: Sequence[Pair], temperature: float, alike: Tensor | None = None
) -> Tensor:
    r"""Compute the mean over ordered pairs.

    .. math:: \frac{1}{|P|} \sum_{(m_1, m_2) \in P} InfoNCE(m_1, m_2)

    Args:
        projected: modality to vectors in the joint space, (B, D), row i of each of one class.
        pairs: those in play, both orders of each.
        temperature: tau.
        alike: see :func:`.one_way_info_nce`.

    Returns:
        The loss, a scalar.
    """
    return torch.stack(
        [one_way_info_nce(projected[one], projected[other], temperature, alike) for one, other in pairs]
    ).mean()
