"""Samples and pictures belong at their stamps: gaps, overlaps, tags, several tracks, and windows far into a file."""

import numpy as np
import pytest
import torch
from media_files import av, encode, indices, sine, write, write_sound, write_stills

from torchmetrics_majorscore.media import read_clip, read_frames, read_waveform
from torchmetrics_majorscore.media.decoding import Decoding

RATE = 48_000


def write_parts(path, codec, samples, *, lost=(), rate=RATE, size=1024):
    """Write a sound without the packets whose first sample lies within one of the lost parts, in samples."""
    with av.open(str(path), "w") as container:
        track = container.add_stream(codec, rate=rate, layout="mono")
        blocks = (encode(track, samples[:, i : i + size], rate, i) for i in range(0, samples.shape[1], size))
        for packet in [packet for block in (*blocks, track.encode(None)) for packet in block]:
            first = float(packet.pts * packet.time_base) * rate
            if not any(start <= first < stop for start, stop in lost):
                container.mux(packet)
    return path


def steps(seconds, rate=RATE):
    """Give a tone whose pitch tells the quarter of a second."""
    time = np.arange(round(rate * seconds)) / rate
    return (0.4 * np.sin(2 * np.pi * 200 * (1 + np.floor(4 * time)) * time))[None]


def heard(samples, rate=RATE):
    """Give the number of the quarter of a second whose pitch is the loudest."""
    found = np.fft.rfftfreq(len(samples), 1 / rate)[np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax()]
    return round(found / 200) - 1


@pytest.mark.parametrize(
    ("name", "codec", "dtype"),
    [
        ("a.mkv", "pcm_s16le", "i2"),
        ("a.mkv", "flac", "i2"),
        ("a.mp4", "aac", "f4"),
        ("a.webm", "libopus", "f4"),
        ("a.ts", "aac", "f4"),
        ("a.flv", "aac", "f4"),
    ],
)
def test_what_follows_a_gap_is_at_its_stamp_and_zeros_fill_it(tmp_path, name, codec, dtype):
    values = steps(4)
    samples = np.round(values * 2**15).astype("i2") if dtype == "i2" else values.astype("f4")
    path = write_parts(tmp_path / name, codec, samples, lost=[(RATE, 2.5 * RATE)])
    waveform, rate = read_waveform(path)
    got = waveform[0].numpy()
    assert abs(len(got) - 4 * RATE) < 4000
    assert not got[int(1.1 * rate) : int(2.4 * rate)].any()
    for quarter in (*range(4), *range(11, 16)):
        assert heard(got[int((quarter / 4 + 0.05) * rate) : int((quarter / 4 + 0.2) * rate)], rate) == quarter
    window = read_waveform(path, start=2.6, end=3.9)[0]
    torch.testing.assert_close(window, waveform[:, round(2.6 * rate) : round(3.9 * rate)], rtol=0, atol=0)
    (remark,) = read_clip(None, path).remarks
    assert remark.startswith("1.")
    assert "s of the sound are missing and filled with zeros, first at 1.0" in remark
    assert read_clip(None, path, end=0.9).remarks == ()


def test_what_overlaps_is_left_out(tmp_path):
    samples = np.round(steps(2, 8000) * 2**15).astype("i2")
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        track = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for first, stamp in ((0, 0), (4000, 4000), (8000, 6000), (12000, 10000)):
            container.mux(encode(track, samples[:, first : first + 4000], 8000, stamp))
        container.mux(track.encode(None))
    want = np.concatenate([samples[:, :8000], samples[:, 10000:]], axis=1) / 2**15
    np.testing.assert_array_equal(read_waveform(path)[0], want)
    assert read_clip(None, path).remarks == ("0.250 s of the sound are overlapping and left out, first at 1.000 s",)


def test_stamps_that_differ_a_little_are_no_gap(tmp_path):
    samples = np.round(steps(1, 8000) * 2**15).astype("i2")
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        track = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for first in range(0, 8000, 1000):
            container.mux(encode(track, samples[:, first : first + 1000], 8000, first + (300 if first % 2000 else 0)))
        container.mux(track.encode(None))
    np.testing.assert_array_equal(read_waveform(path)[0], samples / 2**15)
    assert read_clip(None, path).remarks == ()


def test_a_late_start_is_silence_with_a_remark(tmp_path):
    samples = np.round(sine(8000, 1, 2) * 2**15).astype("i2")
    clip = read_clip(write(tmp_path / "a.mkv", sound=("pcm_s16le", samples, 4000)))
    np.testing.assert_array_equal(clip.waveform, np.pad(samples, ((0, 0), (4000, 0))) / 2**15)
    assert clip.remarks == ("sound starts 0.500 s after the picture",)


ID3V2 = b"ID3\x04\x00\x00\x00\x00\x00\x14" + bytes(20)
ID3V1 = b"TAG" + bytes(125)
APE = b"APETAGEX" + (2000).to_bytes(4, "little") + (32).to_bytes(4, "little") + bytes(16) + bytes(0)


