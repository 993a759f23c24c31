"""CLIP ViT-B/32 through open_clip: frames and captions to unit vectors, with an optional head behind it.

Preparation of a frame, as Hugging Face's CLIP processor does it: the short side to 224 by an antialiased bicubic
filter on 8-bit values, the long side cut off after the point; a 224 x 224 crop that starts at floor(excess / 2); values
over 255; CLIP's mean and standard deviation.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders.base import in_micro_batches, load_strictly, seed_weights
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.shared import state_digest
from torchmetrics_majorscore.encoders.table import Pool
from torchmetrics_majorscore.extras import needs_extra

ARCHITECTURE = "ViT-B-32-quickgelu"  # OpenAI's weights are trained with QuickGELU; plain ViT-B-32 gives other numbers
SIZE = 224
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
FRAMES_PER_CALL = 16
TEXTS_PER_CALL = 8
TOKEN_STEP = 8


class CLIP(nn.Module):
    """CLIP's two towers, frozen, with an optional head from CLIP's space into a joint space.

    Args:
        network: open_clip's CLIP.
        head: maps unit vectors (N, 512) into the joint space, row by row; None for CLIP's own space.
        pool: mean over a video's frames behind the head (``"after_head"``) or in front of it (``"before_head"``).
    """

    modalities = ("video", "text")
    sample_rate = 0

    def __init__(self, network: nn.Module, head: nn.Module | None = None, pool: Pool = "after_head") -> None:
        super().__init__()
        from open_clip.tokenizer import SimpleTokenizer

        self.network: Any = network
        self.head = head or nn.Identity()
        self.pool = pool
        self.tokenizer = SimpleTokenizer()
        self.name = "clip"
        self.eval().requires_grad_(False)

    def encode_video(self, batch: Sequence[Tensor]) -> Tensor:
        """Encode videos: every frame, then the mean over frames.

        Args:
            batch: frames (T, 3, H, W), uint8 RGB, T >= 1, any size.

        Returns:
            Unit-norm embeddings, float32, (B, D).
        """
        picked = [prepare_frames(frames) for frames in batch]
        in_head = self.pool == "after_head"
        embedded = in_micro_batches(lambda f: self._frames(f, with_head=in_head), torch.cat(picked), FRAMES_PER_CALL)
        videos = torch.stack([part.mean(dim=0) for part in torch.split(embedded, [len(b) for b in picked])])
        videos = normalize(videos, dim=-1)
        return videos if in_head else in_micro_batches(self._project, videos, FRAMES_PER_CALL)

    def encode_text(self, batch: Sequence[str]) -> Tensor:
        """Encode captions as they are, without a prompt template.

        Args:
            batch: captions; over 77 tokens they are cut, as open_clip does, with a warning.

        Returns:
            Unit-norm embeddings, float32, (B, D).
        """
        tokens = self.tokenizer(list(batch))
        lengths = tokens.argmax(dim=-1) + 1  # the end token has the largest number
        self._warn_of_cut(batch, lengths)
        device = self.network.positional_embedding.device
        return encode_by_length(self._texts, tokens.to(device), lengths.tolist())

    def _frames(self, frames: Tensor, *, with_head: bool) -> Tensor:
        mean, std = (torch.tensor(values, device=frames.device).view(3, 1, 1) for values in (MEAN, STD))
        pixels = (frames.float() / 255.0 - mean) / std
        embedded = normalize(self.network.visual(pixels), dim=-1)
        return self._project(embedded) if with_head else embedded

    def _texts(self, tokens: Tensor) -> Tensor:
        network, length = self.network, tokens.shape[1]
        x = network.token_embedding(tokens) + network.positional_embedding[:length]
        x = network.transformer(x, attn_mask=network.attn_mask[:length, :length])
        ends = network.ln_final(x)[torch.arange(len(x), device=x.device), tokens.argmax(dim=-1)]
        return self._project(normalize(ends @ network.text_projection, dim=-1))

    def _project(self, embedded: Tensor) -> Tensor:
        return normalize(self.head(embedded), dim=-1)

    def _warn_of_cut(self, batch: Sequence[str], lengths: Tensor) -> None:
        longest = self.tokenizer.context_length
        for text, length in zip(batch, lengths.tolist(), strict=True):
            if length == longest and (needed := len(self.tokenizer.encode(text)) + 2) > longest:
                warnings.warn(f"A caption of {needed} tokens is cut to {longest}: {text[:40]!r}...", stacklevel=2)


def encode_by_length(encode: Callable[[Tensor], Tensor], tokens: Tensor, lengths: Sequence[int]) -> Tensor:
    """Encode token rows cut to their own length, rounded up, in micro-batches of rows of one length.

    A row's shape depends on that row alone, and so do its bits; short captions cost a tenth of full rows.

    Args:
        encode: maps tokens (TEXTS_PER_CALL, L) to embeddings.
        tokens: shape (N, longest), padded at the end.
        lengths: tokens of each row that count.

    Returns:
        Embeddings (N, D), in the order of ``tokens``.
    """
    steps = [min(-(-length // TOKEN_STEP) * TOKEN_STEP, tokens.shape[1]) for length in lengths]
    rows: list[Tensor | None] = [None] * len(steps)
    for step in sorted(set(steps)):
        chosen = [row for row, own in enumerate(steps) if own == step]
        embedded = in_micro_batches(encode, tokens[chosen, :step], TEXTS_PER_CALL)
        for row, embedding in zip(chosen, embedded, strict=True):
            rows[row] = embedding
    return torch.stack([row for row in rows if row is not None])


def prepare_frames(frames: Tensor) -> Tensor:
    """Resize and crop frames to CLIP's input size, on their own device.

    Args:
        frames: shape (T, 3, H, W), uint8 RGB.

    Returns:
        Frames, uint8, (T, 3, 224, 224).
    """
    from torchvision.transforms.v2.functional import InterpolationMode, resize

    height, width = frames.shape[-2:]
    short = min(height, width)
    size = [SIZE * height // short, SIZE * width // short]
    frames = resize(frames, size, interpolation=InterpolationMode.BICUBIC, antialias=True)
    top, left = (size[0] - SIZE) // 2, (size[1] - SIZE) // 2
    return frames[..., top : top + SIZE, left : left + SIZE]


def load_network(weights: Weights) -> nn.Module:
    """Build open_clip's ViT-B-32-quickgelu and load a checkpoint in open_clip's or Hugging Face's layout."""
    needs_extra("open_clip", "cmcr")
    import open_clip

    network: nn.Module = open_clip.CLIP(**open_clip.get_model_config(ARCHITECTURE))
    if weights.seeded and not weights.folder:
        seed_weights(network)
    else:
        tensors = weights.read("clip")
        tensors = from_hugging_face(tensors) if "logit_scale" in tensors and "visual.proj" not in tensors else tensors
        load_strictly(network, tensors, weights.path("clip").name)
    return network


