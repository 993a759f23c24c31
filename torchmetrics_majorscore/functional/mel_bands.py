"""The triangular filters that make a mel spectrogram of a power spectrum."""

import math
from typing import Literal

import torch
from torch import Tensor

Scale = Literal["htk", "slaney"]


def mel_bands(
    sample_rate: int,
    n_fft: int,
    n_mels: int,
    f_min: float,
    f_max: float,
    *,
    scale: Scale,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Make the filters of a mel scale.

    The HTK scale is 2595 log10(1 + f / 700), with filters of height 1; Slaney's is linear up to 1 kHz and logarithmic
    above, with filters of area 1.

    Source: Young et al., "The HTK Book"; Slaney, "Auditory Toolbox", 1998.

    Args:
        sample_rate: of the sound, in Hz.
        n_fft: samples of the Fourier transform.
        n_mels: bands.
        f_min: lower edge of the first band, in Hz.
        f_max: upper edge of the last band, in Hz.
        scale: ``"htk"`` or ``"slaney"``.
        dtype: of the filters, and in which they are computed.

    Returns:
        What a power spectrum (T, n_fft // 2 + 1) is multiplied by: (n_fft // 2 + 1, n_mels), on the CPU.

    Example:
        >>> mel_bands(22_050, 2048, 128, 0.0, 11_025.0, scale="slaney").shape
        torch.Size([1025, 128])
    """
    htk = scale == "htk"
    to_mel, to_hertz = (_htk_mel, _htk_hertz) if htk else (_slaney_mel, _slaney_hertz)
    corners = to_hertz(torch.linspace(to_mel(f_min), to_mel(f_max), n_mels + 2, dtype=dtype, device="cpu"))
    hertz = torch.linspace(0.0, sample_rate // 2, n_fft // 2 + 1, dtype=dtype, device="cpu")
    above, widths = hertz[:, None] - corners, corners.diff()
    bands = torch.minimum(above[:, :-2] / widths[:-1], -above[:, 2:] / widths[1:]).clamp(min=0.0)
    return bands if htk else bands * (2.0 / (corners[2:] - corners[:-2]))


def kaldi_bands(
    sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float, *, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Make filters that are triangles over mel, 1127 ln(1 + f / 700), and not over Hertz as those of :func:`mel_bands`.

    Source: Povey et al., "The Kaldi Speech Recognition Toolkit", ASRU 2011; so are those of AudioSet's VGGish.

    Args:
        sample_rate: and the others, see :func:`mel_bands`; ``f_min`` and ``f_max`` are edges too.
        n_fft: even.
        n_mels: bands.
        f_min: in Hz.
        f_max: in Hz.
        dtype: of the filters, and in which they are computed.

    Returns:
        (n_fft // 2 + 1, n_mels), on the CPU; nothing is taken of the last frequency.

    Example:
        >>> kaldi_bands(16_000, 512, 64, 125.0, 7_500.0).shape
        torch.Size([257, 64])
    """
    low, high = (1127.0 * math.log(1.0 + hertz / 700.0) for hertz in (f_min, f_max))
    hertz = torch.arange(n_fft // 2 + 1, dtype=dtype, device="cpu") * (sample_rate / n_fft)
    mel = 1127.0 * (1.0 + hertz / 700.0).log()
    number = torch.arange(n_mels, dtype=dtype, device="cpu")
    place = (mel[:, None] - low) / ((high - low) / (n_mels + 1)) - number
    bands = torch.minimum(place, 2.0 - place).clamp(min=0.0)  # 0 to 1 on the way up, 1 to 2 on the way down
    bands[-1] = 0.0
    return bands


def _htk_mel(hertz: float) -> float:
    return 2595.0 * math.log10(1.0 + hertz / 700.0)


def _htk_hertz(mel: Tensor) -> Tensor:
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


def _slaney_mel(hertz: float) -> float:
    return 3.0 * hertz / 200.0 if hertz < 1000.0 else 15.0 + 27.0 * math.log(hertz / 1000.0) / math.log(6.4)


def _slaney_hertz(mel: Tensor) -> Tensor:
    return torch.where(mel < 15.0, 200.0 * mel / 3.0, 1000.0 * 6.4 ** ((mel - 15.0) / 27.0))
