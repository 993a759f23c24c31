"""A trained late-fusion model as files: heads with everything that they came from."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torchmetrics_majorscore import __version__
from torchmetrics_majorscore.encoders.checkpoints import write_tensors
from torchmetrics_majorscore.training.fusion.module import Trained


def save_heads(
    trained: Trained,
    path: Path,
    backbones: Mapping[str, str],
    items: Mapping[str, int],
    weights: Mapping[str, str] | None = None,
) -> None:
    """Write heads with their recipe, which :mod:`.encoders.late_fusion` reads.

    Args:
        trained: the heads.
        path: of the safetensors file.
        backbones: modality to the name of its backbone, with the digest of its weights.
        items: modality to the number of training items.
        weights: modality to where the weights of its backbone lay, of those that were named in the config.
    """
    recipe: dict[str, Any] = {
        "options": dataclasses.asdict(trained.options),
        "backbones": {name: backbones[name] for name in trained.heads},
        "widths": {name: trained.heads.state_dict()[f"{name}.first.weight"].shape[1] for name in trained.heads},
        "weights": {name: place for name, place in (weights or {}).items() if name in trained.heads},
        "items": {name: items[name] for name in trained.heads},
        "steps": trained.steps,
        "best_step": trained.best_step,
        "loss": trained.loss,
        "majorscore": __version__,
    }
    write_tensors(path, trained.heads.state_dict(), {"recipe": json.dumps(recipe)})
