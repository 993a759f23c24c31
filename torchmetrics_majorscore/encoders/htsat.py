"""HTSAT, CLAP's audio network, run over its modules: the embedding alone, with fused attention.

The modules are those of transformers' ``ClapAudioModel``, but for attention: query, key and value are one product here,
as in the checkpoints, and attention itself is one call. The network's own forward computes more than a score uses, and
takes longer (docs/speed.md).

Source: Chen et al., "HTS-AT", ICASSP 2022; windows as in Liu et al., "Swin Transformer", ICCV 2021; fusion of long
sounds as in Wu et al., "Large-scale Contrastive Language-Audio Pretraining", ICASSP 2023, and Dai et al., "Attentional
Feature Fusion", WACV 2021.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, scaled_dot_product_attention

from torchmetrics_majorscore.extras import needs_extra

STRANGERS = -100.0
"""Added to the attention of two tokens that only the shift brought into one window."""


@dataclass(frozen=True)
class HTSATOptions:
    """Size of an HTSAT; the defaults are "HTSAT-tiny" with fusion, as in ``630k-fusion-best.pt``.

    Args:
        width: of a token in the first stage; it doubles from stage to stage.
        depths: blocks of each stage.
        heads: attention heads of each stage.
        fusion: whether it has the layers that fuse the chunks of a long sound into the whole.
    """

    width: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (4, 8, 16, 32)
    fusion: bool = True

    @property
    def dim(self) -> int:
        """Width of the embedding."""
        return self.width << (len(self.depths) - 1)


class WindowAttention(nn.Module):
    """Attention within the windows of a square picture of tokens, which stand window by window.

    Args:
        width: of a token.
        heads: attention heads.
        side: tokens along a side of the picture.
        window: tokens along a side of a window.
        shift: of the windows, in tokens; 0 for none.
    """

    order: Tensor
    bias: Tensor | None

    def __init__(self, width: int, heads: int, side: int, window: int, shift: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.shift = shift
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        numbers = torch.arange(side * side).view(side, side).roll((-shift, -shift), (0, 1))
        self.register_buffer("order", _by_window(numbers, window).flatten(), persistent=False)
        self.register_buffer("bias", None, persistent=False)  # made of the weights at the first call: they are frozen

    def forward(self, tokens: Tensor) -> Tensor:
        """Attend: tokens (B, N, D) in ``order`` to what is added to them, (B, N, D)."""
        if self.bias is None:
            self.bias = self._make_bias()
        windows = tokens.view(-1, self.window**2, tokens.shape[2])
        q, k, v = self.qkv(windows).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        bias = self.bias if len(self.bias) == 1 else self.bias.repeat(len(tokens), 1, 1, 1)
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=bias)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out.view_as(tokens)

    def _make_bias(self) -> Tensor:
        """Give what is added to the attention logits, (windows or 1, heads, tokens, tokens)."""
        bias = self.relative_position_bias_table.detach()[self.offsets()].permute(2, 0, 1)[None]
        return self.strangers()[:, None] + bias if self.shift else bias.contiguous()

    def offsets(self) -> Tensor:
        """Number the offset of each two tokens of a window, (tokens, tokens), as the learned table counts them."""
        at = torch.arange(self.window**2, device=self.order.device)
        row, column, reach = at // self.window, at % self.window, self.window - 1
        return (row[:, None] - row + reach) * (2 * reach + 1) + (column[:, None] - column + reach)

    def strangers(self) -> Tensor:
        """Give what keeps tokens apart that only the shift brought into one window, (windows, tokens, tokens).

        Windows at the border hold tokens from opposite edges of the picture, which must not see each other.
        """
        side = math.isqrt(len(self.order))
        at = torch.arange(side, device=self.order.device)
        edge = (at >= side - self.window).long() + (at >= side - self.shift).long()
        region = _by_window(3 * edge[:, None] + edge, self.window)
        return STRANGERS * (region[:, :, None] != region[:, None]).float()


def _by_window(picture: Tensor, window: int) -> Tensor:
    """Cut a picture (side, side) into windows: (windows, tokens of a window)."""
    parts = len(picture) // window
    return picture.view(parts, window, parts, window).transpose(1, 2).reshape(parts**2, window**2)


def build_htsat(options: HTSATOptions) -> nn.Module:
    """Build transformers' audio network of CLAP, with :class:`WindowAttention` in its blocks; weights are random."""
    needs_extra("transformers", "cmcr")
    from transformers import ClapAudioConfig, ClapAudioModel

    config = ClapAudioConfig(
        patch_embeds_hidden_size=options.width,
        depths=list(options.depths),
        num_attention_heads=list(options.heads),
        hidden_size=options.dim,
        enable_fusion=options.fusion,
        fusion_type="aff_2d",
    )
    encoder: Any = ClapAudioModel(config).audio_encoder
    for number, stage in enumerate(encoder.layers):
        for block in stage.blocks:
            side, window, shift = block.input_resolution[0], config.window_size, block.shift_size
            if side <= window:
                window, shift = side, 0
            width = options.width * 2**number
            block.attention = WindowAttention(width, options.heads[number], side, window, shift)
    built: nn.Module = encoder
    return built


