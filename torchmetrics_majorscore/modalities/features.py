"""Any other modality: tensors of the shape that an encoder declares, such as depth, point clouds, IMU or EEG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.modalities.base import Checked, Modality

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Features(Modality):
    """(B, *shape) or a list of tensors of that shape, floating or whole numbers, taken as float32.

    Args:
        name: of the modality.
        shape: of a sample; None for a dimension of any size above 0.
    """

    def __init__(self, name: str, shape: tuple[int | None, ...]) -> None:
        self.name = name  # type: ignore[misc]
        self.columns = (name,)  # type: ignore[misc]
        self.shape = shape

    def check(self, batch: Any, rate: None = None) -> Checked:
        """Check tensors: float32, of the declared shape per sample."""
        checked = Checked()
        for sample in batch:
            reason = "is missing" if sample is None else self._find_fault(sample)
            checked.add(None if sample is None or reason else sample.float(), reason)
        return checked

    def prepare(self, sample: Tensor, rate: None, encoder: Any, device: torch.device) -> Tensor:
        """Bring a sample to the device."""
        return sample.to(device)

    def _find_fault(self, sample: Any) -> str:
        import torch

        if not isinstance(sample, torch.Tensor):
            raise ValueError(f"Expected {self.name} as tensors, got {type(sample).__name__}.")
        fits = len(sample.shape) == len(self.shape) and all(
            own > 0 and own == (wanted or own) for own, wanted in zip(sample.shape, self.shape, strict=True)
        )
        if not fits or sample.is_complex() or sample.dtype == torch.bool:
            wanted = ", ".join("any" if size is None else str(size) for size in self.shape)
            raise ValueError(
                f"Expected {self.name} of shape ({wanted}) per sample, as the encoder declares it, got "
                f"{tuple(sample.shape)} {sample.dtype}."
            )
        return "" if sample.isfinite().all() else "has NaN or infinite values"
