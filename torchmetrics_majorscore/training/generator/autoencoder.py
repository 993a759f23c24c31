"""The latents of sounds: a one-dimensional convolutional VAE over log-mels, half as many steps in time.

Source: Cheng et al., "MMAudio", supplement F, in small and without its adversary.
"""

import torch
from torch import Tensor, nn

from torchmetrics_majorscore.training.generator.vocoder import N_MELS

CHANNELS, WIDTH = 20, 128
STRIDE = 2
LEAST, MOST = -12.0, 4.0
"""Of the logarithm of a variance."""


class Autoencoder(nn.Module):
    """Log-mels to the mean and deviation of latents, and latents to log-mels."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(N_MELS, 1))
        self.register_buffer("deviation", torch.ones(N_MELS, 1))
        self.encoder = nn.Sequential(
            nn.Conv1d(N_MELS, WIDTH, 5, padding=2),
            Block(),
            nn.Conv1d(WIDTH, WIDTH, 2 * STRIDE, STRIDE, STRIDE // 2),
            Block(),
            nn.Conv1d(WIDTH, 2 * CHANNELS, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            nn.Conv1d(CHANNELS, WIDTH, 3, padding=1),
            Block(),
            nn.ConvTranspose1d(WIDTH, WIDTH, 2 * STRIDE, STRIDE, STRIDE // 2),
            Block(),
            Block(),
            nn.Conv1d(WIDTH, N_MELS, 5, padding=2),
        )

    def encode(self, mels: Tensor) -> tuple[Tensor, Tensor]:
        """Map log-mels (B, N_MELS, 2 L) to means and standard deviations of latents, (B, L, CHANNELS) each."""
        mean, variance = self.encoder((mels - self.mean) / self.deviation).transpose(1, 2).chunk(2, dim=-1)
        return mean, (0.5 * variance.clamp(LEAST, MOST)).exp()

    def decode(self, latents: Tensor) -> Tensor:
        """Map latents (B, L, CHANNELS) to log-mels (B, N_MELS, 2 L)."""
        mels: Tensor = self.decoder(latents.transpose(1, 2)) * self.deviation + self.mean
        return mels


class Block(nn.Module):
    """A step of its own for each channel over time, then one over channels, beside what came (ConvNeXt)."""

    def __init__(self) -> None:
        super().__init__()
        self.over_time = nn.Conv1d(WIDTH, WIDTH, 7, padding=3, groups=WIDTH)
        self.over_channels = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH), nn.GELU(), nn.Linear(3 * WIDTH, WIDTH)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, WIDTH, T) to the same shape."""
        changed: Tensor = self.over_channels(self.over_time(x).transpose(1, 2)).transpose(1, 2)
        return x + changed
