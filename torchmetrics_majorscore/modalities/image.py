"""Image: one picture per sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.modalities.base import Checked, Modality
from torchmetrics_majorscore.modalities.video import find_range_fault, to_uint8

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Image(Modality):
    """(B, 3, H, W) or a list of (3, H, W), uint8 RGB or float in [0, 1]."""

    name = "image"
    columns = ("image",)
    suffixes = (".png", ".jpg", ".jpeg", ".webp", ".bmp")

    def check(self, batch: Any, rate: None = None) -> Checked:
        """Check pictures: uint8, (3, H, W) per sample."""
        from torch import Tensor

        if isinstance(batch, Tensor) and batch.ndim != 4:
            hint = "; one image needs a batch dimension" if batch.ndim == 3 else ""
            raise ValueError(f"Expected image (B, 3, H, W) or a list of (3, H, W), got {tuple(batch.shape)}{hint}.")
        checked = Checked()
        for picture in batch:
            reason = "is missing" if picture is None else _find_fault(picture)
            checked.add(None if picture is None or reason else to_uint8(picture), reason)
        return checked

    def prepare(self, sample: Tensor, rate: None, encoder: Any, device: torch.device) -> Tensor:
        """Bring a picture to the device; the encoder resizes it there."""
        return sample.to(device)


def _find_fault(picture: Any) -> str:
    """Give the reason why a sample has no value, "" if there is none; what is wrong in the whole batch raises."""
    import torch

    if not isinstance(picture, torch.Tensor):
        raise ValueError(f"Expected an image as a tensor, got {type(picture).__name__}.")
    if picture.ndim != 3 or picture.shape[0] != 3 or 0 in picture.shape:
        hint = "; channels last? use .movedim(-1, -3)" if picture.ndim == 3 and picture.shape[-1] == 3 else ""
        raise ValueError(f"Expected an image (3, H, W) per sample, got {tuple(picture.shape)}{hint}.")
    return find_range_fault(picture, "image")
