"""The small copies of clips in the report: what they show and sound, and that they need no torch."""

import base64
import io

import numpy as np
import pytest

for package in ("jinja2", "matplotlib", "pandas"):
    pytest.importorskip(package)

from media_files import av, sine, write, write_sound  # noqa: E402

from torchmetrics_majorscore.media import Entry, open_clip, read_frames  # noqa: E402
from torchmetrics_majorscore.report.preview import read_preview  # noqa: E402
from torchmetrics_majorscore.report.window import FPS, SAMPLE_RATE, read_pictures, read_sound  # noqa: E402


def numbers(pictures):
    """Give the number of each picture, see :func:`.write`."""
    pixels = np.stack([picture.to_ndarray(format="rgb24") for picture in pictures]).astype(float)
    left, right = (pixels[:, :, half].mean((1, 2, 3)) / 15 for half in (slice(8, 24), slice(40, 56)))
    return (left.round() + 16 * right.round()).astype(int).tolist()


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.ts", "libx264"), ("a.avi", "mpeg4")]
)
@pytest.mark.parametrize("start", [0.0, 0.9, 1.5])
def test_pictures_are_those_on_screen(tmp_path, name, codec, start):
    damage = []
    pictures = read_pictures(open_clip(write(tmp_path / name, codec), fps=FPS, start=start, end=1.9), damage)
    assert numbers(pictures) == [int(30 * (start + k / FPS) + 0.02) for k in range(len(pictures))]
    assert len(pictures) == np.ceil((1.9 - start) * FPS)
    assert damage == []


@pytest.mark.parametrize("rotation", [{"degrees": 90}, {"degrees": 0, "hflip": True}, {"degrees": 270, "vflip": True}])
def test_pictures_stand_as_the_reader_sees_them(tmp_path, rotation):
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    path = write(tmp_path / "a.mp4", count=3, image=image, **rotation)
    mine = read_pictures(open_clip(path, fps=FPS, end=0.1), [])[0].to_ndarray(format="rgb24")
    reader = read_frames(path)[0].permute(1, 2, 0).numpy()
    assert np.abs(mine.astype(int) - reader).mean() < 8  # a wrong turn is 80 off


def test_large_pictures_become_small_and_even(tmp_path):
    path = tmp_path / "a.png"
    frame = av.VideoFrame.from_ndarray(np.zeros((77, 1111, 3), np.uint8), format="rgb24")
    frame.to_image().save(path)
    (picture,) = read_pictures(open_clip(path, fps=FPS, start=5.0, end=6.0), [])
    assert (picture.width, picture.height) == (320, 22)


@pytest.mark.parametrize("dtype", ["int16", "float32", "uint8"])
def test_sound_is_mono_and_in_its_place(tmp_path, dtype):
    scale, shift = {"int16": (32767, 0), "float32": (1, 0), "uint8": (127, 128)}[dtype]
    wave = sine(44_100, channels=2)
    codec = {"int16": "pcm_s16le", "float32": "pcm_f32le", "uint8": "pcm_u8"}[dtype]
    path = write_sound(tmp_path / "a.wav", codec, (scale * wave + shift).astype(dtype), 44_100)
    sound = read_sound(open_clip(None, path, start=0.25, end=5.0), [])
    assert sound.shape == (round(0.75 * SAMPLE_RATE),)
    np.testing.assert_allclose(sound, wave.mean(0)[-len(sound) :], atol=0.02)


def test_sound_is_resampled(tmp_path):
    path = write_sound(tmp_path / "a.wav", "pcm_f32le", sine(16_000).astype(np.float32), 16_000)
    sound = read_sound(open_clip(None, path), [])
    assert abs(len(sound) - SAMPLE_RATE) < 100
    inner = slice(1000, -1000)
    np.testing.assert_allclose(sound[inner], sine(SAMPLE_RATE)[0][: len(sound)][inner], atol=0.01)


def test_a_late_sound_is_late(tmp_path):
    tone = (32767 * sine(8000)).astype(np.int16)
    path = write(tmp_path / "a.mkv", sound=("pcm_s16le", tone, 4000))  # stamps start at half a second
    sound = read_sound(open_clip(path), [])
    assert np.abs(sound[: round(0.49 * SAMPLE_RATE)]).max() < 0.01
    assert np.abs(sound[round(0.52 * SAMPLE_RATE) :]).max() > 0.4


def test_previews_hold_both_and_say_what_is_missing(tmp_path):
    video = write(tmp_path / "v.mp4")
    tone = write_sound(tmp_path / "a.wav", "pcm_s16le", (9000 * sine(8000)).astype(np.int16), 8000)
    (tmp_path / "broken.mp4").write_bytes(b"no media" * 99)
    with av.open(io.BytesIO(base64.b64decode(read_preview(Entry("a", video, tone, None)).media.split(",")[1]))) as both:
        assert [stream.codec.name for stream in both.streams] == ["h264", "aac"]
        assert both.streams.video[0].frames == 16
    assert read_preview(Entry("a", video, None, None)).problem == "no sound"
    alone = read_preview(Entry("a", tmp_path / "broken.mp4", tone, None))
    assert (alone.media[:14], alone.thumbnail) == ("data:audio/mp4", None)
    for entry, reason in {
        Entry("a", tmp_path / "broken.mp4", None, None): "Expected a readable media file",
        Entry("a", tmp_path / "gone.mp4", None, None): "Expected a media file",
        Entry("a", video, None, None, 50.0): "Expected start before the end",
        Entry("a", None, video, None): "has no audio stream",
        None: "not in the manifest",
    }.items():
        preview = read_preview(entry)
        assert (preview.media, preview.thumbnail) == (None, None)
        assert reason in preview.problem


def test_a_picture_that_stays_on_screen_is_shown_as_long(tmp_path):
    path = write(tmp_path / "a.mp4", count=3, rate=2)
    with av.open(io.BytesIO(base64.b64decode(read_preview(Entry("a", path, None, None)).media.split(",")[1]))) as copy:
        assert numbers(copy.decode(video=0)) == [0] * 4 + [1] * 4 + [2] * 4


def test_damage_inside_is_said(tmp_path):
    path = write(tmp_path / "a.mkv", count=200)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 300] = bytes(300)
    path.write_bytes(content)
    assert "Expected video without damage" in read_preview(Entry("a", path, None, None)).problem
