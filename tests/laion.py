"""laion_clap's own audio network, to compare ours with, and state dicts as its CLAP has them."""

import importlib
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

NAME = "_laion_clap"
SMALL = {"embed_dim": 16, "depths": [2, 1, 2, 1], "num_heads": [2, 2, 4, 4]}
TINY = {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [4, 8, 16, 32]}


def import_htsat() -> Any:
    """Import laion_clap's module ``htsat`` alone.

    ``import laion_clap`` asks the network for tokenizers, changes ``sys.path`` and prints. A package of another name
    over the same folder gives the module without running any ``__init__``.
    """
    for package in ("laion_clap", "torchlibrosa"):
        if find_spec(package) is None:
            pytest.skip("needs the extra laion")
    if NAME not in sys.modules:
        package = ModuleType(NAME)
        package.__path__ = [
            str(Path(folder, "clap_module")) for folder in find_spec("laion_clap").submodule_search_locations
        ]
        sys.modules[NAME] = package
    return importlib.import_module(f"{NAME}.htsat")


def laion_htsat(size: dict[str, Any], *, fusion: bool) -> nn.Module:
    """Build laion_clap's network with seeded weights, statistics included."""
    audio = SimpleNamespace(sample_rate=48_000, window_size=1024, hop_size=480, mel_bins=64, fmin=50, fmax=14_000)
    options = {"enable_fusion": True, "fusion_type": "aff_2d"} if fusion else {}
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.filterwarnings("ignore", message="torch.meshgrid")  # laion_clap calls it the old way
        torch.manual_seed(0)
        branch = import_htsat().HTSAT_Swin_Transformer(
            spec_size=256, patch_stride=(4, 4), num_classes=527, window_size=8, config=audio, **size, **options
        )
        for name, tensor in [*branch.named_parameters(), *branch.named_buffers()]:
            if name.endswith(("running_var", "weight")) and tensor.ndim == 1:
                tensor.data.uniform_(0.8, 1.2)
            elif name.endswith(("bias", "running_mean")):
                tensor.data.normal_(0.0, 0.1)
            elif tensor.ndim > 1 and not name.endswith(("attn_mask", "position_index")) and "extractor" not in name:
                tensor.data.normal_().mul_(tensor[0].numel() ** -0.5)
    return branch.eval().requires_grad_(False)


def laion_state(branch: nn.Module, text: nn.Module | None = None) -> dict[str, Tensor]:
    """Give the state dict of a CLAP around an audio network and, if given, a text network; all layers of a training."""
    clap = nn.Module()
    clap.audio_branch = branch
    parts = {"audio": branch.num_features}
    if text is not None:
        clap.text_branch = text
        parts["text"] = text.config.hidden_size
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for part, width in parts.items():
            projection = nn.Sequential(nn.Linear(width, 512), nn.ReLU(), nn.Linear(512, 512))
            transform = nn.Module()
            transform.sequential = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Dropout(0.1), nn.Linear(512, 512))
            clap.add_module(f"{part}_projection", projection)
            clap.add_module(f"{part}_transform", transform)
    scales = {name: torch.ones(()) for name in ("logit_scale_a", "logit_scale_t")}
    position_ids = {} if text is None else {"text_branch.embeddings.position_ids": torch.arange(514)[None]}
    return {**clap.state_dict(), **scales, **position_ids}
