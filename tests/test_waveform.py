"""Waveforms against files whose every sample is known."""

import numpy as np
import pytest
import torch
from media_files import sine, write, write_sound

from torchmetrics_majorscore.media import read_waveform


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(
    ("name", "codec", "dtype"),
    [("a.wav", f"pcm_{c}", d) for c, d in (("u8", "u1"), ("s16le", "i2"), ("s24le", "i4"), ("s32le", "i4"))]
    + [
        ("a.wav", "pcm_f32le", "f4"),
        ("a.flac", "flac", "i2"),
        ("a.mkv", "pcm_s16le", "i2"),
        ("a.mov", "pcm_s16le", "i2"),
    ],
)
def test_waveforms_are_exact(tmp_path, name, codec, dtype, channels, rate):
    values = sine(rate, channels, 0.25)
    if dtype == "f4":
        samples = want = (3 * values).astype("f4")  # a float file may be louder than 1
    else:
        scale = {"u1": 2**7, "i2": 2**15, "i4": 2**31}[dtype]
        integers = (
            np.round(values * scale).astype("i8") // (256 if "s24" in codec else 1) * (256 if "s24" in codec else 1)
        )
        samples, want = (integers + (128 if dtype == "u1" else 0)).astype(dtype), integers / scale
    path = write_sound(tmp_path / name, codec, samples, rate)
    waveform, found = read_waveform(path)
    assert (found, waveform.dtype, tuple(waveform.shape)) == (rate, torch.float32, want.shape)
    assert waveform.is_contiguous()
    torch.testing.assert_close(waveform, torch.tensor(want, dtype=torch.float32), rtol=0, atol=0)
    assert dtype == "f4" or np.abs(want - values).max() <= 1 / {"u1": 2**7, "i2": 2**15, "i4": 2**23}[dtype]
    first, last = round(0.0501 * rate), round(0.2003 * rate)
    torch.testing.assert_close(
        read_waveform(path, start=0.0501, end=0.2003)[0], waveform[:, first:last], rtol=0, atol=0
    )


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp3", "libmp3lame"), ("a.ogg", "libopus"), ("a.webm", "libopus"), ("a.mp4", "aac"), ("a.mkv", "aac")],
)
def test_lossy_sound_is_in_its_place(tmp_path, name, codec):
    values = sine(48000, 2)
    path = write_sound(tmp_path / name, codec, values.astype("f4"), 48000)
    waveform, rate = read_waveform(path)
    assert rate == 48000
    assert 48000 <= waveform.shape[1] <= 48000 + 2 * 1152
    for got, want in zip(waveform.numpy()[:, 4000:44000], values[:, 4000:44000], strict=True):
        assert np.corrcoef(got, want)[0, 1] > 0.98  # an encoder delay of 1024 samples that stays makes it negative
    torch.testing.assert_close(read_waveform(path, start=0.25, end=0.5)[0], waveform[:, 12000:24000], rtol=0, atol=0)


@pytest.mark.parametrize(("late", "front"), [(0.05, 0), (0.5, 4000), (-0.5, -4000)])
def test_sound_that_starts_beside_the_picture(tmp_path, late, front):
    samples = np.round(sine(8000, 1, 2) * 2**15).astype("i2")
    stamps = [round(1000 * max(0, -late)) + 40 * i for i in range(50)]
    sound = ("pcm_s16le", samples, round(8000 * max(0, late)))
    path = write(tmp_path / "a.mkv", count=50, rate=25, stamps=stamps, sound=sound)
    want = np.pad(samples, ((0, 0), (max(0, front), 0)))[:, max(0, -front) :] / 2**15
    np.testing.assert_array_equal(read_waveform(path)[0], want)
    for start, end in ((0.0, 0.25), (0.25, 0.75), (0.75, 1.0)):
        got = read_waveform(path, start=start, end=end)[0]
        np.testing.assert_array_equal(got, want[:, int(start * 8000) : int(end * 8000)])
