"""What the examples score: clips of the embedded world, and a stand-in for a model that generates their sound."""

from typing import Any
from zlib import crc32

import torch
from torch import Tensor

from torchmetrics_majorscore.training.world.captions import caption
from torchmetrics_majorscore.training.world.scene import draw_scenes
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import SAMPLE_RATE, render_sounds

__all__ = ["COUNT", "FPS", "SAMPLE_RATE", "generate", "make_clips"]
COUNT, FPS = 13, 1.0  # an odd count, which two processes cannot share evenly


def make_clips() -> list[dict[str, Any]]:
    """Render clips under the names that ``update`` gives them; yours come from files."""
    scenes = draw_scenes(range(COUNT), seed=0, split="test")
    texts, ids = [caption(scene, "test") for scene in scenes], [scene.id for scene in scenes]
    columns = zip(render_frames(scenes, FPS), texts, render_sounds(scenes), ids, strict=True)
    return [{"video": v, "text": t, "audio": a, "ids": i} for v, t, a, i in columns]


def generate(batch: dict[str, Any]) -> Tensor:
    """Stand in for a video-to-audio model: true sounds under noise that is the clip's, whatever rank draws it."""
    seeds = [torch.Generator().manual_seed(crc32(name.encode())) for name in batch["ids"]]
    noise = torch.stack([torch.randn(batch["audio"].shape[-1], generator=seed) for seed in seeds])
    return (batch["audio"] + 0.1 * noise.to(batch["audio"].device)).clamp(-1, 1)