def load(weights: Weights, pool: Pool) -> CLIP:
    """Build CLIP in its own space."""
    clip = CLIP(load_network(weights), pool=pool)
    clip.name = f"clip{'-seeded' if weights.seeded else ''}@{state_digest(clip)}"
    return clip


_RENAMED = (
    ("text_model.embeddings.token_embedding.weight", "token_embedding.weight"),
    ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
    ("text_model.final_layer_norm.", "ln_final."),
    ("text_model.encoder.layers.", "transformer.resblocks."),
    ("vision_model.embeddings.class_embedding", "visual.class_embedding"),
    ("vision_model.embeddings.patch_embedding.", "visual.conv1."),
    ("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"),
    ("vision_model.pre_layrnorm.", "visual.ln_pre."),
    ("vision_model.post_layernorm.", "visual.ln_post."),
    ("vision_model.encoder.layers.", "visual.transformer.resblocks."),
    (".self_attn.out_proj.", ".attn.out_proj."),
    (".layer_norm1.", ".ln_1."),
    (".layer_norm2.", ".ln_2."),
    (".mlp.fc1.", ".mlp.c_fc."),
    (".mlp.fc2.", ".mlp.c_proj."),
)


def from_hugging_face(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a Hugging Face ``CLIPModel`` to open_clip's names.

    Args:
        tensors: state dict of a ``CLIPModel``.

    Returns:
        State dict of open_clip's ``CLIP``: query, key and value joined, the two projections transposed.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.endswith("position_ids") or ".self_attn.k_proj." in name or ".self_attn.v_proj." in name:
            continue
        if ".self_attn.q_proj." in name:
            parts = [tensors[name.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"]
            name, tensor = name.replace(".self_attn.q_proj.", ".attn.in_proj_"), torch.cat(parts)
        for old, new in _RENAMED:
            name = name.replace(old, new)
        renamed[name] = tensor
    renamed["text_projection"] = renamed.pop("text_projection.weight").T
    renamed["visual.proj"] = renamed.pop("visual_projection.weight").T
    return renamed
