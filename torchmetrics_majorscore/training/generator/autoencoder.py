"""The latents of sounds: a one-dimensional convolutional VAE over log-mels, half as many steps in time.

Source: Cheng et al., "MMAudio", supplement F, in small. Where that has an adversary, so that noise does not come back
as its mean, here the decoder says how sure it is: the power in a band is Gamma distributed, of a large shape for a tone
and of a small one for noise, and what is decoded is drawn.
"""

import torch
from torch import Tensor, nn

from torchmetrics_majorscore.training.generator.vocoder import N_MELS

CHANNELS, WIDTH = 20, 128
STRIDE = 2
LEAST, MOST = -12.0, 4.0
"""Of the logarithm of a variance."""
FAR = 3.0  # nats
NOISIEST, PUREST = 0.0, 5.0
"""Of the logarithm of a shape."""


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
        self.shape = nn.Conv1d(WIDTH, N_MELS, 5, padding=2)

    def encode(self, mels: Tensor) -> tuple[Tensor, Tensor]:
        """Map log-mels (B, N_MELS, 2 L) to means and standard deviations of latents, (B, L, CHANNELS) each."""
        mean, variance = self.encoder((mels - self.mean) / self.deviation).transpose(1, 2).chunk(2, dim=-1)
        return mean, (0.5 * variance.clamp(LEAST, MOST)).exp()

    def spread(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Map latents (B, L, CHANNELS) to the logarithms of mean powers and to shapes, (B, N_MELS, 2 L) each."""
        hidden = self.decoder[:-1](latents.transpose(1, 2))
        mean = self.decoder[-1](hidden) * self.deviation + self.mean
        return mean, self.shape(hidden).clamp(NOISIEST, PUREST).exp()

    def decode(self, latents: Tensor, seed: int = 0) -> Tensor:
        """Map latents (B, L, CHANNELS) to log-mels (B, N_MELS, 2 L), with the same draw for each sample.

        The cube root of a Gamma variable is nearly normal: Wilson and Hilferty, PNAS 1931.
        """
        mean, shape = self.spread(latents)
        generator = torch.Generator().manual_seed(seed)
        normal = torch.randn(mean.shape[1:], generator=generator).to(mean)
        root = 1.0 - 1.0 / (9.0 * shape) + normal / (3.0 * shape.sqrt())
        return mean + 3.0 * root.clamp(min=0.05).log()


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


def surprise(mels: Tensor, mean: Tensor, shape: Tensor) -> Tensor:
    """Give the negative log-likelihood of log-powers, in nats each, under Gamma distributions of the powers.

    Above twenty times the mean it grows with the logarithm of the power and not with the power: an onset that comes a
    frame early would outweigh all else.
    """
    above = mels - mean
    ratio = above.clamp(max=FAR).exp() * (1.0 + (above - FAR).clamp(min=0.0))
    return shape.lgamma() - shape * (shape.log() + above - ratio)
