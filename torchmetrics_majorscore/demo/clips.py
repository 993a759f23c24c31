"""Clips that the demo renders to score them."""

from collections.abc import Callable, Sequence

import torch

from torchmetrics_majorscore.training.world.captions import caption, describe
from torchmetrics_majorscore.training.world.scene import Scene, Split
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import render_sounds

FPS = 1.0  # all that the metric looks at
AT_ONCE = 16


class Clips:
    """Rendered scenes with their captions.

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
