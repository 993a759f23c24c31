"""Frozen networks: raw tensors to unit-norm embeddings. Nothing heavy is imported before an encoder is built."""

from torchmetrics_majorscore.encoders.base import JointEncoder
from torchmetrics_majorscore.encoders.shared import Encoder, SharedEncoder, load_encoder
from torchmetrics_majorscore.encoders.table import ENCODERS

__all__ = ["ENCODERS", "Encoder", "JointEncoder", "SharedEncoder", "load_encoder"]
