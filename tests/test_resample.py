"""Sample rate conversion against soxr through librosa, as laion_clap and C-MCR use it, and against exact sines."""

import numpy as np
import pytest
import torch
from signals import sound

from torchmetrics_majorscore.encoders.resample import resample


@pytest.mark.parametrize(
    ("rate", "samples"),
    [(44_100, 441_000), (22_050, 220_500), (11_025, 110_250), (88_200, 882_000), (16_000, 160_000), (44_100, 12_345)],
)
def test_resampled_length_is_librosas(rate, samples):
    librosa = pytest.importorskip("librosa")
    waveform = sound(samples / rate, rate)
    expected = librosa.resample(waveform.numpy(), orig_sr=rate, target_sr=48_000)
    ours = resample(waveform, rate, 48_000)
    assert len(ours) == len(expected)
    if len(expected) == 480_001:
        assert ours[-1] == expected[-1] == 0.0
    assert (len(expected) == 480_001) == (rate % 11_025 == 0 and samples == 10 * rate)


@pytest.mark.parametrize(
    ("rate", "limit"),
    [
        *((rate, 2e-6) for rate in (8_000, 12_000, 16_000, 24_000, 32_000, 96_000)),
        *((rate, 2e-5) for rate in (22_050, 22_254, 44_099, 44_100, 44_101, 47_999, 88_200)),
        (11_025, 2e-3),
    ],
)
def test_resampler_follows_soxr(rate, limit):
    """White noise fills the whole band, so the error is that of the filters' transition bands."""
    soxr = pytest.importorskip("soxr")
    noise = 0.1 * torch.randn(rate, generator=torch.Generator().manual_seed(0))
    expected = torch.from_numpy(soxr.resample(noise.numpy(), rate, 48_000, quality="HQ"))
    # Where soxr takes several steps between two rates, its first samples are off.
    error = (resample(noise, rate, 48_000)[: len(expected)] - expected)[500:]
    assert error.square().mean().sqrt() / expected.square().mean().sqrt() < limit


@pytest.mark.parametrize("rate", [7_999, 22_254, 44_099, 44_101, 47_999, 192_001])
def test_a_rate_without_a_common_divisor_is_resampled(rate):
    """Sines below the band's end, sampled exactly at either rate; the ends, where a sine begins, left out."""

    def tones(at):
        t = torch.arange(3 * at, dtype=torch.float64) / at
        return sum(0.2 * torch.sin(2 * torch.pi * hertz * t + hertz) for hertz in (101.3, 997.1, 2011.7)).float()

    ours = resample(tones(rate), rate, 48_000)
    assert len(ours) == 144_000
    torch.testing.assert_close(ours[2000:-2000], tones(48_000)[2000:-2000], atol=2e-6, rtol=0)


@pytest.mark.parametrize("rate", [16_000, 44_100, 44_099])
def test_blocks_leave_no_seams(rate):
    """A sound of many blocks is, but for rounding, what its parts are where they overlap widely."""
    waveform = sound(31, rate)
    whole = resample(waveform, rate, 48_000)
    part = resample(waveform[10 * rate : 25 * rate], rate, 48_000)
    torch.testing.assert_close(whole[11 * 48_000 : 24 * 48_000], part[48_000 : 14 * 48_000], atol=1e-6, rtol=0)


def test_nothing_of_the_callers_settings_reaches_the_filter():
    waveform = sound(1, 16_000)
    expected = resample(waveform, 16_000, 48_000)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"), torch.inference_mode():
            got = resample(waveform, 8_000, 24_000)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(got, expected)
    assert got.dtype is torch.float32


def test_a_single_sample_becomes_the_low_pass_itself():
    ours = resample(torch.ones(1), 16_000, 48_000)
    assert ours.shape == (3,)
    np.testing.assert_allclose(ours[0], 0.956872, atol=1e-5)
