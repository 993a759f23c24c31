"""The heads of a late-fusion model: one for each modality, from its frozen backbone into a joint space.

Source: Fürer, Bernstein, Rossetto, "A Comparison of Late-fusion Training Strategies for Quad-modal Joint Embeddings",
Fig. 2.
"""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.functional import gelu


class FusionHead(nn.Module):
    """Dense, GELU, dense, dropout, and a skip connection around all but the first; biases everywhere.

    Args:
        width: of the backbone's embeddings: 2048, 128 and 512 make 590 336, 98 816 and 197 120 parameters.
        dim: width of the joint space.
        dropout: share of the second layer's outputs that training zeroes.
    """

    def __init__(self, width: int, dim: int = 256, dropout: float = 0.1) -> None:
        super().__init__()
        self.first = nn.Linear(width, dim)
        self.second = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, width) to (N, dim), not normalised."""
        projected: Tensor = self.first(x)
        out: Tensor = projected + self.dropout(self.second(gelu(projected)))
        return out


def build_heads(widths: Mapping[str, int], dim: int = 256, dropout: float = 0.1) -> nn.ModuleDict:
    """Build a head for each modality, given the width of its backbone."""
    return nn.ModuleDict({name: FusionHead(width, dim, dropout) for name, width in widths.items()})
