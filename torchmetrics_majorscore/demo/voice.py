"""The generator's voice: a sound as one period of its log-mel and a rate, and back to a waveform.

Objects of the embedded world sound in a steady beat. The rate is where the spectrum of the onsets has a comb of
harmonics; all periods of a sound, laid over each other at that rate, give one of constant length that starts at its
strongest onset. The way back repeats it, and :class:`.vocoder.Vocoder` makes a waveform.
"""

import math

import torch
from torch import Tensor, nn

from torchmetrics_majorscore.training.generator.vocoder import HOP, SAMPLE_RATE

BINS = 32
RATES = torch.logspace(math.log10(0.75), math.log10(4.0), 48)
HARMONICS = 4


def fold(mels: Tensor) -> tuple[Tensor, Tensor]:
    """Find the beat of sounds and lay their periods over each other.

    Args:
        mels: log-mels (B, N_MELS, T).

    Returns:
        One period of each sound (B, N_MELS, BINS), from its strongest onset on, and rates in Hz, (B,).
    """
    rates = _rates(mels)
    left, right, share = _phases(rates, mels.shape[-1])
    total, weight = mels.new_zeros(*mels.shape[:2], BINS), mels.new_zeros(len(mels), 1, BINS)
    for bins, part in ((left, 1.0 - share), (right, share)):
        total.scatter_add_(2, bins[:, None].expand_as(mels), mels * part[:, None])
        weight.scatter_add_(2, bins[:, None], part[:, None])
    periods = total / weight.clamp(min=1e-3)
    start = _onsets(torch.cat([periods[..., -1:], periods], dim=-1)).argmax(dim=-1, keepdim=True)
    order = (start + torch.arange(BINS, device=mels.device)) % BINS
    return periods.gather(2, order[:, None].expand_as(periods)), rates


def repeat(periods: Tensor, rates: Tensor, frames: int) -> Tensor:
    """Repeat periods (B, N_MELS, BINS) at rates (B,) in Hz for a number of mel frames; (B, N_MELS, frames)."""
    left, right, share = _phases(rates, frames)

    def at(bins: Tensor) -> Tensor:
        return periods.gather(2, bins[:, None].expand(-1, periods.shape[1], -1))

    return at(left) * (1.0 - share[:, None]) + at(right) * share[:, None]


def _rates(mels: Tensor) -> Tensor:
    onsets = nn.functional.pad(_onsets(mels), (1, 0))
    onsets = (onsets - onsets.mean(dim=-1, keepdim=True)) * torch.hann_window(mels.shape[-1], device=mels.device)
    times = torch.arange(mels.shape[-1], device=mels.device) * HOP / SAMPLE_RATE
    rates = RATES.to(mels.device)

    def magnitude(frequencies: Tensor) -> Tensor:
        angles = 2.0 * math.pi * frequencies[:, None] * times
        return torch.hypot(onsets @ angles.cos().T, onsets @ angles.sin().T)

    comb = torch.stack([magnitude(rates * k) - magnitude(rates * (k - 0.5)) for k in range(1, HARMONICS + 1)]).sum(0)
    return rates[comb.argmax(dim=-1)]


def _onsets(mels: Tensor) -> Tensor:
    return mels.diff(dim=-1).clamp(min=0.0).mean(dim=1)


def _phases(rates: Tensor, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Give the bins left and right of each mel frame's place in its period, and how near the right one is."""
    times = torch.arange(frames, device=rates.device) * HOP / SAMPLE_RATE
    place = (times * rates[:, None]) % 1.0 * BINS
    left = place.floor()
    return left.long() % BINS, (left.long() + 1) % BINS, place - left
