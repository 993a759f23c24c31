"""The encoders that are known by name. Importing this module loads no network library."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torchmetrics_majorscore.encoders.checkpoints import Weights, find_weights
from torchmetrics_majorscore.encoders.public import CHECKPOINTS, PE_AV, PE_AV_FILES

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
        per_pair: see :class:`.JointEncoder`.
        variant: which one of a family, for its loader; "" for an encoder that is none.
        rates: module and name of what reads sample_rate and fps from the weights; None where they do not depend on
            these.
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
    per_pair: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    variant: str = ""
    rates: str | None = None

    def find_weights(self, weights: str | Path | None) -> Weights:
        """Find the checkpoint files of this encoder without reading them whole; see :func:`find_weights`."""
        return find_weights(self.files, weights, self.bundle)

    def build(self, weights: Weights, pool: Pool) -> "JointEncoder":
        """Build the encoder on the CPU, in float32."""
        load: Callable[..., JointEncoder] = _named(self.load)
        return load(weights, pool, self.variant) if self.variant else load(weights, pool)

    def read_rates(self, weights: Weights) -> tuple[int, float]:
        """Give sample rate and frames per second."""
        return _named(self.rates)(weights) if self.rates else (self.sample_rate, self.fps)


def _named(place: str) -> Any:
    module, name = place.split(".")
    return getattr(import_module(f"torchmetrics_majorscore.encoders.{module}"), name)


PE_AV_FPS = 25.0
"""PE-AV sees every frame, or 16 of all; its sounds have 25 positions a second."""
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
    "ex-mcr": NamedEncoder(
        "ex_mcr.load",
        ("video", "text", "audio"),
        ("clip", "clap", "ex-head"),
        baseline=("clip", "clap"),
        frame_size=224,
        dimension=512,
    ),
    "wav2clip": NamedEncoder(
        "wav2clip.load",
        ("video", "text", "audio"),
        ("clip", "wav2clip"),
        baseline=("clip", "clap"),
        sample_rate=16_000,
        frame_size=224,
        dimension=512,
    ),
    **{
        name: NamedEncoder(
            "pe_av.load",
            ("video", "text", "audio"),
            tuple(f"{name}/{file}" for file in PE_AV_FILES),
            fps=PE_AV_FPS,
            dimension=1024,
            per_pair={"text": ("video", "audio")},
            variant=name,
        )
        for name in PE_AV
    },
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
    "connected": NamedEncoder("connected.load", ("video", "text", "audio"), ("clap_clip.safetensors",)),
    "late-fusion": NamedEncoder(
        "late_fusion.load",
        ("video", "text", "audio", "image"),
        ("late_fusion.safetensors",),
        rates="late_fusion.read_rates",
    ),
    "clip-tiny": NamedEncoder("tiny.load_clip", ("video", "text"), (*_TINY, "clip.safetensors"), BUNDLE, dimension=128),
    "clap-tiny": NamedEncoder("tiny.load_clap", ("text", "audio"), (*_TINY, "clap.safetensors"), BUNDLE, dimension=128),
}

BACKBONES = {
    "resnet50": NamedEncoder("backbones.load_resnet50", ("image",), ("resnet50",), dimension=2048),
    "vggish": NamedEncoder("backbones.load_vggish", ("audio",), ("vggish",), sample_rate=16_000, dimension=128),
    "bert-small": NamedEncoder("backbones.load_bert_small", ("text",), ("bert-small", "bert-vocab"), dimension=512),
    "s3d": NamedEncoder("backbones.load_s3d", ("video",), ("s3d",), fps=15.0, dimension=1024),
}
"""Networks of one modality, for late fusion."""


@dataclass(frozen=True)
class Adapter:
    """What is known of a model whose module the user brings, since the package may not, or need not, load it.

    Args:
        home: module and name of the class that takes the module.
        modalities: the names of its modalities.
        dimension: of its embeddings.
        licence: of the public weights.
        megabytes: of the public weights; 0 if unknown.
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
    "languagebind": Adapter(
        "languagebind.LanguageBind",
        ("video", "text", "audio", "image"),
        768,
        "MIT",
        0,
        "https://huggingface.co/LanguageBind",
    ),
}

FAMILIES = {
    "clip": "clip:NAME or clip:NAME/PRETRAINED of open_clip",
    "clap": "clap:CHECKPOINT of laion_clap",
}
"""What stands in front of a colon, to the names of that family."""


def find_encoder(name: str) -> NamedEncoder:
    """Give the encoder of a name: an entry of :data:`ENCODERS` or :data:`BACKBONES`, or one of a family.

    Raises:
        ValueError: an unknown name.
    """
    family, _, variant = name.partition(":")
    if family == "clip" and variant:
        return NamedEncoder("any_clip.load", ("video", "text"), (name,), variant=variant)
    if family == "clap" and variant and name in CHECKPOINTS:
        return NamedEncoder("clap.load_variant", ("text", "audio"), (name, *_ROBERTA), dimension=512, variant=variant)
    if family == "clap" and variant:
        known = ", ".join(key.partition(":")[2] for key in CHECKPOINTS if key.startswith("clap:"))
        raise ValueError(f"Expected a checkpoint of laion_clap after 'clap:', one of {known}, got {variant!r}.")
    if name not in ENCODERS | BACKBONES:
        known = f"{', '.join(ENCODERS)}, {', '.join(FAMILIES.values())}"
        raise ValueError(f"Expected encoder to be one of {known}, or an encoder object, got {name!r}.")
    return (ENCODERS | BACKBONES)[name]
