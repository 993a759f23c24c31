"""The encoders that are known by name. Importing this module loads no network library."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from torchmetrics_majorscore.encoders.checkpoints import Weights, find_weights

if TYPE_CHECKING:
    from torchmetrics_majorscore.encoders.base import JointEncoder

Pool = Literal["after_head", "before_head"]


@dataclass(frozen=True)
class NamedEncoder:
    """How an encoder of the table is found and built."""

    module: str
    modalities: tuple[str, ...]
    files: tuple[str, ...]
    sample_rate: int = 48_000

    def find_weights(self, weights: str | Path | None) -> Weights:
        """Find the checkpoint files of this encoder without reading them whole; see :func:`find_weights`."""
        return find_weights(self.files, weights)

    def build(self, weights: Weights, pool: Pool) -> "JointEncoder":
        """Build the encoder on the CPU: ``load(weights, pool)`` of its module."""
        module = import_module(f"torchmetrics_majorscore.encoders.{self.module}")
        load: Callable[[Weights, Pool], JointEncoder] = module.load
        return load(weights, pool)


ENCODERS = {
    "c-mcr": NamedEncoder("cmcr", ("video", "text", "audio"), ("clip", "clap", "heads")),
    "clip": NamedEncoder("clip", ("video", "text"), ("clip",)),
    "clap": NamedEncoder("clap", ("text", "audio"), ("clap", "roberta-vocab", "roberta-merges")),
}
