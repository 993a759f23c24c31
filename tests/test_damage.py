"""Damage inside a file is an error, a cut end a remark, and neither is said of a whole file."""

import random

import numpy as np
import pytest
import torch
from media_files import av, sine, write, write_sound

from torchmetrics_majorscore.media import read_clip, read_frames, read_waveform

SOUNDS = {
    "a.wav": "pcm_s16le",
    "a.flac": "flac",
    "a.mp3": "libmp3lame",
    "a.ogg": "libopus",
    "a.oga": "flac",
    "a.m4a": "aac",
    "a.aac": "aac",
    "a.ac3": "ac3",
    "a.mka": "flac",
    "a.aiff": "pcm_s16be",
    "a.wma": "wmav2",
    "a.wv": "wavpack",
    "a.tta": "tta",
}
VIDEOS = {
    "a.mp4": ("libx264", "aac"),
    "a.mkv": ("libx264", "flac"),
    "a.webm": ("libvpx", "libopus"),
    "a.avi": ("mpeg4", "libmp3lame"),
    "a.ts": ("libx264", "aac"),
    "a.flv": ("libx264", "aac"),
    "a.wmv": ("wmv2", "wmav2"),
    "a.gif": ("gif", None),
}


def noisy(rate, seconds):
    """Give a sound that no codec makes small."""
    noise = np.random.default_rng(0).normal(0, 0.05, (1, round(rate * seconds)))
    return (0.6 * sine(rate, 1, seconds) + noise).clip(-1, 1)


def write_one(path, seconds=3.0):
    if path.name in VIDEOS:
        codec, sound = VIDEOS[path.name]
        if codec == "gif":
            return write_gif(path, round(30 * seconds))
        return write_both(path, codec, sound, seconds)
    return write_track(path, SOUNDS[path.name], seconds)


def resampled(track, seconds):
    """Give packets of a noisy sound in whatever format a codec wants."""
    samples = np.round(noisy(48_000, seconds) * 32767).astype("i2")
    frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
    frame.sample_rate, frame.pts = 48_000, 0
    codec = track.codec_context
    resampler = av.AudioResampler(codec.format, track.layout, 48_000, codec.frame_size or None)
    frames = [*resampler.resample(frame), *resampler.resample(None)]
    return [packet for one in (*frames, None) for packet in track.encode(one)]


def write_track(path, codec, seconds):
    with av.open(str(path), "w") as container:
        track = container.add_stream(codec, rate=48_000, layout="mono", bit_rate=128_000)
        track.codec_context.open()
        container.mux(resampled(track, seconds))
    return path


def write_both(path, codec, sound, seconds):
    pixels = np.random.default_rng(1).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"g": "12"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 48, "yuv420p", 400_000
        track = container.add_stream(sound, rate=48_000, layout="mono", bit_rate=128_000)
        stream.codec_context.open()
        track.codec_context.open()
        packets = resampled(track, seconds)
        for i in range(round(25 * seconds)):
            frame = av.VideoFrame.from_ndarray(np.roll(pixels, i, axis=1), format="rgb24")
            packets += stream.encode(frame)
        packets += stream.encode(None)
        container.mux(sorted(packets, key=lambda packet: float(packet.dts * packet.time_base)))
    return path


def write_gif(path, count):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("gif", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb8"
        pixels = np.random.default_rng(1).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(np.roll(pixels, i, axis=1), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="rgb8")))
        container.mux(stream.encode(None))
    return path


def said(path):
    """Give what was read of a file, and all that was said of it."""
    try:
        clip = read_clip(path, fps=25)
    except ValueError as error:
        return None, None, str(error)
    words = [word for word in (clip.video_error, clip.audio_error) if word and "has no video stream" not in word]
    return clip.frames, clip.waveform, "; ".join([*words, *clip.remarks])


@pytest.mark.parametrize("name", [*SOUNDS, *VIDEOS])
def test_of_a_whole_file_nothing_is_said_and_of_a_cut_one_something(tmp_path, name):
    whole = write_one(tmp_path / name)
    frames, waveform, words = said(whole)
    assert words == ""
    assert waveform is None or abs(waveform.shape[1] / 48_000 - 3) < 0.1
    data = whole.read_bytes()
    assert said(write_one(whole, 1.0))[2] == ""
    for share in (0.37, 0.61, 0.83):
        whole.write_bytes(data[: round(len(data) * share)])
        shown, heard, words = said(whole)
        assert words, share
        # What is there is that of the whole.
        if shown is not None:
            certain = max(0, len(shown) - 4)  # a picture may be lost although a later one that it refers to is there
            assert torch.equal(shown[:certain], frames[:certain])
        if heard is not None:
            assert heard.shape[1] < waveform.shape[1]
            length = heard.shape[1] - (2048 if name[2:] in ("wma", "wmv") else 0)  # the last block is made up
            torch.testing.assert_close(heard[:, :length], waveform[:, :length], rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["inserted", "removed"])
@pytest.mark.parametrize("name", [name for name in (*SOUNDS, *VIDEOS) if name not in ("a.aiff", "a.wav", "a.gif")])
def test_bytes_too_many_or_too_few_inside_are_an_error(tmp_path, name, kind):
    path = write_one(tmp_path / name)
    (frames, waveform, _), data = said(path), path.read_bytes()
    for share in (0.3, 0.5, 0.7):
        place = round(len(data) * share)
        noise = random.Random(0).randbytes(64)
        path.write_bytes(data[:place] + (noise + data[place:] if kind == "inserted" else data[place + 100 :]))
        shown, heard, words = said(path)
        # Bytes between the parts of a file change nothing, which is no fault.
        # Of packets of a second, one that is damaged may be the last.
        short = name in ("a.wv", "a.tta") and "promised" in words
        same = (shown is None or torch.equal(shown, frames)) and (heard is None or torch.equal(heard, waveform))
        assert same or short or any(word in words for word in ("damage", "readable", "decodes")), (share, words)


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.oga", "a.aac", "a.m4a", "a.wv", "a.tta", "a.ac3", "a.ts"])
def test_zeros_inside_are_an_error_where_the_format_has_sums_or_sizes(tmp_path, name):
    path = write_one(tmp_path / name)
    data = path.read_bytes()
    place = round(len(data) * 0.5)
    path.write_bytes(data[:place] + bytes(200) + data[place + 200 :])
    assert "damage" in said(path)[2]


def test_damage_that_comes_after_the_window_is_no_matter(tmp_path):
    path = write_one(tmp_path / "a.flac")
    data, (want, _) = path.read_bytes(), read_waveform(path, end=1.0)
    place = round(len(data) * 0.7)
    path.write_bytes(data[:place] + bytes(200) + data[place + 200 :])
    torch.testing.assert_close(read_waveform(path, end=1.0)[0], want, rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"Expected audio without damage, got .*a.flac"):
        read_waveform(path)


def test_a_gif_whose_blocks_do_not_follow_each_other_is_damaged(tmp_path):
    path = write_one(tmp_path / "a.gif")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(300) + data[len(data) // 2 + 300 :])
    with pytest.raises(ValueError, match=r"Expected video without damage, got .*a.gif"):
        read_frames(path)


def test_a_rate_that_no_sound_has_is_an_error(tmp_path):
    path = write_sound(tmp_path / "a.wav", "pcm_s16le", np.zeros((1, 8000), "i2"), 8000)
    data = bytearray(path.read_bytes())
    data[24:28] = (2_000_000_000).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"Expected sound at .* Hz, got 2000000000 Hz in .*a.wav"):
        read_waveform(path)
    assert "Expected sound at" in read_clip(write(tmp_path / "b.mp4"), path).audio_error
