"""Frames and waveforms against files whose every frame and sample is known."""

import importlib
import math
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

import torchmetrics_majorscore
from torchmetrics_majorscore import media
from torchmetrics_majorscore.media import read_clip, read_frames, read_manifest, read_waveform

av = pytest.importorskip("av")
SHARED = Path(__file__).parents[2] / "shared/media"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the real clips are not here")
NTSC = Fraction(30000, 1001)
VIDEO = [
    ("a.mp4", "libx264"),
    ("a.mov", "libx264"),
    ("a.mkv", "libx264"),
    ("a.webm", "libvpx"),
    ("a.avi", "mpeg4"),
    ("b.avi", "libx264"),  # B-frames, whose presentation times AVI cannot store
    ("a.ts", "libx264"),  # starts at 1.4 s in its own clock
]


def write(path, codec="libx264", count=60, rate=30, stamps=None, image=None, sound=None, **rotation):
    """Write a video whose frame i shows i in base 16: the left half i % 16, the right half i // 16."""
    # The index of an mp4 comes first, so that a cut loses the end of both streams.
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, options={"g": "12"} if codec == "libx264" else {})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 48, "yuv420p", 2_000_000
        if rotation:
            stream.set_display_rotation(**rotation)
        if sound is not None:
            track = container.add_stream(sound[0], rate=8000, layout="mono")
        if stamps is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i in range(count):
            pixels = np.zeros((48, 64, 3), np.uint8) if image is None else image
            if image is None:
                pixels[:, :32], pixels[:, 32:] = 15 * (i % 16), 15 * (i // 16)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = (i, 1 / Fraction(rate)) if stamps is None else (stamps[i], Fraction(1, 1000))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            for i in range(0, sound[1].shape[1], 400):
                container.mux(encode(track, sound[1][:, i : i + 400], 8000, sound[2] + i))
            container.mux(track.encode(None))
    return path


def encode(track, samples, rate, first=0):
    name = {"uint8": "u8", "int16": "s16", "int32": "s32", "float32": "flt"}[samples.dtype.name]
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T).reshape(1, -1), name, track.layout.name)
    frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
    return track.encode(frame)


def write_sound(path, codec, samples, rate):
    with av.open(str(path), "w") as container:
        layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(samples)]
        track = container.add_stream(codec, rate=rate, layout=layout)
        container.mux(encode(track, samples, rate))
        container.mux(track.encode(None))
    return path


def sine(rate, channels=1, seconds=1.0):
    time = np.arange(round(rate * seconds)) / rate
    return np.stack([0.5 * np.sin(2 * np.pi * 440 * (c + 1) * time) for c in range(channels)])


def indices(frames):
    left, right = (frames[..., half].float().mean((1, 2, 3)) / 15 for half in (slice(8, 24), slice(40, 56)))
    return (left.round() + 16 * right.round()).int().tolist()


def shown(times, duration, fps, start=0, end=None):
    """The definition, in exact arithmetic."""
    stop = duration if end is None else min(end, duration)
    wanted = [start + Fraction(k) / fps for k in range(math.ceil((stop - start) * fps))]
    return [max(i for i, time in enumerate(times) if time <= t) for t in wanted]


@pytest.mark.parametrize(("name", "codec"), VIDEO)
@pytest.mark.parametrize("rate", [30, NTSC])
def test_frames_at_the_wanted_times(tmp_path, name, codec, rate):
    path = write(tmp_path / name, codec, 75, rate)
    times, duration = [i / Fraction(rate) for i in range(75)], 75 / Fraction(rate)
    windows = [(1, 0, None), (2, 0, None), (8, 0, None), (2, 1, 2), (8, Fraction(3, 4), 2), (Fraction(rate), 0, None)]
    windows += [(10, Fraction(7, 10), Fraction(8, 10)), (50, 2, None)]
    if rate == 30:  # at 29.97 some of these lie within the rounding of mkv's time stamps
        windows.append((30, Fraction(1, 2), Fraction(3, 4)))
    for fps, start, end in windows:
        frames = read_frames(path, fps=float(fps), start=float(start), end=None if end is None else float(end))
        assert frames.dtype == torch.uint8
        assert frames.shape[1:] == (3, 48, 64)
        assert indices(frames) == shown(times, duration, fps, start, end), (fps, start, end)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_variable_frame_rate(tmp_path, name):
    stamps = [0, 40, 300, 310, 320, 1000, 1001, 1900, 2500, 2501, 2999]
    path = write(tmp_path / name, count=len(stamps), stamps=stamps)
    times = [Fraction(stamp, 1000) for stamp in stamps]
    for fps, start in ((1, 0), (10, 0), (50, Fraction(3, 10)), (3, 1), (1000, Fraction(249, 100))):
        frames = read_frames(path, fps=float(fps), start=float(start), end=2.9)
        assert indices(frames) == shown(times, 3, fps, start, Fraction(29, 10)), (fps, start)


