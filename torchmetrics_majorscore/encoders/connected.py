"""The encoder ``connected``: any CLIP and any CLAP of the table with the heads that ``majorscore connect`` trained.

Its folder of weights holds ``clap_clip.safetensors``, the heads with their recipe, which names the two encoders. These
are found in that folder or by download, and each has to have the digest that the heads were trained on.
"""

import json
from typing import Any

from torch import nn

from torchmetrics_majorscore.encoders.base import load_strictly
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.cmcr import CMCR, Heads
from torchmetrics_majorscore.encoders.handle import state_digest
from torchmetrics_majorscore.encoders.table import Pool, find_encoder

HEADS = "clap_clip.safetensors"


def load(weights: Weights, pool: Pool) -> CMCR:
    """Build the encoder of a folder that ``majorscore connect`` wrote.

    Raises:
        ValueError: heads without a recipe, of encoders that take no head, or trained on other weights.
        FileNotFoundError: the weights of one of the two are missing.
    """
    path = weights.path(HEADS)
    clip, clap = (_part(full, weights, pool, path) for full in _encoders(path))
    tensors = weights.read(HEADS)
    hidden, of_clap = tensors["Head_A.net1.0.weight"].shape
    heads = Heads(of_clap, tensors["Head_B.net1.0.weight"].shape[1], hidden, len(tensors["Head_A.net2.0.weight"]))
    load_strictly(heads, tensors, path.name)
    clip.head, clap.head, clip.pool = heads.Head_B, heads.Head_A, pool
    digest = state_digest(nn.ModuleList([clip, clap]))
    return CMCR(clip, clap, f"connected{'-seeded' if weights.seeded else ''}@{digest}")


def _encoders(path: Any) -> tuple[str, str]:
    """Read the names of CLIP and CLAP, with their digests, off the heads."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        recipe = json.loads((file.metadata() or {}).get("recipe", "{}"))
    if "encoders" not in recipe:
        raise ValueError(f"Expected heads with their recipe, as `majorscore connect` writes them, got {path} without.")
    return recipe["encoders"]["clip"], recipe["encoders"]["clap"]


def _part(full: str, weights: Weights, pool: Pool, path: Any) -> Any:
    name = full.partition("@")[0].removesuffix("-seeded")
    entry = find_encoder(name)
    try:
        found = entry.find_weights(weights.folder)
    except FileNotFoundError:
        found = entry.find_weights(None)
    part: Any = entry.build(found, pool)
    if not hasattr(part, "head"):
        raise ValueError(f"Expected heads of a CLIP and a CLAP in {path}, got those of {name}.")
    if part.name.replace("-seeded@", "@") != full.replace("-seeded@", "@"):
        raise ValueError(f"Expected {full}, as for {path}, got {part.name}.")
    return part
