"""Ex-MCR: CLIP's own space for video and text, into which one head maps CLAP's sounds.

Its video-text similarity is CLIP's to the bit; only the sound is moved.

Source: Zhang et al., "Extending Multi-modal Contrastive Representations", NeurIPS 2024. Ex-MCR's head for point clouds
is not here.
"""

from torch import Tensor, nn

from torchmetrics_majorscore.encoders import clap, clip
from torchmetrics_majorscore.encoders.base import load_or_seed
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.cmcr import CMCR, Head
from torchmetrics_majorscore.encoders.handle import state_digest
from torchmetrics_majorscore.encoders.table import Pool


class LeafHead(nn.Module):
    """A linear map within the leaf space and two heads into the base space; names as in the public ``ex_clap.pt``.

    Args:
        width: of both spaces.
        hidden: width inside a head.
    """

    def __init__(self, width: int = 512, hidden: int = 1024) -> None:
        super().__init__()
        self.Head1 = nn.Linear(width, width)
        self.Head2 = nn.ModuleDict({name: Head(width, hidden, width) for name in ("mlp1", "mlp2")})

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, width) to (N, width), not normalised."""
        out: Tensor = self.Head2["mlp2"](self.Head2["mlp1"](self.Head1(x)))
        return out


def load_head(weights: Weights) -> LeafHead:
    """Build the head of sounds and load ``ex_clap.pt``."""
    head = LeafHead()
    load_or_seed(head, weights, "ex-head")
    return head


def load(weights: Weights, pool: Pool) -> CMCR:
    """Build Ex-MCR from its three checkpoints; without a head behind CLIP, ``pool`` changes nothing."""
    network = clap.load_network(weights)
    parts = (
        clip.CLIP(clip.load_network(weights), pool=pool),
        clap.CLAP(network, load_head(weights), mel=clap.mel_of(network)),
    )
    digest = state_digest(nn.ModuleList(parts))
    return CMCR(*parts, name=f"ex-mcr{'-seeded' if weights.seeded else ''}@{digest}")
