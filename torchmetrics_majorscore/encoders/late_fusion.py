"""The encoder ``late-fusion``: four modalities in one space, by heads that ``majorscore fuse`` has trained.

Its folder of weights holds ``late_fusion.safetensors``, the heads with their recipe, and ``motion.safetensors``, the
video network. The other backbones are encoders of the table, found in that folder, in this package or by download; each
has to have the digest that the heads were trained on.
"""

import json
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders.base import in_micro_batches, load_strictly
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.fusion_heads import build_heads
from torchmetrics_majorscore.encoders.handle import state_digest
from torchmetrics_majorscore.encoders.motion import MotionNetwork, MotionOptions
from torchmetrics_majorscore.encoders.table import ENCODERS, Pool

ROWS_PER_CALL = 8
MOTION = "motion-tiny"


class LateFusion(nn.Module):
    """Backbones with a head each.

    Args:
        backbones: names of text's, image's and audio's encoders to them; two modalities may share one.
        motion: the video network.
        of: modality to the name of its backbone.
        heads: modality to its head.
        name: name with the digest of the weights.
    """

    modalities = ("video", "text", "audio", "image")

    def __init__(
        self, backbones: nn.ModuleDict, motion: MotionNetwork, of: dict[str, str], heads: nn.ModuleDict, name: str
    ) -> None:
        super().__init__()
        self.backbones: Any = backbones
        self.motion, self.of, self.heads, self.name = motion, of, heads, name
        audio: Any = backbones[of["audio"]]
        self.sample_rate: int = audio.sample_rate
        self.fps = motion.options.fps
        self.eval().requires_grad_(False)

    def encode_text(self, batch: Sequence[str]) -> Tensor:
        """Encode captions; unit vectors (B, dim)."""
        return self._project("text", self.backbones[self.of["text"]].encode_text(batch))

    def encode_image(self, batch: Sequence[Tensor]) -> Tensor:
        """Encode pictures (3, H, W), each as a video of one frame; unit vectors (B, dim)."""
        frames = [picture[None] for picture in batch]
        return self._project("image", self.backbones[self.of["image"]].encode_video(frames))

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
        return self._project("video", self.motion.encode(batch))

    def _project(self, name: str, rows: Tensor) -> Tensor:
        return normalize(in_micro_batches(self.heads[name], rows, ROWS_PER_CALL), dim=-1)


def load(weights: Weights, pool: Pool) -> LateFusion:
    """Build the encoder of a folder that ``majorscore fuse`` wrote.

    Raises:
        ValueError: heads of other modalities or widths, or backbones with other weights than they were trained on.
    """
    path = weights.path("late_fusion.safetensors")
    recipe = _recipe(path)
    lost = [name for name in LateFusion.modalities if name not in recipe["widths"]]
    if lost:
        known = ", ".join(recipe["widths"])
        raise ValueError(f"Expected heads for {', '.join(LateFusion.modalities)} in {path}, got those for {known}.")
    heads = build_heads(recipe["widths"], recipe["options"]["dim"])
    load_strictly(heads, weights.read("late_fusion.safetensors"), path.name)
    motion = MotionNetwork(MotionOptions())
    load_strictly(motion, weights.read("motion.safetensors"), weights.path("motion.safetensors").name)
    motion.eval()
    of = {name: full.partition("@")[0] for name, full in recipe["backbones"].items()}
    encoders: dict[str, Any] = {
        name: _build(name, weights, pool) for name in dict.fromkeys(of.values()) if name != MOTION
    }
    got = {name: encoder.name for name, encoder in encoders.items()} | {MOTION: f"{MOTION}@{state_digest(motion)}"}
    for name, full in recipe["backbones"].items():
        if got.get(of[name]) != full:
            raise ValueError(f"Expected {full} as the backbone of {name}, as for {path}, got {got.get(of[name])}.")
    digest = state_digest(nn.ModuleList([heads, motion, *encoders.values()]))
    return LateFusion(nn.ModuleDict(encoders), motion, of, heads, f"late-fusion@{digest}")


def _build(name: str, weights: Weights, pool: Pool) -> Any:
    """Build a backbone with the weights in the folder, or else with those it has by name."""
    if name not in ENCODERS:
        raise ValueError(f"Expected a backbone out of {', '.join(ENCODERS)}, or {MOTION} for video, got {name}.")
    try:
        found = ENCODERS[name].find_weights(weights.folder)
    except FileNotFoundError:
        found = ENCODERS[name].find_weights(None)
    return ENCODERS[name].build(found, pool)


def _recipe(path: Any) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        text = (file.metadata() or {}).get("recipe")
    if text is None:
        raise ValueError(f"Expected heads with their recipe, as `majorscore fuse` writes them, got {path} without.")
    recipe: dict[str, Any] = json.loads(text)
    return recipe
