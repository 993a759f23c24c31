"""MMAudio's public checkpoint layout: which of its tensors is which of ours, and numbers by formula to fill it with."""

import math
import re
import zlib

import torch

PARTS = [
    (r"^latent_in\.", "audio_input_proj."), (r"^clip_in\.", "clip_input_proj."), (r"^text_in\.", "text_input_proj."),
    (r"^sync_in\.", "sync_input_proj."), (r"^sync_position$", "sync_pos_emb"), (r"^clip_whole\.", "clip_cond_proj."),
    (r"^text_whole\.", "text_cond_proj."), (r"^whole\.", "global_cond_mlp."), (r"^time\.first\.", "t_embed.mlp.0."),
    (r"^time\.second\.", "t_embed.mlp.2."), (r"^joint\.(\d+)\.latent\.", r"joint_blocks.\1.latent_block."),
    (r"^joint\.(\d+)\.visual\.", r"joint_blocks.\1.clip_block."),
    (r"^joint\.(\d+)\.text\.", r"joint_blocks.\1.text_block."), (r"^single\.", "fused_blocks."),
    (r"\.attention\.", ".attn."), (r"\.out\.", ".linear1."), (r"\.mlp\.(w\d)", r".ffn.\1"),
    (r"\.modulation\.", ".adaLN_modulation.1."), (r"^modulation\.", "final_layer.adaLN_modulation.1."),
    (r"^latent_out\.", "final_layer.conv."), (r"^empty_text$", "empty_string_feat"),
    (r"^empty_(clip|sync)$", r"empty_\1_feat"),
]  # fmt: skip


def public_name(own):
    """Give the public name of one of our tensors."""
    for pattern, public in PARTS:
        own = re.sub(pattern, public, own)
    return own


def fill(network, tensors):
    """Load tensors of the public layout; they have dimensions of size 1 where ours have none."""
    own = network.state_dict()
    taken = {name: tensors[public_name(name)].reshape(x.shape) for name, x in own.items()}
    assert len(taken) == len(tensors)
    network.load_state_dict(taken)


def wave(name, shape, size=1.0):
    """Fill a tensor by a formula that needs no random numbers."""
    numbers = torch.arange(math.prod(shape), dtype=torch.float64)
    phase = zlib.crc32(name.encode()) % 1000
    return (size * torch.sin(phase + numbers * 1.618 + 0.01 * numbers**1.3)).float().reshape(shape)


def waves(shapes):
    """Fill a public checkpoint, name to shape, as strongly as a trained one has it."""
    tensors = {}
    for name, shape in shapes.items():
        if name == "latent_std" or name.endswith("norm.weight"):
            tensors[name] = 1.0 + wave(name, shape, 0.2)
        elif len(shape) > 1 and name.endswith("weight"):
            tensors[name] = wave(name, shape, 0.9 * math.prod(shape[1:]) ** -0.5)
        else:
            tensors[name] = wave(name, shape, 0.3)
    return tensors
