"""Onsets of a sound: where energy sets in, as video-to-audio papers detect them."""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn.functional import pad

from torchmetrics_majorscore.functional.mel_bands import mel_bands

Protocol = Literal["strict", "mmaudio"]
SAMPLE_RATE = 22_050
N_FFT, HOP, BANDS = 2048, 512, 128
APART = 0.05  # seconds: of onsets that are closer the most confident stays
REACH = int(0.05 * SAMPLE_RATE)  # samples on each side in which an onset's confidence is looked for


class Onsets(NamedTuple):
    """Detected onsets of one sound, each a tensor (T,), sorted by time.

    Args:
        times: in seconds.
        confidence: the largest value of the waveform, scaled to [0, 1], within 50 ms.
        level: the value of the scaled waveform at the onset; only the protocol ``"mmaudio"`` asks for it.
    """

    times: Tensor
    confidence: Tensor
    level: Tensor


def detect_onsets(waveform: Tensor, *, delta: float = 0.3, protocol: Protocol = "strict") -> Onsets:
    """Detect the onsets of a sound.

    Source: Boeck et al. 2012 (the picking of peaks); librosa's ``onset_detect`` with its defaults, ``delta`` apart: the
    rise of a mel spectrogram in dB, its local maxima that stand ``delta`` above the mean around; Du et al.,
    "Conditional Generation of Audio from Video via Foley Analogies" (confidence, and 50 ms between onsets).

    Args:
        waveform: (S,), floating, mono, at 22 050 Hz.
        delta: how far a peak stands out, relative to the highest; 0.3 in papers.
        protocol: ``"strict"`` takes the waveform's magnitude as confidence and keeps the most confident onset within
            50 ms; ``"mmaudio"`` takes signed values, where silence has a middle one, and skips every other onset when
            it removes close ones, as the published script does.

    Returns:
        Onsets, float64, on the waveform's device; none for silence, or where a value is not finite.

    Raises:
        ValueError: the waveform is not (S,), or an unknown protocol.

    Example:
        >>> import torch
        >>> waveform = torch.zeros(22_050)
        >>> waveform[11_000:11_100] = 0.5
        >>> detect_onsets(waveform).times
        tensor([0.5108], dtype=torch.float64)
    """
    check_protocol(protocol)
    if waveform.ndim != 1 or not waveform.is_floating_point():
        raise ValueError(f"Expected a mono waveform (S,), floating, got {tuple(waveform.shape)} {waveform.dtype}.")
    wave = waveform.double()
    if len(wave) == 0 or not wave.isfinite().all():
        none = wave.new_empty(0)
        return Onsets(none, none, none)
    samples = [HOP * frame for frame in _peaks(onset_strength(wave).tolist(), delta)]
    values = wave.abs() if protocol == "strict" else wave
    scaled = (values - values.min()) / (values.max() - values.min() + 1e-6)
    # No peak comes before the fourth frame, which is further from the start than this reaches.
    best = [scaled[at - REACH : at + REACH].max().item() for at in samples]
    kept = _thin(samples, best, skips=protocol == "mmaudio")
    chosen = wave.new_tensor([best[samples.index(at)] for at in kept])
    places = torch.tensor(kept, dtype=torch.int64, device=wave.device)
    return Onsets(places.double() / SAMPLE_RATE, chosen, scaled[places.clamp(max=len(wave) - 1)])


def check_protocol(protocol: str) -> None:
    """Raise ValueError unless ``protocol`` is one of :data:`Protocol`."""
    if protocol not in get_args(Protocol):
        raise ValueError(f"Expected protocol to be 'strict' or 'mmaudio', got {protocol!r}.")


def onset_strength(wave: Tensor) -> Tensor:
    """Compute how much louder each frame is than the one before: mean rise over mel bands in dB, (S // 512 + 1,)."""
    window = torch.hann_window(N_FFT, dtype=wave.dtype, device=wave.device)
    padded = pad(wave, (N_FFT // 2, N_FFT // 2))
    spectrum = torch.stft(padded, N_FFT, HOP, window=window, center=False, return_complex=True)
    bands = mel_bands(SAMPLE_RATE, N_FFT, BANDS, 0.0, SAMPLE_RATE / 2, scale="slaney", dtype=torch.float64)
    decibels = 10.0 * (spectrum.abs().square().T @ bands.to(wave)).clamp(min=1e-10).log10()
    decibels = decibels.clamp(min=decibels.max() - 80.0)
    rise = decibels.diff(dim=0).clamp(min=0.0).mean(dim=-1)
    return pad(rise, (1 + N_FFT // (2 * HOP), 0))[: len(decibels)]


def _peaks(strength: list[float], delta: float) -> list[int]:
    """Pick frames that are the highest of theirs and the one before, and stand out from 4 frames on each side."""
    lowest = min(strength)
    scale = max(strength) - lowest
    if scale == 0.0:
        return []
    x = [(value - lowest) / (scale + 1.2e-38) for value in strength]
    peaks, frame = [], 0
    while frame < len(x):
        around = x[max(0, frame - 4) : frame + 5]
        highest = max(x[max(0, frame - 1) : frame + 1])
        if x[frame] == highest and x[frame] >= sum(around) / len(around) + delta:
            peaks.append(frame)
            frame += 1  # the next one is too close
        frame += 1
    return peaks


def _thin(samples: list[int], confidence: list[float], *, skips: bool) -> list[int]:
    """Keep the most confident of onsets that are closer than 50 ms."""
    order = sorted(range(len(samples)), key=confidence.__getitem__)[::-1]
    left, kept = list(samples), []
    for place in order:
        at = samples[place]
        if at not in left:
            continue
        kept.append(at)
        left.remove(at)
        for other in left if skips else list(left):  # a list that shrinks under the loop skips what follows
            if abs(at - other) < APART * SAMPLE_RATE:
                left.remove(other)
    return sorted(kept)
