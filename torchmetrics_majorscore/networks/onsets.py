"""The detector of onsets as a network: it hears a sound and gives a row of zeros, and below it a row for each onset."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchmetrics_majorscore.functional.onset_detection import SAMPLE_RATE, Onsets, Protocol, detect_onsets
from torchmetrics_majorscore.networks.base import Encoded
from torchmetrics_majorscore.networks.shared import SharedNetwork, load_network

ONSETS = "onsets"
"""Its name beside networks that classify."""
HEARD = {"strict": None, "mmaudio": 8.0}
"""Seconds of a sound in which onsets are looked for, from its start; None for all of it."""


class OnsetDetector:
    """A :class:`.FeatureNetwork` without weights: features (1 + T, 3) of a sound with T onsets, :func:`.detect_onsets`.

    Args:
        protocol: see :func:`.detect_onsets`.
    """

    sample_rate = SAMPLE_RATE

    def __init__(self, protocol: Protocol) -> None:
        self.protocol: Protocol = protocol
        self.name = f"onsets-{protocol}"

    def encode_audio(self, batch: Sequence[Tensor]) -> Encoded:
        """Find the onsets of mono waveforms (S,): place in samples, which float32 holds, confidence and level."""
        found = [detect_onsets(waveform, protocol=self.protocol) for waveform in batch]
        rows = [torch.stack([(f.times * SAMPLE_RATE).round(), *f[1:]], dim=-1).float() for f in found]
        return {"features": [torch.cat([one.new_zeros(1, 3), one]) for one in rows]}


def as_onsets(features: Tensor) -> Onsets | None:
    """Give what stands in the features (1 + T, 3) of a sound, apart from rows of NaN; None if there are no others."""
    rows = features[features.isfinite().all(dim=-1)]
    if not len(rows):
        return None
    places, confidence, level = rows[1:].double().unbind(dim=-1)
    return Onsets(places / SAMPLE_RATE, confidence, level)


def load_onsets(protocol: Protocol) -> SharedNetwork:
    """Give a handle on the detector."""
    return load_network(OnsetDetector(protocol), seconds=HEARD[protocol])


def protocol_of(network: SharedNetwork) -> Protocol:
    """Give the protocol of what :func:`load_onsets` gave."""
    detector: Any = network.on(torch.device("cpu"))
    protocol: Protocol = detector.protocol
    return protocol
