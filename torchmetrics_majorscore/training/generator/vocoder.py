"""Waveforms of 48 kHz to log-mels and back.

The way back makes magnitudes by the pseudo-inverse of the mel matrix and phases by the fast Griffin-Lim algorithm
(Perraudin et al., WASPAA 2013). Nothing in it is trained.
"""

import torch
from torch import Tensor, nn

from torchmetrics_majorscore.encoders.mel import MelOptions

SAMPLE_RATE = 48_000
N_FFT, HOP, N_MELS = 2048, 960, 128
FLOOR = 1e-7
SILENT = 1e-12  # a power whose root still has a slope
ITERATIONS = 16
MOMENTUM = 0.99 / 1.99


class Vocoder(nn.Module):
    """Waveforms to log-mels and back."""

    window: Tensor
    bands: Tensor
    inverse: Tensor

    def __init__(self) -> None:
        super().__init__()
        options = MelOptions(SAMPLE_RATE, n_fft=N_FFT, n_mels=N_MELS, f_min=0.0, f_max=SAMPLE_RATE / 2)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)
        self.register_buffer("bands", options.bands, persistent=False)
        self.register_buffer("inverse", torch.linalg.pinv(self.bands.T), persistent=False)

    def analyse(self, waveforms: Tensor) -> Tensor:
        """Map (B, S) in [-1, 1] to natural log-mels (B, N_MELS, S // HOP + 1)."""
        power = self._spectra(waveforms).abs().pow(2.0)
        return torch.log((power.transpose(1, 2) @ self.bands).transpose(1, 2) + FLOOR)

    def synthesise(self, mels: Tensor) -> Tensor:
        """Map log-mels (B, N_MELS, T) to waveforms (B, HOP * (T - 1)) in [-1, 1]."""
        power = (self.inverse @ (mels.exp() - FLOOR)).clamp(min=SILENT)
        magnitudes = power.sqrt()
        return self._waveforms(magnitudes * self._phases(magnitudes)).clamp(-1.0, 1.0)

    @torch.no_grad()
    def _phases(self, magnitudes: Tensor) -> Tensor:
        """Give phases that fit magnitudes, as complex numbers of length 1; gradients take them as given."""
        phases = torch.ones_like(magnitudes, dtype=torch.complex64)
        last = torch.zeros_like(phases)
        for _ in range(ITERATIONS):
            spectra = self._spectra(self._waveforms(magnitudes * phases))
            phases = spectra.sub(last, alpha=MOMENTUM).sgn()
            last = spectra
        return phases

    def _spectra(self, waveforms: Tensor) -> Tensor:
        return torch.stft(waveforms, N_FFT, HOP, window=self.window, pad_mode="reflect", return_complex=True)

    def _waveforms(self, spectra: Tensor) -> Tensor:
        return torch.istft(spectra, N_FFT, HOP, window=self.window)
