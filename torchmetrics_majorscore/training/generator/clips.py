"""Clips that a generator is validated on: what the metrics look at and listen to, beside the features."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from torchmetrics_majorscore.encoders.checkpoints import read_tensors, write_tensors
from torchmetrics_majorscore.training.world.captions import caption
from torchmetrics_majorscore.training.world.scene import SECONDS, Scene, Split
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import render_sounds

NAMES = ("frames", "sounds")


@dataclass(frozen=True)
class Clips:
    """N clips of one length, in the order of their :class:`.Features`.

    Args:
        frames: RGB, uint8, (N, T, 3, H, W).
        sounds: the true ones, float in [-1, 1], (N, S).
        captions: N texts.
        onsets: of each, the times of its events in seconds, (E,), sorted.
        ids: of each.

    Raises:
        ValueError: clips without sound, or parts that do not fit together.
    """

    frames: Tensor
    sounds: Tensor
    captions: tuple[str, ...]
    onsets: tuple[Tensor, ...]
    ids: tuple[str, ...]

    def __post_init__(self) -> None:
        silent = len(self.ids) - int(self.sounds.ne(0).any(dim=-1).sum()) if self.sounds.numel() else len(self.ids)
        if silent:
            raise ValueError(
                f"Expected clips with their true sounds to validate on, got {silent} of {len(self.ids)} without: "
                "KL, FD and onsets compare with them."
            )
        counts = {name: len(value) for name, value in vars(self).items()}
        if len(set(counts.values())) > 1:
            raise ValueError(f"Expected as many of each part of the clips, got {counts}.")

    def write(self, path: Path) -> None:
        """Write a safetensors file."""
        texts = {"captions": self.captions, "onsets": [times.tolist() for times in self.onsets], "ids": self.ids}
        metadata = {name: json.dumps(value) for name, value in texts.items()}
        write_tensors(path, {"frames": self.frames, "sounds": self.sounds}, metadata)


def read_clips(path: Path) -> Clips:
    """Read what :meth:`Clips.write` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it lacks something.
    """
    from safetensors import safe_open

    tensors = read_tensors(path)
    with safe_open(path, "pt") as file:
        texts = {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
    if missing := [name for name in NAMES if name not in tensors] + [
        name for name in ("captions", "onsets", "ids") if name not in texts
    ]:
        raise ValueError(f"Expected {path} to hold clips to validate on, got no {', '.join(missing)}.")
    onsets = tuple(torch.tensor(times, dtype=torch.float64) for times in texts["onsets"])
    return Clips(tensors["frames"], tensors["sounds"], tuple(texts["captions"]), onsets, tuple(texts["ids"]))


def render_clips(scenes: Sequence[Scene], split: Split, fps: float = 25.0) -> Clips:
    """Render scenes of the embedded world to validate on.

    Args:
        scenes: what is seen and heard.
        split: whose wordings the captions have.
        fps: frames per second.
    """
    times = [torch.from_numpy(scene.events()) for scene in scenes]
    return Clips(
        render_frames(scenes, fps),
        render_sounds(scenes),
        tuple(caption(scene, split) for scene in scenes),
        tuple(own[(own >= 0.0) & (own < SECONDS)] for own in times),
        tuple(scene.id for scene in scenes),
    )
