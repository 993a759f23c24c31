"""Synchformer's video tower: MotionFormer with divided attention, and a vector for every second frame.

Source: Patrick et al., "Keeping Your Eye on the Ball: Trajectory Attention in Video Transformers", NeurIPS 2021;
Bertasius et al., "Is Space-Time Attention All You Need for Video Understanding?", ICML 2021 (the divided attention);
Iashin et al., "Synchformer", ICASSP 2024.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from torchmetrics_majorscore.networks.transformer import EPS, MLP, Summary, attend_heads


@dataclass(frozen=True)
class VideoOptions:
    """Size of the tower; the defaults are those of the public one.

    Args:
        width: of a token.
        depth: blocks.
        heads: attention heads.
        size: height and width of frames in pixels.
        frames: of a segment; two make one token in time.
        patch: height and width of a patch.
    """

    width: int = 768
    depth: int = 12
    heads: int = 12
    size: int = 224
    frames: int = 16
    patch: int = 16

    @property
    def times(self) -> int:
        """Tokens in time."""
        return self.frames // 2

    @property
    def places(self) -> int:
        """Tokens of a frame."""
        return (self.size // self.patch) ** 2


class DividedAttention(nn.Module):
    """Attention of each token to those of its group and to the first token, which itself attends to all.

    Args:
        width: of a token.
        heads: attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, times: int, *, in_time: bool) -> Tensor:
        """Map the first token and those of ``times`` frames, (B, 1 + times * N, D), to the same shape.

        Args:
            x: tokens, frame by frame.
            times: number of frames.
            in_time: a group is a place in all frames and not a frame.
        """
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # B, tokens, 3, heads, width of a head
        first = attend_heads(qkv[:, :1, 0], qkv[:, :, 1], qkv[:, :, 2])
        parts = qkv[:, 1:].unflatten(1, (times, -1))
        parts = parts.transpose(1, 2) if in_time else parts
        shared = qkv[:, None, :1].expand(-1, parts.shape[1], -1, -1, -1, -1)
        known = torch.cat([shared[:, :, :, 1:], parts[:, :, :, 1:]], dim=2).flatten(0, 1)
        mixed = attend_heads(parts[:, :, :, 0].flatten(0, 1), known[:, :, 0], known[:, :, 1]).view(*parts.shape[:3], -1)
        mixed = mixed.transpose(1, 2) if in_time else mixed
        out: Tensor = self.proj(torch.cat([first, mixed.flatten(1, 2)], dim=1))
        return out


class DividedBlock(nn.Module):
    """Attention over time, attention within frames and MLP, each behind a norm and added to what came in.

    Args:
        width: of a token.
        heads: attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width, eps=EPS) for _ in range(3))
        self.attn = DividedAttention(width, heads)
        self.timeattn = DividedAttention(width, heads)
        self.mlp = MLP(width)

    def forward(self, x: Tensor, times: int) -> Tensor:
        """Map the first token and those of ``times`` frames, (B, 1 + times * N, D)."""
        x = x + self.timeattn(self.norm3(x), times, in_time=True)
        x = x + self.attn(self.norm1(x), times, in_time=False)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class _Patches(nn.Module):
    """Holder of the convolution that makes tokens, under the name that it has in the public file."""

    def __init__(self, convolution: nn.Conv2d | nn.Conv3d) -> None:
        super().__init__()
        self.proj = convolution


class VideoTower(nn.Module):
    """Segments of frames to a vector for each two frames.

    Args:
        options: size.
    """

    def __init__(self, options: VideoOptions) -> None:
        super().__init__()
        self.options, width, patch = options, options.width, options.patch
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + options.places, width))
        self.temp_embed = nn.Parameter(torch.zeros(1, options.times, width))
        self.patch_embed = _Patches(nn.Conv2d(3, width, patch, patch))  # of the file; not used for videos
        self.patch_embed_3d = _Patches(nn.Conv3d(3, width, (2, patch, patch), (2, patch, patch)))
        self.blocks = nn.ModuleList(DividedBlock(width, options.heads) for _ in range(options.depth))
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.spatial_attn_agg = Summary(width, options.heads)

    def forward(self, segments: Tensor) -> Tensor:
        """Encode segments.

        Args:
            segments: (N, frames, 3, size, size), uint8 RGB.

        Returns:
            Shape (N, frames / 2, width).
        """
        patches = self._patches(segments.float() / 127.5 - 1.0)
        patches = patches + self.pos_embed[:, None, 1:] + self.temp_embed[:, :, None]
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(patches), -1, -1)
        x = torch.cat([first, patches.flatten(1, 2)], dim=1)
        for block in self.blocks:
            x = block(x, self.options.times)
        frames = self.norm(x[:, 1:]).unflatten(1, (self.options.times, -1))
        out: Tensor = self.spatial_attn_agg(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        return out

    def _patches(self, pixels: Tensor) -> Tensor:
        """Map (N, frames, 3, size, size) to (N, times, places, width), as the convolution does but as one product."""
        options, layer = self.options, self.patch_embed_3d.proj
        side, patch = options.size // options.patch, options.patch
        cubes = pixels.reshape(-1, options.times, 2, 3, side, patch, side, patch)
        cubes = cubes.permute(0, 1, 4, 6, 3, 2, 5, 7)  # a cube: colour, frame, row, column
        rows = linear(cubes.reshape(-1, layer.weight[0].numel()), layer.weight.flatten(1), layer.bias)
        return rows.view(len(pixels), self.options.times, self.options.places, -1)
