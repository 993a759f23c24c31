"""What the demo renders: clips to score, and what its generator learns from."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from torchmetrics_majorscore.demo.generator import see
from torchmetrics_majorscore.demo.voice import fold
from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.training.generator.vocoder import Vocoder
from torchmetrics_majorscore.training.world.captions import caption, describe
from torchmetrics_majorscore.training.world.scene import Scene, Split
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import render_sounds

FPS = 1.0  # all that the metric and the generator look at
AT_ONCE = 16


class Clips(Dataset[dict[str, Any]]):
    """Rendered scenes as samples of a validation run.

    Args:
        scenes: what to render.
        split: whose wordings the captions have.
        advance: called for each scene.
    """

    def __init__(self, scenes: Sequence[Scene], split: Split, advance: Callable[[], object]) -> None:
        self.scenes = list(scenes)
        frames, audio = [], []
        for at in range(0, len(scenes), AT_ONCE):
            part = self.scenes[at : at + AT_ONCE]
            frames.append(render_frames(part, FPS))
            audio.append(render_sounds(part))
            for _ in part:
                advance()
        self.frames, self.audio = torch.cat(frames), torch.cat(audio)
        self.text = [caption(scene, split) for scene in scenes]
        self.short = [describe(scene, "the {kind}") for scene in scenes]
        self.ids = [scene.id for scene in scenes]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {"frames": self.frames[row], "text": self.text[row], "id": self.ids[row]}


class Pairs(Dataset[dict[str, Tensor]]):
    """What the generator learns from: of each scene what CLIP sees in it, the period of its sound, and its rate.

    Args:
        scenes: what to render.
        advance: called for each scene.
    """

    def __init__(self, scenes: Sequence[Scene], advance: Callable[[], object]) -> None:
        clip, vocoder, parts = load_encoder("clip-tiny"), Vocoder(), []
        for at in range(0, len(scenes), AT_ONCE):
            part = scenes[at : at + AT_ONCE]
            parts.append((see(clip, render_frames(part, FPS)), *fold(vocoder.analyse(render_sounds(part)))))
            for _ in part:
                advance()
        self.seen, self.periods, self.rates = (torch.cat(column) for column in zip(*parts, strict=True))

    def __len__(self) -> int:
        return len(self.rates)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return {"seen": self.seen[row], "periods": self.periods[row], "rates": self.rates[row]}
