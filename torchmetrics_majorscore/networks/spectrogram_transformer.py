"""Synchformer's audio tower: the Audio Spectrogram Transformer, and a vector for every 0.1 s.

transformers has the network as well (``ASTModel``), but under names of tensors that are not those of the public file
and change from version to version.

Source: Gong et al., "AST: Audio Spectrogram Transformer", Interspeech 2021; Iashin et al., "Synchformer", ICASSP 2024.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from torchmetrics_majorscore.networks.transformer import Summary, attend

EPS = 1e-12
PATCH = 16
STRIDE = 10


@dataclass(frozen=True)
class AudioOptions:
    """Size of the tower; the defaults are those of the public one.

    Args:
        width: of a token.
        depth: blocks.
        heads: attention heads.
        bands: of the mel spectrogram.
        frames: of the mel spectrogram of a segment.
    """

    width: int = 768
    depth: int = 12
    heads: int = 12
    bands: int = 128
    frames: int = 66

    @property
    def grid(self) -> tuple[int, int]:
        """Patches over bands and over time."""
        return (self.bands - PATCH) // STRIDE + 1, (self.frames - PATCH) // STRIDE + 1


class _Dense(nn.Module):
    """Holder of a layer, under the name that it has in the public file."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, out)


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.output = _Dense(width, width)


class ASTLayer(nn.Module):
    """Attention and MLP, each behind a norm and added to what came in.

    Args:
        width: of a token.
        heads: attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.layernorm_before = nn.LayerNorm(width, eps=EPS)
        self.attention = _Attention(width)
        self.layernorm_after = nn.LayerNorm(width, eps=EPS)
        self.intermediate = _Dense(width, 4 * width)
        self.output = _Dense(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, N, D)."""
        normed, layers = self.layernorm_before(x), self.attention.attention
        q, k, v = (layers[name](normed) for name in ("query", "key", "value"))
        x = x + self.attention.output.dense(attend(q, k, v, self.heads))
        out: Tensor = x + self.output.dense(gelu(self.intermediate.dense(self.layernorm_after(x))))
        return out


class _Embeddings(nn.Module):
    def __init__(self, options: AudioOptions) -> None:
        super().__init__()
        low, long = options.grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, options.width))
        self.distillation_token = nn.Parameter(torch.zeros(1, 1, options.width))
        self.position_embeddings = nn.Parameter(torch.zeros(1, 2 + low * long, options.width))
        self.patch_embeddings = nn.ModuleDict({"projection": nn.Conv2d(1, options.width, PATCH, STRIDE)})


class _Encoder(nn.Module):
    def __init__(self, options: AudioOptions) -> None:
        super().__init__()
        self.layer = nn.ModuleList(ASTLayer(options.width, options.heads) for _ in range(options.depth))


class AST(nn.Module):
    """Spectrograms to tokens.

    Args:
        options: size.
    """

    def __init__(self, options: AudioOptions) -> None:
        super().__init__()
        self.embeddings = _Embeddings(options)
        self.encoder = _Encoder(options)
        self.layernorm = nn.LayerNorm(options.width, eps=EPS)

    def forward(self, mels: Tensor) -> Tensor:
        """Map log-mels (N, bands, frames) to (N, 2 + patches, width): two tokens of no patch come first."""
        parts = self.embeddings
        patches = parts.patch_embeddings["projection"](mels[:, None]).flatten(2).transpose(1, 2)
        first = torch.cat([parts.cls_token, parts.distillation_token], dim=1).expand(len(mels), -1, -1)
        x = torch.cat([first, patches], dim=1) + parts.position_embeddings
        for layer in self.encoder.layer:
            x = layer(x)
        out: Tensor = self.layernorm(x)
        return out


class AudioTower(nn.Module):
    """Spectrograms of segments to a vector for each 0.1 s.

    Args:
        options: size.
    """

    def __init__(self, options: AudioOptions) -> None:
        super().__init__()
        self.options = options
        self.ast = AST(options)
        self.freq_attn_agg = Summary(options.width, options.heads)

    def forward(self, mels: Tensor) -> Tensor:
        """Map log-mels (N, bands, frames) to (N, 6, width)."""
        patches = self.ast(mels)[:, 2:].unflatten(1, self.options.grid).transpose(1, 2)  # N, time, bands, width
        out: Tensor = self.freq_attn_agg(patches.flatten(0, 1)).unflatten(0, patches.shape[:2])
        return out
