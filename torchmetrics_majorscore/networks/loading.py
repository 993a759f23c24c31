"""What loaders of networks have in common: weights of a checkpoint or seeded ones, and the name that says which."""

from typing import Any

from torchmetrics_majorscore.encoders.base import load_strictly, seed_weights
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.handle import state_digest


def fill(network: Any, weights: Weights, name: str) -> None:
    """Load a network's checkpoint into it, or seeded numbers, and name it.

    Args:
        network: an ``nn.Module`` whose tensors have the names of the checkpoint's.
        weights: where the checkpoint comes from.
        name: of the network, which is the key of its checkpoint.

    Raises:
        ValueError: the checkpoint has other tensors.
        FileNotFoundError: there is no checkpoint.
    """
    if weights.seeded and not weights.folder:
        seed_weights(network)
    else:
        load_strictly(network, weights.read(name), weights.path(name).name)
    network.name = f"{name}{'-seeded' if weights.seeded else ''}@{state_digest(network)}"
