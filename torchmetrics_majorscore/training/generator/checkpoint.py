"""A trained generator as one file: its averaged weights in half precision, with its sizes."""

import dataclasses
import json
from pathlib import Path

import torch

from torchmetrics_majorscore.encoders.base import load_strictly
from torchmetrics_majorscore.encoders.checkpoints import read_tensors, write_tensors
from torchmetrics_majorscore.training.generator.network import GeneratorNetwork
from torchmetrics_majorscore.training.generator.sizes import GeneratorSizes

BUNDLE = Path(__file__).with_name("generator-tiny") / "generator.safetensors"
"""The generator of the embedded world that is in this package; ``curve.json`` beside it is of its training."""


def save_generator(network: GeneratorNetwork, path: Path) -> None:
    """Write a network's weights and sizes.

    Args:
        network: as :meth:`.PowerAverage.inside` gives it.
        path: of the safetensors file.
    """
    tensors = {name: value.detach().cpu().half() for name, value in network.state_dict().items()}
    write_tensors(path, tensors, {"sizes": json.dumps(dataclasses.asdict(network.sizes))})


def load_generator(path: Path = BUNDLE, sizes: GeneratorSizes | None = None) -> GeneratorNetwork:
    """Build a network out of a file that :func:`save_generator` wrote.

    Args:
        path: of the file; by default the generator of the embedded world, which knows nothing else.
        sizes: that it must have; None for any.

    Returns:
        The network in eval mode, float32.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file, or of other sizes.
    """
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        kept = (file.metadata() or {}).get("sizes")
    if kept is None:
        raise ValueError(f"Expected {path} to be a generator, got a file that says no sizes.")
    own = GeneratorSizes(**json.loads(kept))
    check_sizes(own, sizes or own)
    with torch.device("meta"):
        network = GeneratorNetwork(own)
    network = network.to_empty(device="cpu")
    load_strictly(network, read_tensors(path), path.name)
    return network.eval().requires_grad_(False)


def check_sizes(kept: GeneratorSizes, own: GeneratorSizes) -> None:
    """Raise ValueError if a checkpoint is of other sizes than the network; the message names what differs."""
    pairs = {name: (value, getattr(own, name)) for name, value in dataclasses.asdict(kept).items()}
    if other := [f"{name} {a} where {b} is asked for" for name, (a, b) in pairs.items() if a != b]:
        raise ValueError(f"Expected a checkpoint of the network's sizes, got one of {', '.join(other)}.")
