"""The encoders that are known by name. Importing this module loads no network library."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

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
        rates: module and name of what reads the two from the weights; None where they do not depend on these.
    """

    load: str
    modalities: tuple[str, ...]
    files: tuple[str, ...]
    bundle: Path | None = None
    baseline: tuple[str, ...] = ()
    sample_rate: int = 48_000
    frame_size: int | None = None
    fps: float = 1.0
    rates: str | None = None

    def find_weights(self, weights: str | Path | None) -> Weights:
        """Find the checkpoint files of this encoder without reading them whole; see :func:`find_weights`."""
        return find_weights(self.files, weights, self.bundle)

    def build(self, weights: Weights, pool: Pool) -> "JointEncoder":
        """Build the encoder on the CPU, in float32."""
        load: Callable[[Weights, Pool], JointEncoder] = _named(self.load)
        return load(weights, pool)

    def read_rates(self, weights: Weights) -> tuple[int, float]:
        """Give sample rate and frames per second."""
        return _named(self.rates)(weights) if self.rates else (self.sample_rate, self.fps)


def _named(place: str) -> Any:
    module, name = place.split(".")
    return getattr(import_module(f"torchmetrics_majorscore.encoders.{module}"), name)


_TINY = ("config.json", "merges.txt.gz")
_ROBERTA = ("roberta-vocab", "roberta-merges")

ENCODERS = {
    "c-mcr": NamedEncoder(
        "cmcr.load", ("video", "text", "audio"), ("clip", "clap", "heads"), baseline=("clip", "clap"), frame_size=224
    ),
    "clip": NamedEncoder("clip.load", ("video", "text"), ("clip",), frame_size=224),
    "clap": NamedEncoder("clap.load", ("text", "audio"), ("any-clap", *_ROBERTA)),
    "clap-music": NamedEncoder("clap.load_music", ("text", "audio"), ("clap-music", *_ROBERTA)),
    "clap-audioset": NamedEncoder("clap.load_audioset", ("text", "audio"), ("clap-audioset", *_ROBERTA)),
    "c-mcr-tiny": NamedEncoder(
        "tiny.load",
        ("video", "text", "audio"),
        (*_TINY, "clip.safetensors", "clap.safetensors", "heads"),
        BUNDLE,
        ("clip-tiny", "clap-tiny"),
    ),
    "late-fusion": NamedEncoder(
        "late_fusion.load",
        ("video", "text", "audio", "image"),
        ("late_fusion.safetensors",),
        rates="late_fusion.read_rates",
    ),
    "clip-tiny": NamedEncoder("tiny.load_clip", ("video", "text"), (*_TINY, "clip.safetensors"), BUNDLE),
    "clap-tiny": NamedEncoder("tiny.load_clap", ("text", "audio"), (*_TINY, "clap.safetensors"), BUNDLE),
}

BACKBONES = {
    "resnet50": NamedEncoder("backbones.load_resnet50", ("image",), ("resnet50",)),
    "vggish": NamedEncoder("backbones.load_vggish", ("audio",), ("vggish",), sample_rate=16_000),
    "bert-small": NamedEncoder("backbones.load_bert_small", ("text",), ("bert-small", "bert-vocab")),
    "s3d": NamedEncoder("backbones.load_s3d", ("video",), ("s3d",), fps=15.0),
}
"""Networks of one modality, for late fusion."""
