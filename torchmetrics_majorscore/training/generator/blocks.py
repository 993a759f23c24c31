"""The blocks of the generator: gated MLPs, attention with aligned rotary positions, joint and single blocks.

Source: Cheng et al., "MMAudio: Taming Multimodal Joint Training for High-Quality Video-to-Audio Synthesis", CVPR 2025,
with its supplement, sections G.2, G.3 and G.6; sizes and orders as in the public code.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, scaled_dot_product_attention, silu

THETA = 10_000.0
MULTIPLE = 256


class TimeConv(nn.Conv1d):
    """A convolution over time of tokens (B, T, D) which keeps their number.

    Args:
        width: D of the input.
        out: D of the output.
        kernel: odd.
        bias: whether it has one.
    """

    def __init__(self, width: int, out: int, kernel: int, bias: bool = True) -> None:
        super().__init__(width, out, kernel, padding=kernel // 2, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, T, width) to (B, T, out)."""
        # As images one pixel high, tokens keep their order in memory: half the time of a Conv1d on a CPU.
        images, weight = x.transpose(1, 2)[:, :, None], self.weight[:, :, None]
        out = conv2d(images, weight, self.bias, padding=(0, self.kernel_size[0] // 2))
        return out[:, :, 0].transpose(1, 2)


def mix(width: int, out: int, kernel: int, bias: bool = True) -> nn.Module:
    """Make a linear layer of tokens, for a kernel above 1 one that also looks at their neighbours in time."""
    return nn.Linear(width, out, bias) if kernel == 1 else TimeConv(width, out, kernel, bias)


class GatedMLP(nn.Module):
    r"""Block MLP, for a kernel above 1 ConvMLP.

    .. math:: W_2 (\text{silu}(W_1 x) \odot W_3 x)

    without biases; the inner width is two thirds of four times the width, rounded up.

    Args:
        width: of a token.
        kernel: of the three layers over time.
        multiple: to which the inner width is rounded up.
    """

    def __init__(self, width: int, kernel: int, multiple: int = MULTIPLE) -> None:
        super().__init__()
        inner = -(-int(8 * width / 3) // multiple) * multiple
        self.w1 = mix(width, inner, kernel, bias=False)
        self.w2 = mix(inner, width, kernel, bias=False)
        self.w3 = mix(width, inner, kernel, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, T, width)."""
        out: Tensor = self.w2(silu(self.w1(x)) * self.w3(x))
        return out


def rotations(length: int, width: int, scale: float, device: torch.device) -> Tensor:
    r"""Compute rotary positions: token n turns its i-th pair of channels by the angle of this.

    .. math:: e^{j n s \theta^{-2i/width}}

    Aligned positions (supplement, G.6) have the scale s = L_latent / L for a stream of L tokens: equal times, equal
    angles. Source: Su et al., "RoFormer", Neurocomputing 2024.

    Args:
        length: number of tokens.
        width: channels of a head, even.
        scale: s.
        device: where to compute.

    Returns:
        Real and imaginary parts, float32, (2, length, width / 2).
    """
    frequencies = scale * (1.0 / THETA ** (torch.arange(0, width, 2, dtype=torch.float32, device=device) / width))
    angles = torch.arange(length, dtype=torch.float32, device=device)[:, None] * frequencies
    return torch.stack([angles.cos(), angles.sin()])


def rotate(x: Tensor, turned: Tensor) -> Tensor:
    """Turn neighbouring channels of heads (B, heads, T, width), float32 at least, by :func:`rotations`."""
    (real, imaginary), (cos, sin) = x.reshape(*x.shape[:-1], -1, 2).unbind(-1), turned
    return torch.stack([real * cos - imaginary * sin, real * sin + imaginary * cos], dim=-1).flatten(-2)


class Heads(nn.Module):
    """Queries, keys and values of one stream.

    The rows of ``qkv`` are in the order head, channel, and then query, key and value.

    Args:
        width: of a token.
        heads: attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.q_norm = nn.RMSNorm(width // heads)
        self.k_norm = nn.RMSNorm(width // heads)

    def forward(self, x: Tensor, turned: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Map tokens (B, T, D), at positions ``turned``, to three times (B, heads, T, D / heads), float32 at least."""
        split = self.qkv(x).reshape(*x.shape[:2], self.heads, -1, 3).permute(4, 0, 2, 1, 3)
        exact = torch.promote_types(split.dtype, torch.float32)
        q, k, v = split.to(exact, memory_format=torch.contiguous_format)
        q, k = self.q_norm(q), self.k_norm(k)
        if turned is not None:
            q, k = rotate(q, turned), rotate(k, turned)
        return q, k, v


def attend(parts: Sequence[tuple[Tensor, Tensor, Tensor]]) -> list[Tensor]:
    """Let all tokens of all streams attend to each other: for each stream (B, T, D)."""
    q, k, v = (torch.cat(part, dim=2) for part in zip(*parts, strict=True))
    with torch.autocast(q.device.type, enabled=q.device.type != "cpu"):  # in bf16 it takes a CPU four times as long
        mixed = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    return list(torch.split(mixed, [part[0].shape[2] for part in parts], dim=1))


class Modulation(NamedTuple):
    """Values that a condition gives to the tokens of a stream, each (B, 1, D) or (B, T, D)."""

    gate: Tensor
    shift: Tensor
    scale: Tensor
    gate_mlp: Tensor


class Stream(nn.Module):
    """What one kind of tokens brings to a block: its modulation, its heads, and its way on behind the attention.

    Args:
        width: of a token.
        heads: attention heads.
        kernel: over time, of the layer behind the attention and of the MLP.
        multiple: see :class:`GatedMLP`.
        ends: whether the tokens are not needed behind this block: then they give only queries, keys and values.
    """

    def __init__(self, width: int, heads: int, kernel: int, multiple: int, ends: bool = False) -> None:
        super().__init__()
        self.ends = ends
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.attention = Heads(width, heads)
        self.modulation = nn.Linear(width, (2 if ends else 6) * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        if not ends:
            self.out = mix(width, width, kernel)
            self.mlp = GatedMLP(width, kernel, multiple)

    def look(
        self, x: Tensor, condition: Tensor, turned: Tensor | None
    ) -> tuple[tuple[Tensor, Tensor, Tensor], Modulation | None]:
        """Give queries, keys and values of tokens (B, T, D), and what :meth:`go_on` needs."""
        shift, scale, *rest = self.modulation(silu(condition)).chunk(2 if self.ends else 6, dim=-1)
        heads: tuple[Tensor, Tensor, Tensor] = self.attention(self.norm(x) * (1 + scale) + shift, turned)
        return heads, Modulation(*rest) if rest else None

    def go_on(self, x: Tensor, attended: Tensor, own: Modulation | None) -> Tensor:
        """Add to tokens (B, T, D) what they attended to, and what the MLP makes of it."""
        if own is None:
            return x
        x = x + self.out(attended) * own.gate
        out: Tensor = x + self.mlp(self.norm(x) * (1 + own.scale) + own.shift) * own.gate_mlp
        return out


class JointBlock(nn.Module):
    """Latent, visual and text tokens in one attention, each with layers of its own.

    Args:
        width: of a token.
        heads: attention heads.
        multiple: see :class:`GatedMLP`.
        last: whether visual and text tokens end here.
    """

    def __init__(self, width: int, heads: int, multiple: int, last: bool) -> None:
        super().__init__()
        self.latent = Stream(width, heads, 3, multiple)
        self.visual = Stream(width, heads, 3, multiple, ends=last)
        self.text = Stream(width, heads, 1, multiple, ends=last)

    def forward(
        self, tokens: Sequence[Tensor], conditions: Sequence[Tensor], turned: Sequence[Tensor | None]
    ) -> list[Tensor]:
        """Map tokens of the three streams, (B, T, D) each, with their conditions and rotary positions."""
        streams = (self.latent, self.visual, self.text)
        looks = [s.look(x, c, t) for s, x, c, t in zip(streams, tokens, conditions, turned, strict=True)]
        attended = attend([heads for heads, _ in looks])
        return [
            stream.go_on(x, found, own)
            for stream, x, found, (_, own) in zip(streams, tokens, attended, looks, strict=True)
        ]


class SingleBlock(Stream):
    """A block of the latent stream alone, see :class:`Stream`."""

    def forward(self, x: Tensor, condition: Tensor, turned: Tensor) -> Tensor:
        """Map tokens (B, T, D)."""
        heads, own = self.look(x, condition, turned)
        return self.go_on(x, attend([heads])[0], own)
