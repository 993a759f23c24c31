"""What loaders of networks have in common: weights of a checkpoint or seeded ones, and the name that says which."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from torchmetrics_majorscore.encoders.base import load_or_seed, load_strictly
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.handle import state_digest

Load = Callable[[Any, dict[str, Tensor], str], None]


def fill(network: Any, weights: Weights, name: str, load: Load = load_strictly) -> None:
    """Load a network's checkpoint into it, or seeded numbers, and name it.

    Args:
        network: an ``nn.Module`` whose tensors have the names of the checkpoint's.
        weights: where the checkpoint comes from.
        name: of the network, which is the key of its checkpoint.
        load: takes the network, the checkpoint's tensors and its name; for files that need more than to be loaded.

    Raises:
        ValueError: the checkpoint has other tensors.
        FileNotFoundError: there is no checkpoint.
    """
    load_or_seed(network, weights, name, load)
    network.name = f"{name}{'-seeded' if weights.seeded else ''}@{state_digest(network)}"
