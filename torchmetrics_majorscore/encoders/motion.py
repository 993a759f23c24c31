"""A small video network that sees motion: each frame with its change since the one before, and convolutions over time.

It stands where the quad-modal paper has MoViNet, which no library keeps: trained to classify, used without classifier.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from torchmetrics_majorscore.encoders.resize import prepare_frames


@dataclass(frozen=True)
class MotionOptions:
    """Sizes of the network.

    Args:
        size: height and width of a frame in pixels.
        fps: frames per second that it was trained with.
        channels: of the blocks that see single frames; each halves a frame.
        dim: width of the embedding.
    """

    size: int = 32
    fps: float = 8.0
    channels: Sequence[int] = (16, 32, 64)
    dim: int = 128


class MotionNetwork(nn.Module):
    """See the module.

    Args:
        options: sizes.
    """

    def __init__(self, options: MotionOptions) -> None:
        super().__init__()
        self.options = options
        self.fps = options.fps
        self.name = "motion-tiny"
        sizes = [6, *options.channels]
        self.seen = nn.Sequential(*(_block(*pair) for pair in pairwise(sizes)))
        width = 2 * sizes[-1]
        self.over_time = nn.Sequential(_convolution(width), _convolution(width))
        self.projection = nn.Sequential(nn.Linear(2 * width, options.dim), nn.ReLU())

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames (B, T, 3, size, size) in [0, 1] to embeddings (B, dim), >= 0, not normalised."""
        change = frames.diff(dim=1, prepend=frames[:, :1])
        x = self.seen(torch.cat([frames - 0.5, change], dim=2).flatten(0, 1)).flatten(2)
        x = torch.cat([x.mean(dim=-1), x.amax(dim=-1)], dim=-1).view(*frames.shape[:2], -1)
        x = self.over_time(x.transpose(1, 2))
        embedded: Tensor = self.projection(torch.cat([x.mean(dim=-1), x.amax(dim=-1)], dim=-1))
        return embedded

    def encode_video(self, batch: Sequence[Tensor]) -> Tensor:
        """Encode videos, each by itself, so that no neighbour moves a bit of it.

        Args:
            batch: frames (T, 3, H, W), uint8, at :attr:`MotionOptions.fps`.

        Returns:
            Embeddings, float32 (B, dim), not normalised.
        """
        size = self.options.size
        return torch.cat([self(prepare_frames(frames, size)[None].float() / 255.0) for frames in batch])


def _block(width: int, channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(width, channels, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
    )


def _convolution(width: int) -> nn.Module:
    parts: list[Any] = [nn.Conv1d(width, width, 5, padding=2, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
    return nn.Sequential(*parts)
