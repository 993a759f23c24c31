"""The generator's voice: a sound as one period of its log-mel and a rate, and back to a waveform.

Objects of the embedded world sound in a steady beat. The rate is where the spectrum of the onsets has a comb of
harmonics; all periods of a sound, laid over each other at that rate, give one of constant length that starts at its
strongest onset. The way back repeats it and makes a waveform by the pseudo-inverse of the mel matrix and the fast
Griffin-Lim algorithm (Perraudin et al., WASPAA 2013).
"""

import math

import torch
from torch import Tensor, nn

from torchmetrics_majorscore.encoders.mel import MelOptions

SAMPLE_RATE = 48_000
N_FFT, HOP, N_MELS = 2048, 960, 128
FLOOR = 1e-7
ITERATIONS = 16
MOMENTUM = 0.99 / 1.99
BINS = 32
RATES = torch.logspace(math.log10(0.75), math.log10(4.0), 48)
HARMONICS = 4


class Vocoder(nn.Module):
    """Waveforms to log-mels and back."""

    window: Tensor
    bands: Tensor
    inverse: Tensor

    def __init__(self) -> None:
        super().__init__()
        options = MelOptions(SAMPLE_RATE, n_fft=N_FFT, n_mels=N_MELS, f_min=0.0, f_max=SAMPLE_RATE / 2)
        self.register_buffer("window", torch.hann_window(N_FFT))
        self.register_buffer("bands", options.bands)
        self.register_buffer("inverse", torch.linalg.pinv(self.bands.T))

    def analyse(self, waveforms: Tensor) -> Tensor:
        """Map (B, S) in [-1, 1] to natural log-mels (B, N_MELS, S // HOP + 1)."""
        power = self._spectra(waveforms).abs().pow(2.0)
        return torch.log((power.transpose(1, 2) @ self.bands).transpose(1, 2) + FLOOR)

    def synthesise(self, mels: Tensor) -> Tensor:
        """Map log-mels (B, N_MELS, T) to waveforms (B, HOP * (T - 1)) in [-1, 1]."""
        power = (self.inverse @ (mels.exp() - FLOOR)).clamp(min=0.0)
        magnitudes = power.sqrt()
        phases = torch.ones_like(magnitudes, dtype=torch.complex64)
        last = torch.zeros_like(phases)
        for _ in range(ITERATIONS):
            spectra = self._spectra(self._waveforms(magnitudes * phases))
            phases = spectra.sub(last, alpha=MOMENTUM).sgn()
            last = spectra
        return self._waveforms(magnitudes * phases).clamp(-1.0, 1.0)

    def _spectra(self, waveforms: Tensor) -> Tensor:
        return torch.stft(waveforms, N_FFT, HOP, window=self.window, pad_mode="reflect", return_complex=True)

    def _waveforms(self, spectra: Tensor) -> Tensor:
        return torch.istft(spectra, N_FFT, HOP, window=self.window)


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
