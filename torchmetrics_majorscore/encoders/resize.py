"""Resizing and cropping frames with PIL's bicubic filter, as CLIP's own preparation does, on the frames' device."""

from functools import lru_cache

import torch
from torch import Tensor

SUPPORT = 2.0  # the cubic filter is zero from here on, in source pixels or, when shrinking, in target pixels


def prepare_frames(frames: Tensor, target: int) -> Tensor:
    """Bring the short side of frames to ``target`` by an antialiased bicubic filter, and crop the centre.

    PIL filters rows, rounds to 8 bits, filters columns and rounds again. torchvision does the same on a processor with
    AVX; elsewhere it rounds once, which moves a CLIP embedding by up to 1e-4, so two matrix products take its place.

    Args:
        frames: shape (T, 3, H, W), uint8 RGB.
        target: height and width of the result.

    Returns:
        Frames, uint8, (T, 3, target, target).
    """
    height, width = frames.shape[-2:]
    short = min(height, width)
    size = (target * height // short, target * width // short)
    top, left = ((side - target) // 2 for side in size)
    if frames.device.type == "cpu" and torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        from torchvision.transforms.v2.functional import InterpolationMode, resize

        frames = resize(frames, list(size), interpolation=InterpolationMode.BICUBIC, antialias=True)
        return frames[..., top : top + target, left : left + target]
    columns = _filters(width, size[1], left, target, frames.device)
    rows = _filters(height, size[0], top, target, frames.device)
    return _to_8_bits(rows @ _to_8_bits(frames.float() @ columns.T)).to(torch.uint8)


@lru_cache(maxsize=16)
def _filters(source: int, size: int, start: int, count: int, device: torch.device) -> Tensor:
    """Give what each source pixel of a line adds to each of ``count`` of its ``size`` target pixels: (count, source).

    Keys' cubic with a = -0.5, as in PIL. Videos of a data set share few sizes, so filters stay on their device.
    """
    scale = source / size
    centres = (torch.arange(start, start + count, dtype=torch.float64) + 0.5) * scale
    pixels = torch.arange(source, dtype=torch.float64) + 0.5
    x = ((pixels - centres[:, None]) / max(scale, 1.0)).abs()
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((2.5 - 0.5 * x) * x - 4) * x + 2
    weights = torch.where(x < 1, near, torch.where(x < SUPPORT, far, 0.0))
    return (weights / weights.sum(dim=1, keepdim=True)).float().to(device)


def _to_8_bits(values: Tensor) -> Tensor:
    return (values + 0.5).floor().clamp(0, 255)
