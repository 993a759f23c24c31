"""CLIP's networks: modules with the names of open_clip's tensors, so that its checkpoints load as they are.

:meth:`CLIPNetwork.encode_text` and :meth:`CLIPNetwork.encode_image` are open_clip's too. open_clip itself is not
imported: it brings torchvision, timm and torch's compiler, and takes longer to import than torch does.

Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm
from torch.nn.functional import normalize as unit

from torchmetrics_majorscore.encoders.vit import embed_pixels

HEAD_WIDTH = 64


class LayerNorm(nn.LayerNorm):
    """Layer norm whose output has its input's dtype, also under autocast."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (..., D)."""
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps).to(x.dtype)


class QuickGELU(nn.Module):
    """The activation that OpenAI's weights were trained with: x sigmoid(1.702 x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Map any shape."""
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """Attention and MLP, each behind a norm and added to what came in.

    Args:
        width: of a token.
        heads: attention heads.
        quick: whether the activation is :class:`QuickGELU`.
    """

    def __init__(self, width: int, heads: int, quick: bool) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = LayerNorm(width)
        layers = {"c_fc": nn.Linear(width, 4 * width), "gelu": QuickGELU() if quick else nn.GELU()}
        self.mlp = nn.Sequential(OrderedDict[str, nn.Module]({**layers, "c_proj": nn.Linear(4 * width, width)}))

    def attention(self, q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """Attend: (B, Q, D) to (B, N, D)."""
        mixed: Tensor = self.attn(q, k, v, need_weights=False, attn_mask=attn_mask)[0]
        return mixed

    def forward(self, x: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """Map tokens (B, N, D)."""
        normed = self.ln_1(x)
        x = x + self.attention(normed, normed, normed, None if attn_mask is None else attn_mask.to(normed.dtype))
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class Transformer(nn.Module):
    """Blocks, one behind the other; see :class:`Block`."""

    def __init__(self, width: int, layers: int, heads: int, quick: bool) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, heads, quick) for _ in range(layers))

    def forward(self, x: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """Map tokens (B, N, D)."""
        for block in self.resblocks:
            x = block(x, attn_mask)
        return x


class TextTower(nn.Module):
    """The text tower.

    Args:
        dim: width of the embedding.
        context_length: tokens of a caption.
        vocab_size: how many tokens there are.
        width: of a token.
        heads: attention heads.
        layers: blocks.
        quick: see :class:`Block`.
    """

    attn_mask: Tensor

    def __init__(
        self, dim: int, context_length: int, vocab_size: int, width: int, heads: int, layers: int, quick: bool = False
    ) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.zeros(context_length, width))
        self.transformer = Transformer(width, layers, heads, quick)
        self.ln_final = LayerNorm(width)
        self.text_projection = nn.Parameter(torch.zeros(width, dim))
        later = torch.full((context_length, context_length), -torch.inf).triu(1)
        self.register_buffer("attn_mask", later, persistent=False)

    def encode_text(self, text: Tensor, normalize: bool = False) -> Tensor:
        """Embed captions: what stands at the end token, which has the largest number.

        Args:
            text: tokens, (B, L); rows may be shorter than the context, which changes nothing but the time.
            normalize: whether embeddings have unit norm.

        Returns:
            Embeddings, (B, dim).
        """
        states = TextTower.states(self, text)  # one of open_clip's has none
        ends = states[torch.arange(len(text), device=text.device), text.argmax(dim=-1)]
        embedded: Tensor = ends @ self.text_projection
        return unit(embedded, dim=-1) if normalize else embedded

    def states(self, text: Tensor) -> Tensor:
        """Give what stands at each token of captions (B, L), (B, L, width)."""
        length = text.shape[1]
        x = self.token_embedding(text) + self.positional_embedding[:length]
        x = self.transformer(x, attn_mask=self.attn_mask[:length, :length])
        normed: Tensor = self.ln_final(x)
        return normed


class VisionTransformer(nn.Module):
    """The picture tower.

    Args:
        dim: width of the embedding.
        image_size: height and width of a picture in pixels.
        patch_size: height and width of a patch.
        width: of a token.
        layers: blocks.
        quick: see :class:`Block`.
    """

    def __init__(self, dim: int, image_size: int, patch_size: int, width: int, layers: int, quick: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, patch_size, patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros((image_size // patch_size) ** 2 + 1, width))
        self.ln_pre = LayerNorm(width)
        self.transformer = Transformer(width, layers, width // HEAD_WIDTH, quick)
        self.ln_post = LayerNorm(width)
        self.proj = nn.Parameter(torch.zeros(width, dim))

    def forward(self, pixels: Tensor) -> Tensor:
        """Map normalised pictures (B, 3, H, W) to embeddings (B, dim), not normalised."""
        return embed_pixels(self, pixels)


class CLIPNetwork(TextTower):
    """Both towers, laid out as open_clip's ``CLIP`` is: the text tower's parts stand beside ``visual``.

    Args:
        visual: the picture tower, with the weights of a new network.
        dim: width of the embedding.
        text: arguments of :class:`TextTower`.
        quick: see :class:`Block`.
    """

    def __init__(self, visual: nn.Module, dim: int, text: Mapping[str, Any], quick: bool = False) -> None:
        super().__init__(dim, **text, quick=quick)
        self.visual = visual
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())  # unused here

    def encode_image(self, image: Tensor, normalize: bool = False) -> Tensor:
        """Embed pictures.

        Args:
            image: normalised RGB, (B, 3, H, W).
            normalize: whether embeddings have unit norm.

        Returns:
            Embeddings, (B, dim).
        """
        embedded: Tensor = self.visual(image)
        return unit(embedded, dim=-1) if normalize else embedded


def build_vit_b_32() -> CLIPNetwork:
    """Build the network of OpenAI's ViT-B/32, in open_clip ``ViT-B-32-quickgelu``; the weights are to be loaded."""
    visual = VisionTransformer(512, image_size=224, patch_size=32, width=768, layers=12, quick=True)
    text = {"context_length": 77, "vocab_size": 49_408, "width": 512, "heads": 8, "layers": 12}
    return CLIPNetwork(visual, 512, text, quick=True)
