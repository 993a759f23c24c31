"""Sample rate conversion on the waveform's own device, as the resampler does that CLAP was trained behind."""

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from torchmetrics_majorscore.encoders.base import clean_build

BLOCK = 2**15
"""Samples of the higher rate in a block, about: what a processor's cache holds."""
SAMPLES_PER_CALL = 2**21
"""Of the higher rate: bounds the memory beside the result."""
CUTOFF = 0.95687182
DROOP_POWER = 13.8


class LowPass(NamedTuple):
    """soxr's "HQ" low-pass: a sinc of ``CUTOFF`` under a Kaiser window, times 1 - droop * f**DROOP_POWER.

    Frequencies are shares of half the lower rate, times are in its samples. Measured on impulses through soxr 1.1.0,
    to and from 48 kHz: it differs from this by 5e-7 of its norm between rates of small or whole ratio, by 8e-6 from
    44.1 or 22.05 kHz, and by more than 4e-5 only from 11.025, 64 and 176.4 kHz (up to 1e-3).
    """

    half_width: float
    beta: float
    droop: float


def low_pass(up: int, down: int) -> LowPass:
    """Give the low-pass for a ratio of rates: soxr takes one step between small numbers, else several."""
    longest, whole = max(up, down), min(up, down) == 1
    single = longest <= 4 and down < 4 * up
    factor = longest if single else 3 if whole and longest % 3 == 0 else 2
    taps = 4 * math.ceil((193.1 if single else 202.5) * factor / 4) + 1
    return LowPass(taps / (2 * factor), 13.0402 if single else 13.7114, 0.0 if single or whole else 3.39e-3)


def resample(waveform: Tensor, source_rate: int, target_rate: int) -> Tensor:
    """Convert a mono waveform to another sample rate, any to any.

    With the low-pass of soxr's "HQ" setting, through which librosa (and so laion_clap and C-MCR) resamples. Overlapping
    blocks are filtered by their spectra, which are then read at the other rate, so rates need no common divisor. The
    length is librosa's as well: ceil(S * (target / source)) with the ratio rounded to float64, which makes 480 001
    samples of exactly 10 s at 44.1 kHz, the last one zero.

    Args:
        waveform: shape (S,), float32, S >= 1.
        source_rate: its rate in Hz.
        target_rate: wanted rate in Hz.

    Returns:
        Waveform, float32, (ceil(S * target / source),); the same tensor if the rates are equal.
    """
    if source_rate == target_rate:
        return waveform
    return torch.cat(list(resample_pieces([waveform], source_rate, target_rate)))


def resample_pieces(pieces: Iterable[Tensor], source_rate: int, target_rate: int) -> Iterator[Tensor]:
    """Convert a mono waveform that comes in pieces, as :func:`resample` does it whole, bit for bit.

    Args:
        pieces: shape (S_i,), float32, one after the other; at least one sample in all.
        source_rate: their rate in Hz.
        target_rate: wanted rate in Hz.

    Yields:
        Pieces of the result.
    """
    if source_rate == target_rate:
        yield from pieces
        return
    divisor = math.gcd(source_rate, target_rate)
    up, down = target_rate // divisor, source_rate // divisor
    # Blocks and their margins are so many times `down` samples here and `up` samples there.
    margin = math.ceil(low_pass(up, down).half_width * max(1.0, down / up) / down)
    size = 1 << max(8 * margin, BLOCK // max(up, down)).bit_length() - 1
    hop = (size - 2 * margin) * down
    count = max(1, SAMPLES_PER_CALL // (size * max(up, down)))
    seen = given = 0
    waiting: Tensor | None = None

    def convert(padded: Tensor) -> Tensor:
        gain = _gain(up, down, size, padded.device)
        spectra = torch.fft.rfft(padded.unfold(0, size * down, hop).to(gain.dtype))[:, : len(gain)] * gain
        part: Tensor = torch.fft.irfft(spectra, size * up)[:, margin * up : -margin * up].flatten().float()
        return part

    for piece in pieces:
        seen += len(piece)
        waiting = pad(piece, (margin * down, 0)) if waiting is None else torch.cat([waiting, piece])
        while len(waiting) >= (whole := count * hop + 2 * margin * down):
            part = convert(waiting[:whole])
            given += len(part)
            yield part
            waiting = waiting[count * hop :]
    if waiting is None:
        return
    rest = convert(pad(waiting, (0, margin * down + -(len(waiting) - margin * down) % hop)))
    length = math.ceil(seen * (float(target_rate) / source_rate))
    rounded = (2 * seen * up + down) // (2 * down)  # what soxr gives; librosa adds zeros
    yield pad(rest[: rounded - given], (0, length - rounded))


@lru_cache(maxsize=64)
def _gain(up: int, down: int, size: int, device: torch.device) -> Tensor:
    """Compute what the spectrum of ``size * down`` samples is multiplied by, up to half the lower rate."""
    with clean_build():
        half_width, beta, droop = low_pass(up, down)
        low = min(up / down, 1.0)
        reach = math.floor(half_width / low)
        at = torch.arange(-reach, reach + 1)
        times = at.double() * low
        taps = torch.special.sinc(CUTOFF * times) * torch.special.i0(beta * (1.0 - (times / half_width) ** 2).sqrt())
        kernel = torch.zeros(size * down, dtype=torch.float64)
        kernel[at] = taps / taps.sum()
        gain: Tensor = torch.fft.rfft(kernel).real[: size * min(up, down) // 2 + 1] * (up / down)
        shares = torch.linspace(0.0, 1.0, len(gain), dtype=torch.float64)
        # Transforms of lengths with a large prime factor, as of 47 999 Hz, lose three digits in float32.
        dtype = torch.float32 if max(up, down) < 1000 else torch.float64
        gain = gain * (1.0 - droop * shares**DROOP_POWER)
        return gain.to(device, dtype)
