"""How a waveform comes to a network: as this package resamples, or as av-benchmark does, for numbers like its own."""

import math
from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import conv1d, pad

from torchmetrics_majorscore.encoders.base import clean_build
from torchmetrics_majorscore.encoders.resample import resample

Profile = Literal["default", "av-benchmark"]
SECONDS = {"default": None, "av-benchmark": 8.0}
"""What of a sound is heard, from its start; None for all of it."""
CROSSINGS = 6
"""Zero crossings of the sinc on each side, in torchaudio's ``Resample`` by default."""
ROLLOFF = 0.99


def check_seconds(profile: Profile, seconds: float | None) -> float | None:
    """Give what of a sound is heard, in seconds, None for all; raise ValueError for what is no profile or no length."""
    if profile not in get_args(Profile):
        raise ValueError(f"Expected profile to be one of {list(get_args(Profile))}, got {profile!r}.")
    if seconds is not None and not 0 < seconds < math.inf:
        raise ValueError(f"Expected seconds > 0, got {seconds!r}.")
    return SECONDS[profile] if seconds is None else float(seconds)


def describe(profile: Profile, seconds: float | None) -> str:
    """Say in a network's name how waveforms come to it; "" for all of them, resampled as by default."""
    parts = [*([] if profile == "default" else [profile]), *([] if seconds is None else [f"{seconds:g}s"])]
    return "".join(f":{part}" for part in parts)


def prepare(
    waveform: Tensor,
    source_rate: int,
    target_rate: int,
    profile: Profile,
    seconds: float | None,
    *,
    centred: bool = True,
) -> Tensor:
    """Bring a mono waveform to a network's rate.

    By default it is resampled as for the joint encoders, see :func:`.resample`. With ``"av-benchmark"`` the mean of the
    whole waveform is subtracted first, and the resampler is that of torchaudio, see :func:`resample_hann`.

    Args:
        waveform: shape (S,), float32, S >= 1.
        source_rate: its rate in Hz.
        target_rate: wanted rate in Hz.
        profile: see above.
        seconds: of the result are kept, from its start; None for all.
        centred: whether ``"av-benchmark"`` subtracts the mean, which it does for all networks but Synchformer.

    Returns:
        Waveform, float32, (S',).
    """
    if profile == "av-benchmark":
        resampled = resample_hann(waveform - waveform.mean() if centred else waveform, source_rate, target_rate)
    else:
        resampled = resample(waveform, source_rate, target_rate)
    return resampled if seconds is None else resampled[: int(target_rate * seconds)]


def resample_hann(waveform: Tensor, source_rate: int, target_rate: int) -> Tensor:
    """Convert a mono waveform to another sample rate with a short sinc under a Hann window.

    Smith, "Digital Audio Resampling", with the choices that ``torchaudio.transforms.Resample`` makes by default: six
    zero crossings, and a cutoff of 0.99 of half the lower rate. It passes more of what lies above that than
    :func:`.resample` does.

    Args:
        waveform: shape (S,), float32, S >= 1.
        source_rate: its rate in Hz.
        target_rate: wanted rate in Hz.

    Returns:
        Waveform, float32, (ceil(S * target / source),); the same tensor if the rates are equal.
    """
    if source_rate == target_rate:
        return waveform
    divisor = math.gcd(source_rate, target_rate)
    up, down = target_rate // divisor, source_rate // divisor
    kernel, reach = _hann_kernel(up, down, waveform.device)
    rows = conv1d(pad(waveform, (reach, reach + down))[None, None], kernel, stride=down)[0]
    return rows.T.flatten()[: math.ceil(up * len(waveform) / down)]


@lru_cache(maxsize=64)
def _hann_kernel(up: int, down: int, device: torch.device) -> tuple[Tensor, int]:
    """Compute the filters of the ``up`` samples that ``down`` samples become, (up, 1, taps), and their reach."""
    with clean_build():
        cutoff = min(up, down) * ROLLOFF
        reach = math.ceil(CROSSINGS * down / cutoff)
        taps = torch.arange(-reach, reach + down, dtype=torch.float64) / down
        phases = torch.arange(up)[:, None] / up  # in float32, as in torchaudio
        times = (cutoff * (taps - phases)).clamp(-CROSSINGS, CROSSINGS)
        kernel = torch.special.sinc(times) * torch.cos(times * (math.pi / 2 / CROSSINGS)) ** 2 * (cutoff / down)
        return kernel[:, None].float().to(device), reach
