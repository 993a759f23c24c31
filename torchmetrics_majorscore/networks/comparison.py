"""Synchformer's comparison: how far sound and frames of 14 segments are apart.

Source: Iashin et al., "Synchformer: Efficient Synchronization from Sparse Cues", ICASSP 2024.
"""

import torch
from torch import Tensor, nn

from torchmetrics_majorscore.networks.transformer import attend


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.key, self.query, self.value, self.proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(attend(self.query(x), self.key(x), self.value(x), self.heads))
        return out


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = _Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln1(x))
        out: Tensor = x + self.mlp(self.ln2(x))
        return out


class Comparison(nn.Module):
    """Vectors of frames and of sound to logits of offsets.

    Args:
        width: of a vector.
        tokens: of both, with one in front of each.
        depth: blocks.
        heads: attention heads.
        classes: offsets.
    """

    def __init__(self, width: int, tokens: int, depth: int = 3, heads: int = 8, classes: int = 21) -> None:
        super().__init__()
        self.OFF_tok = nn.Parameter(torch.zeros(1, 1, width))
        self.MOD_tok = nn.Parameter(torch.zeros(1, 1, width))
        self.vis_in_lnorm, self.aud_in_lnorm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.pos_emb_cfg = nn.ParameterDict({"pos_emb": nn.Parameter(torch.zeros(1, tokens, width))})
        self.blocks = nn.Sequential(*(_Block(width, heads) for _ in range(depth)))
        self.ln_f = nn.LayerNorm(width)
        self.off_head = nn.Linear(width, classes)

    def forward(self, video: Tensor, audio: Tensor) -> Tensor:
        """Compare vectors of frames (B, V, D) with those of sound (B, A, D): logits (B, classes)."""
        own, between = (token.expand(len(video), -1, -1) for token in (self.OFF_tok, self.MOD_tok))
        x = torch.cat([own, self.vis_in_lnorm(video), between, self.aud_in_lnorm(audio)], dim=1)
        logits: Tensor = self.off_head(self.ln_f(self.blocks(x + self.pos_emb_cfg["pos_emb"])[:, 0]))
        return logits
