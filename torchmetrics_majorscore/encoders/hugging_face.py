"""Hugging Face's names of CLIP's tensors, turned into open_clip's."""

import torch
from torch import Tensor

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
