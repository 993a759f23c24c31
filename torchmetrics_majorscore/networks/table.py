"""The networks that are known by name. Importing this module loads no network library."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from torchmetrics_majorscore.encoders.checkpoints import Weights, find_weights

if TYPE_CHECKING:
    from torchmetrics_majorscore.networks.base import FeatureNetwork


@dataclass(frozen=True)
class NamedNetwork:
    """How a network of the table is found and built.

    Args:
        load: module and name of its loader, which takes weights.
        files: keys of its checkpoint files, see :func:`.find_weights`.
        sample_rate: of its waveforms, in Hz.
        features: width of its feature vectors.
        classes: number of its logits; 0 if it has none.
        bundle: folder in this package with its weights; None if they are downloaded.
    """

    load: str
    files: tuple[str, ...]
    sample_rate: int
    features: int
    classes: int = 0
    bundle: Path | None = None

    def find_weights(self, weights: str | Path | None) -> Weights:
        """Find the checkpoint files of this network without reading them whole; see :func:`.find_weights`."""
        return find_weights(self.files, weights, self.bundle)

    def build(self, weights: Weights) -> "FeatureNetwork":
        """Build the network on the CPU, in float32."""
        module, name = self.load.split(".")
        load: Callable[[Weights], FeatureNetwork]
        load = getattr(import_module(f"torchmetrics_majorscore.networks.{module}"), name)
        return load(weights)


@dataclass(frozen=True)
class NamedSync(NamedNetwork):
    """How a network that compares sound and frames is found and built.

    Args:
        fps: at which it takes frames.
        shortest: seconds of sound and video that a clip must have.
        slowest: frames per second below which it compares no video; 0 where the published protocol takes any.
        column: of its values.
    """

    fps: int = 25
    shortest: float = 4.8
    slowest: float = 0.0
    column: str = "desync"


NETWORKS: dict[str, NamedNetwork] = {
    "panns": NamedNetwork("panns.load", ("panns",), 16_000, 2048, 527),
    "vggish": NamedNetwork("vggish.load", ("vggish",), 16_000, 128),
    "passt": NamedNetwork("passt.load", ("passt",), 32_000, 768, 527),
}
SYNC = {
    "synchformer": NamedSync("synchformer.load", ("synchformer",), 16_000, 768, 21),
    "sync-tiny": NamedSync(
        "sync_tiny.load",
        ("sync-tiny.safetensors",),
        16_000,
        64,
        21,
        Path(__file__).with_name("sync-tiny"),
        shortest=1.0,
        slowest=24.9,
        column="desync_tiny",
    ),
}
"""For :func:`.load_sync`: they see frames as well, so no metric of sounds alone takes one."""
