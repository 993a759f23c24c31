"""Picture and sound of one file, damaged files, errors, and the real clips."""

import importlib
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from media_files import av, indices, sine, write, write_sound

import torchmetrics_majorscore
from torchmetrics_majorscore import media
from torchmetrics_majorscore.media import read_clip, read_frames, read_manifest, read_waveform

SHARED = Path(__file__).parents[2] / "shared/media"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the real clips are not here")


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
    for read in (read_frames, read_waveform, read_clip):
        with pytest.raises(FileNotFoundError, match=r"no file at .*nowhere.mp4"):
            read(tmp_path / "nowhere.mp4")
    clip = read_clip(silent, tmp_path / "nowhere.mp4")
    assert clip.frames is not None
    assert re.search(r"no file at .*nowhere.mp4", clip.audio_error)


def test_without_av(monkeypatch, tmp_path):
    monkeypatch.setattr(torchmetrics_majorscore, "media", media)  # put back what the second import replaces
    for name in [name for name in sys.modules if name.startswith("torchmetrics_majorscore.media")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "av", None)
    assert importlib.import_module("torchmetrics_majorscore.media") is not media
    with pytest.raises(ModuleNotFoundError, match=r"got no av; in a clone .*pip install \"\.\[media\]\""):
        read_frames(tmp_path / "a.mp4")


def test_public_names():
    assert media.__all__ == [
        *("Clip", "ClipStream", "Entry", "Manifest", "open_clip"),
        *("read_clip", "read_frames", "read_manifest", "read_waveform"),
    ]


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
