"""Training of the tiny CLIP on frames with captions, and of the tiny CLAP on sounds with captions: never on both.

Every batch shows each training combination of the embedded world once, in a random render with a random wording, and
the two towers learn by InfoNCE (Oord et al., 2018) at a fixed logit scale, as CLIP does (Radford et al., 2021).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from tqdm import tqdm

from torchmetrics_majorscore.encoders.clip import FrameOptions
from torchmetrics_majorscore.encoders.mel import LogMel, MelOptions
from torchmetrics_majorscore.encoders.resize import prepare_frames
from torchmetrics_majorscore.training.descent import descend
from torchmetrics_majorscore.training.info_nce import info_nce
from torchmetrics_majorscore.training.world.captions import caption
from torchmetrics_majorscore.training.world.scene import SECONDS, Scene, draw_scenes, unseen
from torchmetrics_majorscore.training.world.sight import frame_at
from torchmetrics_majorscore.training.world.sound import render_sounds

RENDERED_AT_ONCE = 64


@dataclass(frozen=True)
class TowerOptions:
    """How a pair of towers is trained.

    Args:
        scale: logit scale, the inverse of the temperature; fixed.
        steps: batches.
        renders: scenes rendered of each training combination.
        learning_rate: highest one of the cosine schedule.
        weight_decay: of AdamW.
        wordings: captions drawn for each scene.
    """

    scale: float = 20.0
    steps: int = 700
    renders: int = 30
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    wordings: int = 6


@dataclass(frozen=True)
class Samples:
    """Renders of one sense with their captions, sorted by combination: row n shows combination n // renders.

    Args:
        inputs: frames, uint8, (N, V, 3, H, W), or log-mels, (N, 1, T, n_mels).
        tokens: captions, (N, wordings, L).
        renders: rows for each combination.
    """

    inputs: Tensor
    tokens: Tensor
    renders: int

    def batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw one row of each combination, one of its views and one of its captions."""
        count = len(self.inputs) // self.renders
        rows = torch.arange(count) * self.renders + torch.randint(self.renders, (count,), generator=generator)
        view, wording = (
            torch.randint(part.shape[1], (count,), generator=generator) for part in (self.inputs, self.tokens)
        )
        return self.inputs[rows, view], self.tokens[rows, wording].long()


def training_scenes(seed: int, renders: int) -> list[Scene]:
    """Draw scenes for training, sorted by combination; two seeds have no scene in common."""
    return draw_scenes([combination for combination in unseen("train") for _ in range(renders)], seed, "train")


def tokens_of(scenes: Sequence[Scene], tokenizer: Any, wordings: int) -> Tensor:
    """Write captions for scenes in the wordings of training.

    Returns:
        Token numbers, int16, (N, wordings, L).
    """
    # The wording is drawn by the seed of a scene, so other captions of a scene are those of other seeds.
    texts = [
        caption(replace(scene, seed=scene.seed * wordings + number), "train")
        for scene in scenes
        for number in range(wordings)
    ]
    tokens: Tensor = tokenizer(texts)
    return tokens.to(torch.int16).view(len(scenes), wordings, -1)


def render_pictures(scenes: Sequence[Scene], options: FrameOptions, views: int) -> Tensor:
    """Render frames of scenes at random times.

    Returns:
        uint8, (N, views, 3, size, size).
    """
    times = torch.rand(len(scenes), views, generator=torch.Generator().manual_seed(scenes[0].seed)) * SECONDS
    with tqdm(total=len(scenes), desc="pictures") as bar:
        frames = []
        for at in range(0, len(scenes), RENDERED_AT_ONCE):
            part = scenes[at : at + RENDERED_AT_ONCE]
            frames.append(frame_at(part, times[at : at + RENDERED_AT_ONCE], options.size))
            bar.update(len(part))
    pictures = torch.cat(frames)
    return prepare_frames(pictures.flatten(0, 1), options.size).view(pictures.shape)


def render_mels(scenes: Sequence[Scene], options: MelOptions) -> Tensor:
    """Render the sounds of scenes and prepare them as the encoder does.

    Returns:
        Log-mels in dB, float16, (N, 1, T, n_mels).
    """
    prepare = LogMel(options)
    mels = []
    with tqdm(total=len(scenes), desc="sounds") as bar:
        for at in range(0, len(scenes), RENDERED_AT_ONCE):
            part = scenes[at : at + RENDERED_AT_ONCE]
            mels += [prepare(sound).half() for sound in render_sounds(part)]
            bar.update(len(part))
    return torch.stack(mels)


def train_towers(
    network: nn.Module,
    encode: Callable[[Tensor], Tensor],
    encode_text: Callable[[Tensor], Tensor],
    samples: Samples,
    options: TowerOptions,
    seed: int,
) -> None:
    """Train two towers in place.

    Args:
        network: holds the parameters of both towers.
        encode: maps a batch of inputs to embeddings (B, D).
        encode_text: maps tokens (B, L) to embeddings (B, D).
        samples: what to learn from.
        options: how.
        seed: of the batches.
    """
    generator = torch.Generator().manual_seed(seed)

    def loss_of(_: int) -> Tensor:
        inputs, tokens = samples.batch(generator)
        left, right = normalize(encode(inputs), dim=-1), normalize(encode_text(tokens), dim=-1)
        return info_nce(left, right, 1.0 / options.scale)

    descend(
        network.train().parameters(),
        loss_of,
        "towers",
        steps=options.steps,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
    )
    network.eval()
