"""Parts of vision transformers, with the names that timm gave them: PaSST and Synchformer's video tower share them.

Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

EPS = 1e-6


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Attend with several heads: queries (B, Q, D), keys and values (B, N, D) to (B, Q, D)."""
    return attend_heads(*(x.reshape(*x.shape[:2], heads, -1) for x in (q, k, v)))


def attend_heads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend with queries (B, Q, heads, width), keys and values (B, N, heads, width): (B, Q, heads * width)."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    mixed: Tensor = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    return mixed


class MLP(nn.Module):
    """Two layers with GELU between.

    Args:
        width: of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (..., D)."""
        out: Tensor = self.fc2(gelu(self.fc1(x)))
        return out


class Attention(nn.Module):
    """Attention of all tokens to all tokens.

    Args:
        width: of a token.
        heads: attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, first: int | None = None) -> Tensor:
        """Map tokens (B, N, D) to what the first of them, or all, gather: (B, first, D)."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        out: Tensor = self.proj(attend(q[:, :first], k, v, self.heads))
        return out


class Block(nn.Module):
    """Attention and MLP, each behind a norm and added to what came in.

    Args:
        width: of a token.
        heads: attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = MLP(width)

    def forward(self, x: Tensor, first: int | None = None) -> Tensor:
        """Map tokens (B, N, D); with ``first``, give only so many of them, for which the others are keys and values."""
        x = x[:, :first] + self.attn(self.norm1(x), first)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class Summary(nn.TransformerEncoderLayer):
    """torch's encoder layer with a token of its own, whose output sums up the other tokens.

    Args:
        width: of a token.
        heads: attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads, 4 * width, 0.0, gelu, EPS, batch_first=True, norm_first=True)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Map tokens (B, N, D) to (B, D), by that part of the layer that its own token needs."""
        own = self.cls_token.expand(len(x), -1, -1)
        normed = self.norm1(torch.cat([own, x], dim=1))
        own = own + self.self_attn(normed[:, :1], normed, normed, need_weights=False)[0]
        out: Tensor = own + self.linear2(gelu(self.linear1(self.norm2(own))))
        return out[:, 0]
