"""What a network is: frozen, it gives features of a sound and, where it classifies, logits of its classes."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor

Encoded = Mapping[str, Tensor | list[Tensor]]
"""What a network makes of a batch: ``"features"``, (B, D) or a list of B tensors (W_i, D), and perhaps ``"logits"``."""


class FeatureNetwork(Protocol):
    """A frozen network that hears a sound.

    It may have ``shortest``, an int: samples below which it takes no sound. Such sounds get NaN, with a remark.
    """

    name: str
    """Name with the digest of the weights, for example ``panns@1a2b3c4d``."""
    sample_rate: int
    """Rate in Hz at which ``encode_audio`` takes waveforms."""

    def encode_audio(self, batch: Sequence[Tensor]) -> Encoded:
        """Hear a batch. What is made of a sample must not depend on its neighbours.

        Args:
            batch: mono waveforms (S,), float32 in [-1, 1], at ``sample_rate``, on the network's device.

        Returns:
            ``"features"``: float32, (B, D), or a list of B tensors (W_i, D) of a network with several vectors per
            sample. ``"logits"``: (B, C), where the network classifies.
        """
        ...
