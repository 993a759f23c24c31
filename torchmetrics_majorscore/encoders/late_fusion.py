"""The encoder ``late-fusion``: four modalities in one space, by heads that ``majorscore fuse`` has trained.

Its folder of weights holds ``late_fusion.safetensors``, the heads with their recipe, and of the embedded world also
``motion.safetensors``, its video network. The other backbones are encoders of the table, or networks of kept libraries,
found in that folder, where they were when the heads were trained, in this package or by download; each has to have the
digest that the heads were trained on.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders.base import in_micro_batches, load_strictly
from torchmetrics_majorscore.encoders.checkpoints import Weights, read_tensors
from torchmetrics_majorscore.encoders.fusion_heads import build_heads
from torchmetrics_majorscore.encoders.handle import state_digest
from torchmetrics_majorscore.encoders.motion import MotionNetwork, MotionOptions
from torchmetrics_majorscore.encoders.table import BACKBONES, ENCODERS, Pool

ROWS_PER_CALL = 8
MOTION = "motion-tiny"
HEADS = "late_fusion.safetensors"


class LateFusion(nn.Module):
    """Backbones with a head each.

    Args:
        backbones: their encoders by name; two modalities may share one.
        of: modality to the name of its backbone.
        heads: modality to its head.
        name: name with the digest of the weights.
    """

    modalities = ("video", "text", "audio", "image")

    def __init__(self, backbones: nn.ModuleDict, of: dict[str, str], heads: nn.ModuleDict, name: str) -> None:
        super().__init__()
        self.backbones: Any = backbones
        self.of, self.heads, self.name = of, heads, name
        audio: Any = backbones[of["audio"]]
        self.sample_rate: int = audio.sample_rate
        self.fps: float = getattr(backbones[of["video"]], "fps", 1.0)
        self.eval().requires_grad_(False)

    def encode_text(self, batch: Sequence[str]) -> Tensor:
        """Encode captions; unit vectors (B, dim)."""
        return self._project("text", self.backbones[self.of["text"]].encode_text(batch))

    def encode_image(self, batch: Sequence[Tensor]) -> Tensor:
        """Encode pictures (3, H, W), for a backbone of videos each as one of one frame; unit vectors (B, dim)."""
        backbone = self.backbones[self.of["image"]]
        if not hasattr(backbone, "encode_image"):
            return self._project("image", backbone.encode_video([picture[None] for picture in batch]))
        return self._project("image", backbone.encode_image(batch))

    def encode_audio(self, batch: Sequence[Tensor]) -> Tensor:
        """Encode waveforms (S,) at ``sample_rate``; unit vectors (B, dim)."""
        return self._project("audio", self.backbones[self.of["audio"]].encode_audio(batch))

    def encode_video(self, batch: Sequence[Tensor]) -> Tensor:
        """Encode videos (T, 3, H, W) at ``fps``; unit vectors (B, dim).

        Raises:
            ValueError: a video of less than a second, or, more likely, frames picked at another rate.
        """
        for frames in batch:
            if len(frames) < self.fps:
                raise ValueError(
                    f"Expected at least a second of video at {self.fps:g} frames per second, got {len(frames)} frames; "
                    "were they picked at 1 per second, as for other encoders?"
                )
        return self._project("video", self.backbones[self.of["video"]].encode_video(batch))

    def _project(self, name: str, rows: Tensor) -> Tensor:
        return normalize(in_micro_batches(self.heads[name], rows, ROWS_PER_CALL), dim=-1)


def load(weights: Weights, pool: Pool) -> LateFusion:
    """Build the encoder of a folder that ``majorscore fuse`` wrote.

    Raises:
        ValueError: heads of other modalities or widths, or backbones with other weights than they were trained on.
        FileNotFoundError: weights of a backbone are nowhere.
    """
    path = weights.path(HEADS)
    recipe = _recipe(path)
    lost = [name for name in LateFusion.modalities if name not in recipe["widths"]]
    if lost:
        known = ", ".join(recipe["widths"])
        raise ValueError(f"Expected heads for {', '.join(LateFusion.modalities)} in {path}, got those for {known}.")
    heads = build_heads(recipe["widths"], recipe["options"]["dim"])
    load_strictly(heads, weights.read(HEADS), path.name)
    of = _names(recipe)
    encoders: dict[str, Any] = {}
    for modality, name in of.items():
        if name not in encoders:
            encoders[name] = _build(name, weights, recipe.get("weights", {}).get(modality), pool)
        got, full = encoders[name].name, recipe["backbones"][modality]
        if got != full:
            raise ValueError(f"Expected {full} as the backbone of {modality}, as for {path}, got {got}.")
    digest = state_digest(nn.ModuleList([heads, *encoders.values()]))
    seeded = "-seeded" if any("-seeded@" in full for full in recipe["backbones"].values()) else ""
    return LateFusion(nn.ModuleDict(encoders), of, heads, f"late-fusion{seeded}@{digest}")


def read_rates(weights: Weights) -> tuple[int, float]:
    """Give the sample rate and the frames per second that the backbones of a folder take."""
    known, of = ENCODERS | BACKBONES, _names(_recipe(weights.path(HEADS)))
    audio, video = (known.get(of.get(name, "")) for name in ("audio", "video"))
    # What is no backbone is refused when the encoder is built.
    return audio.sample_rate if audio else 0, video.fps if video else MotionOptions().fps


def _names(recipe: dict[str, Any]) -> dict[str, str]:
    """Give the names of the backbones in the tables."""
    return {name: full.partition("@")[0].removesuffix("-seeded") for name, full in recipe["backbones"].items()}


def _build(name: str, weights: Weights, recorded: str | None, pool: Pool) -> Any:
    """Build a backbone with the weights in the folder, or else those that were recorded, or that it has by name."""
    if name == MOTION:
        return _build_motion(weights)
    if name not in ENCODERS | BACKBONES:
        raise ValueError(f"Expected a backbone out of {', '.join(ENCODERS | BACKBONES)}, or {MOTION}, got {name}.")
    entry = (ENCODERS | BACKBONES)[name]
    for place in (weights.folder, recorded):
        try:
            found = entry.find_weights(place)
        except FileNotFoundError:
            continue
        break
    else:
        found = entry.find_weights(None)
    return entry.build(found, pool)


def _build_motion(weights: Weights) -> MotionNetwork:
    path = Path(str(weights.folder)) / "motion.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"The weights folder {path.parent} lacks {path.name}.")
    motion = MotionNetwork(MotionOptions())
    load_strictly(motion, read_tensors(path), path.name)
    motion.eval()
    motion.name = f"{MOTION}@{state_digest(motion)}"
    return motion


def _recipe(path: Path) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        text = (file.metadata() or {}).get("recipe")
    if text is None:
        raise ValueError(f"Expected heads with their recipe, as `majorscore fuse` writes them, got {path} without.")
    recipe: dict[str, Any] = json.loads(text)
    return recipe
