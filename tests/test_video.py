"""Frames against videos and images whose every frame is known."""

import gc
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from media_files import av, indices, write
from PIL import Image, ImageOps

from torchmetrics_majorscore import media
from torchmetrics_majorscore.media import read_frames

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
    to_rgb = media.video.to_rgb
    monkeypatch.setattr(media.video, "to_rgb", lambda frame, size: converted.append(frame.pts) or to_rgb(frame, size))
    assert len(read_frames(path, fps=4)) == len(converted) == 8
    converted.clear()
    assert len(read_frames(path, fps=120, end=0.5)) == 60
    assert len(converted) == 15


def test_no_picture_waits_for_the_garbage_collector(tmp_path):
    path = write(tmp_path / "a.mp4", degrees=90)
    gc.collect()
    gc.disable()
    try:
        assert len(read_frames(path, fps=4)) == 8
        assert not [kept for kept in gc.get_objects() if type(kept) is av.VideoFrame]
    finally:
        gc.enable()


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
