"""Rows that are computed once: kept in a file with a key of all that they depend on."""

import json
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from torchmetrics_majorscore.encoders.checkpoints import write_tensors


def kept_rows(
    path: Path, key: str, encoder: str, compute: Callable[[], tuple[Tensor, list[str]]]
) -> tuple[Tensor, list[str]]:
    """Read rows, or compute and keep them.

    Args:
        path: of the safetensors file.
        key: digest of all that the rows depend on; with another one in the file they are computed again.
        encoder: its name with the digest of its weights, kept beside the rows.
        compute: gives the rows (N, D), NaN for inputs that were left out, and why; if all were, nothing is kept.

    Returns:
        What ``compute`` gives or gave.
    """
    known = _read(path, key)
    if known is not None:
        return known
    rows, left_out = compute()
    if not rows.isnan().all():
        write_tensors(path, {"rows": rows}, {"key": key, "encoder": encoder, "left_out": json.dumps(left_out)})
    return rows, left_out


def _read(path: Path, key: str) -> tuple[Tensor, list[str]] | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            return (file.get_tensor("rows"), json.loads(metadata["left_out"])) if metadata.get("key") == key else None
    except (FileNotFoundError, SafetensorError):
        return None
