"""Frozen networks that hear a sound: features and class logits. Importing it loads nothing, not even torch."""

from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.lazy import load

if TYPE_CHECKING:
    from torchmetrics_majorscore.networks.base import FeatureNetwork
    from torchmetrics_majorscore.networks.shared import Network, SharedNetwork, load_network
    from torchmetrics_majorscore.networks.table import NETWORKS
    from torchmetrics_majorscore.networks.zero_shot import zero_shot_network

__all__ = ["NETWORKS", "FeatureNetwork", "Network", "SharedNetwork", "load_network", "zero_shot_network"]
_HOMES = dict.fromkeys(__all__, "shared") | {
    "NETWORKS": "table",
    "FeatureNetwork": "base",
    "zero_shot_network": "zero_shot",
}


def __getattr__(name: str) -> Any:
    return load(__name__, _HOMES, name)
