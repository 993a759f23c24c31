"""Video: frames in [0, 255], of which those at t = 0, 1, 2, ... s are scored (MAJORScore, II-B), or more by time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.modalities.base import Checked, Modality, check_number

if TYPE_CHECKING:
    import torch
    from torch import Tensor

GREYER = 0.25


class Video(Modality):
    """(B, T, 3, H, W) or a list of (T, 3, H, W), uint8 RGB or float in [0, 1], at ``fps``.

    Args:
        picked: frames per second that are scored.
        centred: each is the frame seen in the middle of its time and not at the start, as FFmpeg's filter ``fps`` picks
            them by default.
    """

    name = "video"
    columns = ("video",)
    suffixes = (".mp4", ".mkv", ".webm", ".mov", ".avi")
    rate = "fps"

    def __init__(self, picked: float = 1.0, *, centred: bool = False) -> None:
        self.picked = picked
        self.centred = centred

    def check_rate(self, rate: Any) -> float | None:
        """Check ``fps``: above 0, at most 1000; None until raw video comes."""
        return None if rate is None else check_number("fps", rate, 1e-3, 1000, "fps=8")

    def check(self, batch: Any, rate: float | None = None) -> Checked:
        """Check frames and pick those that are scored: uint8, (ceil(T / fps * picked), 3, H, W) per sample."""
        from torch import Tensor

        if rate is None:
            raise ValueError("Expected fps > 0 to score raw video, got None: pass the frame rate, e.g. fps=8.")
        if isinstance(batch, Tensor) and batch.ndim != 5:
            hint = "; a batch of images needs a frame dimension" if batch.ndim == 4 else ""
            raise ValueError(
                f"Expected video (B, T, 3, H, W) or a list of (T, 3, H, W), got {tuple(batch.shape)}{hint}."
            )
        checked = Checked()
        for frames in batch:
            reason = "is missing" if frames is None else _find_fault(frames)
            if frames is None or reason:
                checked.add(None, reason)
                continue
            picked = to_uint8(frames[self._places(len(frames), rate)])
            checked.add(picked, remark=_find_doubt(frames, picked), seconds=len(frames) / rate)
        return checked

    def _places(self, count: int, rate: float) -> list[int]:
        """Give the places of the picked frames among ``count`` frames at ``rate``."""
        # The small number keeps 2 * 29.97 from ending below its frame.
        times, step = range(math.ceil(count / rate * self.picked - 1e-6)), rate / self.picked
        if self.centred:
            return [min(math.ceil((time + 0.5) * step - 1e-6) - 1, count - 1) for time in times]
        return [min(int(time * step + 1e-6), count - 1) for time in times]

    def prepare(self, sample: Tensor, rate: float | None, encoder: Any, device: torch.device) -> Tensor:
        """Bring frames to the device; the encoder resizes them there."""
        return sample.to(device)


def _find_fault(frames: Any) -> str:
    """Give the reason why a sample has no value, "" if there is none; what is wrong in the whole batch raises."""
    import torch

    if not isinstance(frames, torch.Tensor):
        raise ValueError(f"Expected frames as a tensor, got {type(frames).__name__}; media.read_frames reads files.")
    if frames.ndim != 4 or frames.shape[1] != 3 or 0 in frames.shape[2:]:
        hint = "; channels last? use .movedim(-1, -3)" if frames.ndim == 4 and frames.shape[-1] == 3 else ""
        raise ValueError(f"Expected frames (T, 3, H, W) per sample, got {tuple(frames.shape)}{hint}.")
    return "has no frames" if len(frames) == 0 else find_range_fault(frames, "video")


def find_range_fault(pictures: Tensor, what: str) -> str:
    """Give the reason why pictures have no value, "" if there is none; a wrong dtype or range raises ValueError."""
    import torch

    if pictures.dtype != torch.uint8 and not pictures.is_floating_point():
        raise ValueError(f"Expected {what} as uint8 or float, got {pictures.dtype}.")
    if pictures.is_floating_point():
        low, high = (bound.item() for bound in pictures.aminmax())
        if math.isnan(low + high) or math.isinf(low + high):
            return "has NaN or infinite values"
        if low < -1e-3 or high > 1 + 1e-3:
            hint = f"normalised to [-1, 1]? use ({what} + 1) / 2" if low < 0 else "0 to 255 as float? use uint8"
            raise ValueError(f"Expected float {what} in [0, 1], got values from {low:.4g} to {high:.4g}; {hint}.")
    return ""


def _find_doubt(frames: Tensor, picked: Tensor) -> str:
    """Say what a mistake would look like and a video hardly ever does."""
    if picked.max() == 1:
        return "holds only 0 and 1: float in [0, 1] cast to uint8?"
    if len(frames) == 3 and frames.shape[2] * frames.shape[3] > 1:
        # In the wrong order a "picture" is one colour at three moments: nearly grey, and the next one is quite another.
        # Videos that are grey have three equal colours.
        time, colour = (frames.float().diff(dim=dim).abs().mean() for dim in (0, 1))
        if 0 < colour < GREYER * time:
            return "has nearly grey pictures that change a lot: (3, T, H, W) instead of (T, 3, H, W)?"
    return ""


def to_uint8(frames: Tensor) -> Tensor:
    """Bring pictures that passed :func:`find_range_fault` to uint8."""
    import torch

    # CLIP's preparation starts from 8-bit pictures, so float and uint8 frames of one picture have one score.
    return frames if frames.dtype == torch.uint8 else (frames.float() * 255.0).round().clamp(0, 255).to(torch.uint8)
