"""CLIP's image tower, run over its modules: of the last block, only what the embedding is read from.

The embedding is the first token behind the last block, in which the other tokens serve as keys and values alone: what
their queries and their MLP would give is thrown away. Without it the tower takes 0.95 of the time (docs/speed.md).

Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021; Dosovitskiy
et al., "An Image is Worth 16x16 Words", ICLR 2021.
"""

from typing import Any

import torch
from torch import Tensor


def embed_pixels(network: Any, pixels: Tensor) -> Tensor:
    """Embed pictures as open_clip's ``VisionTransformer`` of CLIP does in eval mode.

    Args:
        network: :class:`.VisionTransformer`, or open_clip's that pools by its first token.
        pixels: normalised RGB, (B, 3, H, W) in the network's own size.

    Returns:
        Its output, (B, width), not normalised.
    """
    patches = network.conv1(pixels).flatten(2).transpose(1, 2)
    first = network.class_embedding.expand(len(patches), 1, -1)
    x = network.ln_pre(torch.cat([first, patches], dim=1) + network.positional_embedding)
    *blocks, last = network.transformer.resblocks
    for block in blocks:
        x = block(x)
    embedded: Tensor = network.ln_post(_run_for_first(last, x)) @ network.proj
    return embedded


def _run_for_first(block: Any, tokens: Tensor) -> Tensor:
    """Run a block for the first of the tokens (B, N, D) alone: (B, D)."""
    normed = block.ln_1(tokens)
    first = tokens[:, :1] + block.attention(normed[:, :1], normed, normed)
    out: Tensor = first + block.mlp(block.ln_2(first))
    return out[:, 0]
