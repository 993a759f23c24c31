"""Frozen networks that hear a sound: features and class logits. Nothing heavy is imported before one is built."""

from torchmetrics_majorscore.networks.base import FeatureNetwork
from torchmetrics_majorscore.networks.shared import Network, SharedNetwork, load_network
from torchmetrics_majorscore.networks.table import NETWORKS
from torchmetrics_majorscore.networks.zero_shot import zero_shot_network

__all__ = ["NETWORKS", "FeatureNetwork", "Network", "SharedNetwork", "load_network", "zero_shot_network"]