def embed_mels(encoder: Any, mels: Tensor) -> Tensor:
    """Embed mels as laion_clap's ``HTSAT_Swin_Transformer`` does in eval mode, with ``fusion_type="aff_2d"`` or none.

    Args:
        encoder: from :func:`build_htsat`.
        mels: in dB, (B, 1, T, n_mels) for sounds of one length of the network, (B, 4, T, n_mels) for longer ones: the
            whole shrunk, then three chunks.

    Returns:
        laion_clap's output ``"embedding"``, (B, width), not normalised.
    """
    x = encoder.batch_norm(mels.transpose(1, 3)).transpose(1, 3)
    x = _embed_patches(encoder.patch_embed, _fold(x, encoder.spec_size, encoder.freq_ratio))
    for stage in encoder.layers:
        x = _run_blocks(stage.blocks, x)
        if stage.downsample is not None:
            x = stage.downsample(x, stage.blocks[0].input_resolution)
    embedded: Tensor = encoder.norm(x).mean(dim=1)
    return embedded


def _fold(mels: Tensor, size: int, parts: int) -> Tensor:
    """Stretch mels (B, C, T, n_mels) to ``parts * size`` frames and stack the parts: (B, C, size, size)."""
    mels = interpolate(mels, (parts * size, mels.shape[3]), mode="bicubic", align_corners=True)
    return torch.unflatten(mels, 2, (parts, size)).transpose(3, 4).flatten(2, 3)


def _embed_patches(patches: Any, image: Tensor) -> Tensor:
    """Turn pictures (B, C, H, W) into tokens (B, N, D); chunks of long sounds, if any, are fused into the whole."""
    x: Tensor = patches.proj(image[:, :1])
    if image.shape[1] > 1:
        chunks = patches.mel_conv2d(image[:, 1:].flatten(0, 1)[:, None]).unflatten(0, (len(image), -1))
        # The chunks stand side by side in time, a third as wide each; rounding leaves them a little short.
        local = chunks.permute(0, 2, 3, 1, 4).flatten(3)
        x = patches.fusion_model(x, pad(local, (0, x.shape[3] - local.shape[3])))
    tokens: Tensor = patches.norm(x.flatten(2).transpose(1, 2))
    return tokens


def _run_blocks(blocks: Any, tokens: Tensor) -> Tensor:
    """Run the blocks of a stage over tokens (B, N, D).

    Only attention minds where tokens stand, so they are put window by window once per block, and back at the end.
    """
    back = torch.arange(tokens.shape[1], device=tokens.device)
    for block in blocks:
        order = block.attention.order
        tokens = tokens.index_select(1, back[order])
        tokens = tokens + block.attention(block.layernorm_before(tokens))
        tokens = tokens + block.output(block.intermediate(block.layernorm_after(tokens)))
        back = order.argsort()
    return tokens.index_select(1, back)
