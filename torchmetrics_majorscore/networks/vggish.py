"""VGGish as a network of the table: ``vggish-10086976.pth``."""

from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.vggish import VGGish, load_without_pca
from torchmetrics_majorscore.networks.loading import fill


def load(weights: Weights) -> VGGish:
    """Build VGGish and load its public file."""
    network = VGGish()
    fill(network, weights, "vggish", load_without_pca)
    return network
