"""Resizing and cropping frames as CLIP's own preparation does: the bytes of PIL's filters, on any device."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

STEPS = 2.0**22  # PIL rounds the filter's weights to multiples of 1 / STEPS
BLOCK = 32  # target pixels of one product; few source pixels reach them

Filters = list[tuple[int, int, Tensor]]
Filter = Literal["bicubic", "bilinear"]


@dataclass(frozen=True)
class Resizing:
    """How pictures become squares; the defaults are those of Hugging Face's CLIP processor.

    Args:
        squash: bring both sides to the size, whatever the picture's shape, instead of the short one and a crop.
        filter: of PIL, antialiased.
        even: where an odd number of pixels is cut off, cut so that the first kept pixel has an even number, as
            torchvision's ``CenterCrop`` does; False for one pixel less at the start.
    """

    squash: bool = False
    filter: Filter = "bicubic"
    even: bool = False

    def fit(self, height: int, width: int, target: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Give the size that pictures are brought to, and the first row and column that are kept."""
        if self.squash:
            return (target, target), (0, 0)
        short = min(height, width)
        size = target * height // short, target * width // short
        first = [round((side - target) / 2) if self.even else (side - target) // 2 for side in size]
        return size, (first[0], first[1])


def prepare_frames(frames: Tensor, target: int, how: Resizing = Resizing()) -> Tensor:
    """Bring frames to squares of ``target``: the short side by an antialiased bicubic filter, and the centre cropped.

    PIL filters one direction, rounds to 8 bits, filters the other and rounds again, with whole numbers as weights. The
    lines across come first; since Pillow 13 the lines down, where a picture loses more than twice as many pixels of
    height as of width, which was found by comparing bytes. It is the order here, whatever Pillow is installed. Sums of
    whole numbers are exact in float64 in any order, so matrix products give PIL's bytes on every device, with any
    number of threads. (torchvision's resize differs in up to 1 % of the bytes, by one.)

    Args:
        frames: shape (T, 3, H, W), uint8 RGB.
        target: height and width of the result.
        how: another way of resizing.

    Returns:
        Frames, uint8, (T, 3, target, target).
    """
    height, width = frames.shape[-2:]
    if height == width == target:
        return frames
    size, (top, left) = how.fit(height, width, target)
    device = torch.device("cpu") if frames.device.type == "mps" else frames.device  # which has no float64
    columns = _filters(width, size[1], left, target, how.filter, device)
    rows = _filters(height, size[0], top, target, how.filter, device)
    # One by one: a frame of 720p takes 22 MB in float64.
    down_first = height - size[0] > 2 * max(width - size[1], 0)
    resized = [_resize(frame.to(device), columns, rows, down_first=down_first) for frame in frames]
    return torch.stack(resized).to(frames.device)


def _resize(frame: Tensor, columns: Filters, rows: Filters, *, down_first: bool) -> Tensor:
    seen = frame[:, rows[0][0] : rows[-1][1], columns[0][0] : columns[-1][1]].double()
    if down_first:
        return _across(_down(seen, rows), columns).to(torch.uint8)
    return _down(_across(seen, columns), rows).to(torch.uint8)


def _across(frame: Tensor, columns: Filters) -> Tensor:
    """Filter each line of pixels that runs across; the first pixel is the first that is reached."""
    left = columns[0][0]
    parts = [frame[..., first - left : last - left] @ weights.T for first, last, weights in columns]
    return _to_8_bits(torch.cat(parts, dim=-1))


def _down(frame: Tensor, rows: Filters) -> Tensor:
    """Filter each line of pixels that runs down, likewise."""
    top = rows[0][0]
    return _to_8_bits(
        torch.cat([weights @ frame[:, first - top : last - top] for first, last, weights in rows], dim=-2)
    )


@lru_cache(maxsize=16)
def _filters(source: int, size: int, start: int, count: int, kind: Filter, device: torch.device) -> Filters:
    """Give what source pixels of a line add to ``count`` of its ``size`` target pixels, ``BLOCK`` of them at a time.

    Videos of a data set share few sizes, so filters stay on their device.

    Returns:
        First source pixel, the one behind the last, and weights, float64, (up to BLOCK, last - first).
    """
    scale = source / size
    centres = (torch.arange(start, start + count, dtype=torch.float64, device="cpu") + 0.5) * scale
    pixels = torch.arange(source, dtype=torch.float64, device="cpu") + 0.5
    x = ((pixels - centres[:, None]) / max(scale, 1.0)).abs()
    weights = _cubic(x) if kind == "bicubic" else (1 - x).clamp(min=0.0)
    weights = weights / weights.sum(dim=1, keepdim=True) * STEPS
    whole = (weights + torch.where(weights < 0, -0.5, 0.5)).trunc() / STEPS
    filters = []
    for block in torch.split(whole, BLOCK):
        reached = block.any(dim=0).nonzero()[:, 0].tolist()
        first, last = reached[0], reached[-1] + 1
        filters.append((first, last, block[:, first:last].to(device)))
    return filters


def _cubic(x: Tensor) -> Tensor:
    """Give Keys' cubic with a = -0.5, as in PIL, at distances in source pixels or, when shrinking, in target pixels."""
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((2.5 - 0.5 * x) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def _to_8_bits(values: Tensor) -> Tensor:
    return (values + 0.5).floor_().clamp_(0, 255)