def test_only_shown_frames_are_converted_and_each_once(tmp_path, monkeypatch):
    path, converted = write(tmp_path / "a.mp4"), []
    to_rgb = media.video._to_rgb
    monkeypatch.setattr(media.video, "_to_rgb", lambda frame, size: converted.append(frame.pts) or to_rgb(frame, size))
    assert len(read_frames(path, fps=4)) == len(converted) == 8
    converted.clear()
    assert len(read_frames(path, fps=120, end=0.5)) == 60
    assert len(converted) == 15


@pytest.mark.parametrize("flip", [{}, {"hflip": True}, {"vflip": True}])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotated_video_is_upright(tmp_path, degrees, flip):
    stored = np.zeros((48, 64, 3), np.uint8)
    stored[:24, :32], stored[24:, :32], stored[:24, 32:] = 255, 120, 60
    path = write(tmp_path / "a.mp4", image=stored, count=2, degrees=degrees, **flip)
    want = np.rot90(stored, degrees // 90)  # both count counterclockwise; mirroring comes after it
    want = np.fliplr(want) if "hflip" in flip else np.flipud(want) if "vflip" in flip else want
    frame = read_frames(path)[0].permute(1, 2, 0).numpy()
    assert frame.shape == want.shape
    assert np.abs(frame.astype(int) - want)[4:20, 4:20].max() < 12
    assert np.abs(frame.astype(int) - want).mean() < 4


@pytest.mark.parametrize(
    ("codec", "pixels"),
    [("libx264", p) for p in ("yuv420p", "yuv420p10le", "yuvj420p", "yuv444p")]
    + [("ffv1", p) for p in ("gray", "bgra", "yuv422p10le", "gray16le")],
)
def test_pixel_formats_give_the_same_colour(tmp_path, codec, pixels):
    colour = (94, 94, 94) if "gray" in pixels else (200, 40, 90)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), colour, np.uint8), format="rgb24")
        container.mux(stream.encode(frame.reformat(format=pixels)))
        container.mux(stream.encode(None))
    error = read_frames(tmp_path / "a.mkv").int() - torch.tensor(colour).view(3, 1, 1)
    assert error.abs().max() <= 3


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
def test_images_are_one_upright_frame(tmp_path, suffix, orientation):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :30], pixels[20:, :30], pixels[:20, 30:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    # The second name would be a pattern for ffmpeg.
    path, exif = tmp_path / f"{'a' if orientation in (1, 6) else '%03d[1]'}.{suffix}", Image.Exif()
    exif[0x0112] = orientation
    options = {"jpg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
    Image.fromarray(pixels).save(path, **options, **({} if suffix == "bmp" else {"exif": exif}))
    want = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    frames = read_frames(path, fps=100, start=3)
    assert frames.shape == (1, 3, *want.shape[:2])
    assert np.abs(frames[0].permute(1, 2, 0).numpy().astype(int) - want).max() <= 2


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


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_truncated_file_keeps_what_decodes(tmp_path, name, share):
    rng = np.random.default_rng(0)
    sound = ("pcm_s16le" if name == "a.mkv" else "aac", rng.integers(-9000, 9000, (1, 16000)).astype("i2"), 0)
    whole = write(tmp_path / name, sound=sound)
    part = tmp_path / f"part{Path(name).suffix}"
    part.write_bytes(whole.read_bytes()[: round(whole.stat().st_size * share)])
    frames = read_frames(part, fps=30)
    assert 5 < len(frames) < 60
    # A B-frame may be cut off although the later frame that it lies before is there.
    assert indices(frames)[:-4] == list(range(len(frames) - 4))
    assert all(0 <= k - index <= 2 for k, index in enumerate(indices(frames)))
    (full, _), (waveform, _) = read_waveform(whole), read_waveform(part)
    assert 0 < waveform.shape[1] < full.shape[1]
    torch.testing.assert_close(waveform, full[:, : waveform.shape[1]], rtol=0, atol=0)
    with pytest.raises(ValueError, match="Expected start before the end of"):
        read_frames(part, start=1.99)


def damage(path, kind, first, last):
    """Overwrite packets of one stream."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        places = [(packet.pos, packet.size) for packet in container.demux(stream) if packet.size][first:last]
    data = bytearray(path.read_bytes())
    for position, size in places:
        data[position : position + size] = b"\xff" * size
    path.write_bytes(data)
    return path


def test_damage_is_an_error_and_does_not_lose_the_other_stream(tmp_path):
    sound = ("aac", sine(8000, 1, 2).astype("f4"), 0)
    path = damage(write(tmp_path / "a.mp4", sound=sound), "video", 30, 31)
    assert len(read_frames(path, fps=30, end=0.5)) == 15
    with pytest.raises(ValueError, match=r"Expected video without damage, got .*a.mp4: Invalid data"):
        read_frames(path)
    clip = read_clip(path)
    assert clip.frames is None
    assert clip.waveform is not None
    assert "without damage" in str(clip.video_error)
    path = damage(write(tmp_path / "b.mp4", sound=sound), "audio", 0, None)
    clip = read_clip(path)
    assert (len(clip.frames), clip.waveform, clip.sample_rate, clip.video_error) == (2, None, None, None)
    assert "Expected audio that decodes, got" in clip.audio_error
    with pytest.raises(ValueError, match=r"without damage.*; .*that decodes"):
        read_clip(damage(path, "video", 0, 2))


def test_clip_with_its_own_or_another_sound_or_none(tmp_path):
    own = np.round(sine(8000, 1, 2) * 2**15).astype("i2")
    video = write(tmp_path / "a.mkv", sound=("pcm_s16le", own, 0))
    silent = write(tmp_path / "silent.mp4")
    other = write_sound(tmp_path / "o.wav", "pcm_s16le", own[:, :4000].repeat(2, 0), 16000)
    clip = read_clip(str(video), fps=4, start=0.5, end=1.5)
    assert (len(clip.frames), clip.waveform.shape, clip.sample_rate) == (4, (1, 8000), 8000)
    clip = read_clip(video, other)
    assert (len(clip.frames), clip.waveform.shape, clip.sample_rate) == (2, (2, 4000), 16000)
    clip = read_clip(silent)
    assert (len(clip.frames), clip.waveform, clip.video_error, clip.audio_error) == (2, None, None, None)
    assert "has no audio stream" in read_clip(video, silent).audio_error
    assert read_clip(None, other).frames is None
    assert "has no video stream" in read_clip(other).video_error


def test_errors_are_one_line(tmp_path):
    silent = write(tmp_path / "silent.mp4")
    sound = write_sound(tmp_path / "a.wav", "pcm_s16le", np.zeros((1, 800), "i2"), 8000)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no media\n" * 99)
    cases = [
        (lambda: read_frames(sound), f"{sound}, which has no video stream"),
        (lambda: read_waveform(silent), f"{silent}, which has no audio stream"),
        (lambda: read_frames(tmp_path / "empty.mp4"), "Expected a readable media file, got .*empty.mp4: "),
        (lambda: read_clip(tmp_path / "text.mp4"), "Expected a readable media file, got .*text.mp4: Invalid data"),
        (lambda: read_frames(silent, start=2.0), "Expected start before the end of .*silent.mp4"),
        (lambda: read_waveform(sound, start=0.1), "Expected start before the end of .*a.wav"),
        (lambda: read_frames(silent, fps=0), "Expected fps > 0"),
        (lambda: read_clip(silent, fps=math.inf), "Expected fps > 0"),
        (lambda: read_clip(silent, start=1, end=1), "Expected a finite end above start=1 in seconds, got 1"),
        (lambda: read_waveform(sound, start=-1), "Expected a finite start >= 0"),
        (lambda: read_clip(None), "Expected a video or an audio file, got neither"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message) as error:
            call()
        assert "\n" not in str(error.value)
    for read in (read_frames, read_waveform, read_clip, lambda path: read_clip(silent, path)):
        with pytest.raises(FileNotFoundError, match=r"no file at .*nowhere.mp4"):
            read(tmp_path / "nowhere.mp4")


def test_without_av(monkeypatch, tmp_path):
    monkeypatch.setattr(torchmetrics_majorscore, "media", media)  # put back what the second import replaces
    for name in [name for name in sys.modules if name.startswith("torchmetrics_majorscore.media")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "av", None)
    assert importlib.import_module("torchmetrics_majorscore.media") is not media
    with pytest.raises(ModuleNotFoundError, match=r'pip install "torchmetrics-majorscore\[media\]"'):
        read_frames(tmp_path / "a.mp4")


def test_public_names():
    assert media.__all__ == ["Clip", "Entry", "read_clip", "read_frames", "read_manifest", "read_waveform"]


@real
def test_real_clips():
    with (SHARED / "manifest.csv").open(encoding="utf-8") as file:
        rows = [line.rstrip("\n").split(",")[-2:] for line in file][1:]
    heard = 0
    for entry, (duration, has_audio) in zip(read_manifest(SHARED / "manifest.csv"), rows, strict=True):
        clip = read_clip(entry.video)
        with av.open(str(entry.video)) as container:  # the manifest rounds 4.004 s to 4.0 s
            exact = container.streams.video[0].duration * container.streams.video[0].time_base
        assert len(clip.frames) == math.ceil(exact), entry.id
        assert (clip.waveform is not None) == (has_audio == "yes"), entry.id
        assert clip.video_error is None
        assert clip.audio_error is None
        if clip.waveform is not None:
            heard += 1
            assert abs(clip.waveform.shape[1] / clip.sample_rate - float(duration)) < 0.05
    assert (heard, len(rows)) == (18, 24)


@real
def test_real_damaged_file():
    path = SHARED / "faulty/corrupted.mp4"
    for read in (read_frames, read_clip):
        with pytest.raises(ValueError, match=r"without damage, got .*corrupted.mp4: Invalid data found"):
            read(path)
    assert len(read_frames(path, end=2.5)) == 3
