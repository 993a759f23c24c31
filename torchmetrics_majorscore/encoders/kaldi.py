"""Kaldi's log-mel spectrogram at 16 kHz: 25 ms every 10 ms, without dither. Source: Povey et al., ASRU 2011."""

import torch
from torch import Tensor

from torchmetrics_majorscore.functional.mel_bands import kaldi_bands

RATE = 16_000
WINDOW, N_FFT, HOP = 400, 512, 160
LOWEST, HIGHEST = 20.0, 8_000.0  # Hz
EMPHASIS = 0.97
FLOOR = 1.1920928955078125e-07  # Kaldi's: the smallest step of float32 at 1


def kaldi_filters(bands: int) -> tuple[Tensor, Tensor]:
    """Give the window (400,) and the filters of the mel scale (257, bands)."""
    return torch.hann_window(WINDOW, periodic=False), kaldi_bands(RATE, N_FFT, bands, LOWEST, HIGHEST)


def kaldi_log_mel(waveform: Tensor, window: Tensor, bands: Tensor) -> Tensor:
    """Compute the log-mel (T, bands) of a waveform (S,), float32, S >= 400, with what :func:`kaldi_filters` gives."""
    frames = waveform.unfold(0, WINDOW, HOP)
    frames = frames - frames.mean(dim=1, keepdim=True)
    before = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
    spectrum = torch.fft.rfft((frames - EMPHASIS * before) * window, N_FFT).abs() ** 2.0
    mel: Tensor = (spectrum @ bands).clamp(min=FLOOR).log()
    return mel
