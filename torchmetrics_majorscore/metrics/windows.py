"""Features of a batch as rows, one for each vector, of samples that have one vector or several."""

from collections.abc import Sequence

import torch
from torch import Tensor

from torchmetrics_majorscore.metrics.ids import ids_of_parts, ids_to_int64
from torchmetrics_majorscore.metrics.inputs import check_rows


def window_rows(
    name: str, features: Tensor | Sequence[Tensor], ids: Sequence[int | str] | Tensor | None
) -> tuple[Tensor, Tensor]:
    """Give an id and a row for each vector of a batch.

    Args:
        name: of the argument, also part of the ids.
        features: (B, D), (B, W, D), or a list of B tensors (W, D) of any W.
        ids: of the samples, or None.

    Returns:
        Ids, int64 (N,), of which each sample has W; rows, float32 (N, D), (0, 0) of an empty list.

    Raises:
        ValueError: other shapes, or another number of ids.
    """
    if isinstance(features, Tensor):
        checked = check_rows(name, features, ("B", "D") if features.ndim == 2 else ("B", "W", "D"))
        samples = list((checked[:, None] if checked.ndim == 2 else checked).unbind())
    else:
        samples = [check_rows(f"each of {name}", sample, ("W", "D")) for sample in features]
    if len({sample.shape[-1] for sample in samples}) > 1:
        raise ValueError(f"Expected as many features in all {name}, got {[sample.shape[-1] for sample in samples]}.")
    numbers = ids_to_int64(ids, len(samples))
    if not samples:
        return numbers, torch.empty(0, 0, device="cpu")
    most = max(len(sample) for sample in samples)
    parts = torch.stack([ids_of_parts(numbers, f"{name} {window}") for window in range(most)], dim=-1)
    own = torch.cat([row[: len(sample)] for row, sample in zip(parts, samples, strict=True)])
    return own, torch.cat(samples).float()
