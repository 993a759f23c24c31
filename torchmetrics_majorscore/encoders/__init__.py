"""Frozen networks: raw tensors to unit-norm embeddings. Importing it loads nothing, not even torch."""

from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.lazy import load

if TYPE_CHECKING:
    from torchmetrics_majorscore.encoders.base import JointEncoder
    from torchmetrics_majorscore.encoders.shared import Encoder, SharedEncoder, load_encoder
    from torchmetrics_majorscore.encoders.table import ENCODERS

__all__ = ["ENCODERS", "Encoder", "JointEncoder", "SharedEncoder", "load_encoder"]
_HOMES = dict.fromkeys(__all__, "shared") | {"ENCODERS": "table", "JointEncoder": "base"}


def __getattr__(name: str) -> Any:
    return load(__name__, _HOMES, name)
