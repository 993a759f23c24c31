"""HTSAT, CLAP's audio network, run over its modules: the embedding alone, with fused attention.

The network's own forward also makes a map of every attention, class scores and an output per frame, which no score
uses; what is left takes 0.9 of the time (docs/speed.md). The modules and their weights are laion_clap's.

Source: Chen et al., "HTS-AT", ICASSP 2022; windows as in Liu et al., "Swin Transformer", ICCV 2021; fusion of long
sounds as in Wu et al., "Large-scale Contrastive Language-Audio Pretraining", ICASSP 2023, and Dai et al., "Attentional
Feature Fusion", WACV 2021.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad, scaled_dot_product_attention


def embed_mels(network: Any, mels: Tensor) -> Tensor:
    """Embed mels as laion_clap's ``HTSAT_Swin_Transformer`` with ``fusion_type="aff_2d"`` does in eval mode.

    Args:
        network: laion_clap's network.
        mels: in dB, (B, 1, T, n_mels) for sounds of one length of the network, (B, 4, T, n_mels) for longer ones: the
            whole shrunk, then three chunks.

    Returns:
        Its output ``"embedding"``, (B, width), not normalised.
    """
    x = network.bn0(mels.transpose(1, 3)).transpose(1, 3)
    x = _embed_patches(network.patch_embed, _fold(x, network.spec_size, network.freq_ratio))
    for stage in network.layers:
        x = _run_blocks(stage.blocks, x)
        x = stage.downsample(x) if stage.downsample is not None else x
    embedded: Tensor = network.norm(x).mean(dim=1)
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
        order = _window_order(block).to(tokens.device)
        tokens = tokens.index_select(1, back[order])
        tokens = tokens + _attend(block, block.norm1(tokens))
        tokens = tokens + block.mlp(block.norm2(tokens))
        back = order.argsort()
    return tokens.index_select(1, back)


def _window_order(block: Any) -> Tensor:
    """Number the tokens of a square picture window by window; the windows of every second block are shifted."""
    side, size, shift = block.input_resolution[0], block.window_size, block.shift_size
    numbers = torch.arange(side * side).view(side, side).roll((-shift, -shift), (0, 1))
    return numbers.view(side // size, size, side // size, size).transpose(1, 2).flatten()


def _attend(block: Any, tokens: Tensor) -> Tensor:
    """Attend within windows, which stand one after the other in tokens (B, N, D)."""
    attention = block.attn
    windows = tokens.view(-1, block.window_size**2, tokens.shape[2])
    q, k, v = attention.qkv(windows).unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    mixed = scaled_dot_product_attention(q, k, v, attn_mask=_bias(block, len(tokens)))
    mixed = attention.proj(mixed.transpose(1, 2).flatten(2))
    out: Tensor = mixed.view_as(tokens)
    return out


def _bias(block: Any, batch: int) -> Tensor:
    """Give what is added to a block's attention logits: a learned number for each offset of two tokens of a window.

    In a shifted block, windows at the border hold tokens from opposite edges, which must not see each other.
    """
    attention = block.attn
    bias: Tensor = attention.relative_position_bias_table[attention.relative_position_index].permute(2, 0, 1)
    if block.attn_mask is None:
        return bias[None]
    masked: Tensor = block.attn_mask[:, None] + bias
    return masked.repeat(batch, 1, 1, 1)
