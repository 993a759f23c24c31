"""Sample rate conversion on the waveform's own device, close to the resampler that CLAP was trained behind."""

import math
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from torchmetrics_majorscore.encoders.base import clean_build
from torchmetrics_majorscore.extras import needs_extra

_LARGEST_FILTER = 2**26  # values; torchaudio computes them in float64, with copies, in 2 GB


def resample(waveform: Tensor, source_rate: int, target_rate: int) -> Tensor:
    """Convert a mono waveform to another sample rate.

    A Kaiser-windowed sinc whose transition band follows soxr's "HQ" setting, with which librosa (and so laion_clap and
    C-MCR) resamples; torchaudio's default filter differs from it by 4.6e-2 in 1 - cosine of the embedding. The length
    is librosa's as well: ceil(S * (target / source)) with the ratio rounded to float64, which makes 480 001 samples of
    exactly 10 s at 44.1 kHz, the last one zero.

    Args:
        waveform: shape (S,), float32, S >= 1.
        source_rate: its rate in Hz.
        target_rate: wanted rate in Hz.

    Returns:
        Waveform, float32, (ceil(S * target / source),); the same tensor if the rates are equal.

    Raises:
        ValueError: the rates have next to no common divisor, as 44 099 Hz and 48 kHz, whose filter takes 17 GB.
    """
    if source_rate == target_rate:
        return waveform
    resampled: Tensor = _resampler(source_rate, target_rate, waveform.device)(waveform)
    length = math.ceil(len(waveform) * (float(target_rate) / source_rate))
    return pad(resampled, (0, length - len(resampled)))


@cache
def _resampler(source_rate: int, target_rate: int, device: torch.device) -> nn.Module:
    """Build the filter once per pair of rates and device."""
    needs_extra("torchaudio", "cmcr")
    from torchaudio.transforms import Resample

    divisor = math.gcd(source_rate, target_rate)
    if source_rate * target_rate // divisor**2 > _LARGEST_FILTER:
        got = f"{source_rate} Hz, whose filter would not fit in memory"
        raise ValueError(f"Expected a sample rate with a larger common divisor with {target_rate} Hz, got {got}.")
    with clean_build():
        resampler: nn.Module = Resample(
            source_rate,
            target_rate,
            resampling_method="sinc_interp_kaiser",
            lowpass_filter_width=94,
            rolloff=0.9565,
            beta=12.8,
        )
    return resampler.to(device)
