"""Seeded pictures and sounds, and encoding them anew."""

import torch

CPU = torch.device("cpu")


def picture(height: int, width: int) -> torch.Tensor:
    """Make a picture of seeded blotches with fine noise."""
    generator = torch.Generator().manual_seed(height)
    blotches = torch.randint(30, 226, (1, 3, height // 32 + 1, width // 32 + 1), generator=generator)
    coarse = blotches.repeat_interleave(32, 2).repeat_interleave(32, 3)[..., :height, :width]
    return (coarse + torch.randint(-30, 31, coarse.shape, generator=generator)).to(torch.uint8)


def sound(seconds: float, rate: int = 48_000, seed: int = 0) -> torch.Tensor:
    """Make a gliding tone with noise, and silence between."""
    t = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    noise = 0.1 * torch.randn(len(t), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    tone = 0.4 * torch.sin(2 * torch.pi * (300 + 100 * seed) * t * (1 + 0.05 * t))
    return ((tone + noise) * (torch.sin(2 * t + seed) > -0.6)).float()


def encode(handle, modality, batch):
    """Encode without the memory of the last batch."""
    handle._last.clear()
    return handle.encode(modality, batch, CPU)
