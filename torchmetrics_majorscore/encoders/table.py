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
Precision = Literal["float32", "bf16"]

BUNDLE = Path(__file__).parent / "c-mcr-tiny"


@dataclass(frozen=True)
class NamedEncoder:
    """How an encoder of the table is found and built.

    Args:
        load: module and name of its loader, which takes weights and pool.
        modalities: the names of its modalities.
        files: keys of its checkpoint files, see :func:`find_weights`.
        bundle: folder in this package with its weights; None if they are downloaded.
        baseline: names of the encoders of CLIPCLAP beside it; empty for those that are no joint encoder.
        sample_rate: of its waveforms, in Hz.
        frame_size: height and width to which it resizes and crops frames; None if it wants to see them as they are.
        fps: frames that it sees of a second of video.
        dimension: of its embeddings; None if its weights say.
    """

    load: str
    modalities: tuple[str, ...]
    files: tuple[str, ...]
    bundle: Path | None = None
    baseline: tuple[str, ...] = ()
    sample_rate: int = 48_000
    frame_size: int | None = None
    fps: float = 1.0
    dimension: int | None = None

    def find_weights(self, weights: str | Path | None) -> Weights:
        """Find the checkpoint files of this encoder without reading them whole; see :func:`find_weights`."""
        return find_weights(self.files, weights, self.bundle)

    def build(self, weights: Weights, pool: Pool) -> "JointEncoder":
        """Build the encoder on the CPU, in float32."""
        module, name = self.load.split(".")
        load: Callable[[Weights, Pool], JointEncoder]
        load = getattr(import_module(f"torchmetrics_majorscore.encoders.{module}"), name)
        return load(weights, pool)


_TINY = ("config.json", "merges.txt.gz")
_ROBERTA = ("roberta-vocab", "roberta-merges")

ENCODERS = {
    "c-mcr": NamedEncoder(
        "cmcr.load",
        ("video", "text", "audio"),
        ("clip", "clap", "heads"),
        baseline=("clip", "clap"),
        frame_size=224,
        dimension=512,
    ),
    "clip": NamedEncoder("clip.load", ("video", "text"), ("clip",), frame_size=224, dimension=512),
    "clap": NamedEncoder("clap.load", ("text", "audio"), ("any-clap", *_ROBERTA), dimension=512),
    "clap-music": NamedEncoder("clap.load_music", ("text", "audio"), ("clap-music", *_ROBERTA), dimension=512),
    "clap-audioset": NamedEncoder("clap.load_audioset", ("text", "audio"), ("clap-audioset", *_ROBERTA), dimension=512),
    "c-mcr-tiny": NamedEncoder(
        "tiny.load",
        ("video", "text", "audio"),
        (*_TINY, "clip.safetensors", "clap.safetensors", "heads"),
        BUNDLE,
        ("clip-tiny", "clap-tiny"),
        dimension=128,
    ),
    "late-fusion": NamedEncoder(
        "late_fusion.load",
        ("video", "text", "audio", "image"),
        ("late_fusion.safetensors", "motion.safetensors"),
        fps=8.0,
    ),
    "clip-tiny": NamedEncoder("tiny.load_clip", ("video", "text"), (*_TINY, "clip.safetensors"), BUNDLE, dimension=128),
    "clap-tiny": NamedEncoder("tiny.load_clap", ("text", "audio"), (*_TINY, "clap.safetensors"), BUNDLE, dimension=128),
}


@dataclass(frozen=True)
class Adapter:
    """What is known of a model whose module the user brings, since the package may not, or need not, load it.

    Args:
        home: module and name of the class that takes the module.
        modalities: the names of its modalities.
        dimension: of its embeddings.
        licence: of the public weights.
        megabytes: of the public weights.
        address: where they are.
    """

    home: str
    modalities: tuple[str, ...]
    dimension: int
    licence: str
    megabytes: float
    address: str


ADAPTERS = {
    "imagebind": Adapter(
        "imagebind.ImageBind",
        ("video", "text", "audio"),
        1024,
        "CC-BY-NC-SA-4.0",
        4803,
        "https://dl.fbaipublicfiles.com/imagebind/imagebind_huge.pth",
    ),
}