@pytest.mark.parametrize("tag", [ID3V1, ID3V2, APE, ID3V1 + ID3V2], ids=["ID3v1", "ID3v2", "APE", "both"])
def test_a_tag_between_joined_mp3s_costs_no_sample(tmp_path, tag):
    path = write_sound(tmp_path / "a.mp3", "libmp3lame", steps(1).astype("f4"), RATE)
    once, _ = read_waveform(path)
    joined = tmp_path / "joined.mp3"
    joined.write_bytes(path.read_bytes() + path.read_bytes())
    want, _ = read_waveform(joined)
    assert want.shape[1] >= 2 * once.shape[1]
    joined.write_bytes(path.read_bytes() + tag + path.read_bytes())
    clip = read_clip(None, joined)
    torch.testing.assert_close(clip.waveform, want, rtol=0, atol=0)


def write_tracks(path, count, default=None):
    with av.open(str(path), "w") as container:
        tracks = [container.add_stream("pcm_s16le", rate=8000, layout="mono") for _ in range(count)]
        for number, track in enumerate(tracks):
            track.disposition = av.stream.Disposition.default if number == default else av.stream.Disposition(0)
        for number, track in enumerate(tracks):
            container.mux(encode(track, np.full((1, 4000), 1000 * (number + 1), "i2"), 8000))
            container.mux(track.encode(None))
    return path


def test_the_default_track_is_taken_with_a_remark_and_another_on_request(tmp_path):
    path = write_tracks(tmp_path / "a.mov", 3, default=1)

    def level(**options):
        return round(read_waveform(path, **options)[0][0, 100].item() * 2**15)

    assert [level(), *(level(audio_track=number) for number in range(3))] == [2000, 1000, 2000, 3000]
    assert read_clip(None, path).remarks == ("3 sound tracks, number 1 taken",)
    assert read_clip(None, path, audio_track=2).remarks == ()
    with pytest.raises(ValueError, match=r"Expected audio_track to be one of 3, counted from 0, got 3, in .*a.mov"):
        read_waveform(path, audio_track=3)
    assert read_clip(None, write_tracks(tmp_path / "b.mov", 1)).remarks == ()


@pytest.fixture
def decoded(monkeypatch):
    """Samples, or pictures, that come out of the decoder."""
    counts, decode = [], Decoding.frames

    def watched(*args, **options):
        for frame in decode(*args, **options):
            counts.append(getattr(frame, "samples", 1))
            yield frame

    monkeypatch.setattr(Decoding, "frames", watched)
    return counts


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.wav", "pcm_s16le"),
        ("a.flac", "flac"),
        ("a.mp3", "libmp3lame"),
        ("a.ogg", "libopus"),
        ("a.mp4", "aac"),
        ("a.mkv", "aac"),
        ("a.mkv", "flac"),
        ("a.ts", "aac"),
        ("a.webm", "libopus"),
    ],
)
def test_a_window_far_into_a_file_is_not_decoded_from_the_beginning(tmp_path, name, codec, decoded):
    values = steps(60)
    samples = np.round(values * 2**15).astype("i2") if codec in ("pcm_s16le", "flac") else values.astype("f4")
    path = write_parts(tmp_path / name, codec, samples, size=4096)
    waveform, rate = read_waveform(path)
    decoded.clear()
    window, _ = read_waveform(path, start=50.001, end=52.5)
    assert sum(decoded) < 15 * rate
    want = waveform[:, round(50.001 * rate) : round(52.5 * rate)]
    assert window.shape == want.shape
    if codec == "aac":  # it draws noise
        assert (window - want).norm() < 0.01 * want.norm()
    else:
        torch.testing.assert_close(window, want, rtol=0, atol=0 if codec in ("pcm_s16le", "flac") else 1e-4)


@pytest.mark.parametrize("rate", [30, 5])
@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.ts", "libx264"), ("a.mpg", "mpeg2video"), ("a.flv", "libx264"), ("a.avi", "mpeg4"), ("a.mkv", "libx264")],
)
def test_a_window_shows_what_the_whole_shows_there(tmp_path, name, codec, rate):
    if codec == "mpeg2video" and rate == 5:
        pytest.skip("MPEG-2 has no such rate")
    path = write(tmp_path / name, codec, count=200, rate=rate)
    every = indices(read_frames(path, fps=rate))
    assert every == list(range(len(every))) or name == "a.mpg"  # whose stamps ffmpeg guesses in part
    for start in (1, 2, 7, 50, 120, 199):
        window = read_frames(path, fps=rate, start=(start + 0.25) / rate, end=(start + 9.75) / rate)
        assert indices(window) == every[start : start + 10], start


def test_two_pictures_that_lie_days_apart_cost_two_pictures(tmp_path):
    from torchmetrics_majorscore.media import open_clip

    path = write_stills(tmp_path / "a.mkv", {0: 9, 200_000_000: 9})
    counts = [count for _, count in open_clip(path).frames()]
    assert counts[0] == 200_000
    assert sum(counts[1:]) <= 1
    with pytest.raises(ValueError, match="at most 2 GiB of frames, got more in"):
        read_frames(path, fps=100)
