"""Clips that are scored as they are read: the same values, bounded memory, and a reason for whatever happens."""

import gc
import weakref
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

if not all(find_spec(package) for package in ("open_clip", "av", "scipy", "safetensors")):
    pytest.skip("needs the extras cmcr, media and evaluation", allow_module_level=True)

from media_files import sine, write, write_sound, write_stills

from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.media import ClipStream, Entry, open_clip, read_manifest
from torchmetrics_majorscore.scoring import encode, read
from torchmetrics_majorscore.scoring.pieces import Pieces
from torchmetrics_majorscore.scoring.read import read_ahead
from torchmetrics_majorscore.scoring.score import ScoreOptions, score_clips
from torchmetrics_majorscore.tables.read import read_scores

CLIPS = Path(__file__).parents[1] / "docs/clips"
TINY = ScoreOptions(encoder="c-mcr-tiny", baseline=True, batch_size=2)


def rows(entries, path, options=TINY):
    summary = score_clips(entries, path, options)
    assert summary["clips"] == len(entries)
    return read_scores(path)[0]


def test_clips_that_are_encoded_as_they_are_read_have_the_same_bits(tmp_path, monkeypatch):
    entries = read_manifest(CLIPS / "manifest.csv")
    want = rows(entries, tmp_path / "whole.csv")
    monkeypatch.setattr(read, "HELD", 1000)
    (first, *_) = read_ahead(entries, 224, 1, 1)
    assert all(isinstance(first.inputs[name], Pieces) for name in ("video", "audio"))
    got = rows(entries, tmp_path / "pieces.csv")
    values = [column for column in want.columns if column not in ("remarks", "error")]
    assert got[values].equals(want[values])
    assert (got["error"] == "").all()


def test_a_clip_is_gone_once_nobody_has_it():
    gc.collect()
    gc.disable()  # frames and sound that wait for the collector add up, a clip takes megabytes
    try:
        clips = read_ahead(read_manifest(CLIPS / "manifest.csv")[:2], None, 1, 1)
        frames = weakref.ref(next(clips).inputs["video"])
        next(clips)
        assert frames() is None
    finally:
        gc.enable()


def test_a_whole_takes_no_more_than_its_bytes():
    still = torch.arange(12, dtype=torch.uint8).view(1, 3, 4).expand(5, -1, -1)
    parts = [still, torch.ones(1, 3, 4, dtype=torch.uint8), still[:2]]

    class Listed(Pieces):
        def __iter__(self):
            return iter(parts)

    pieces = Listed(None)
    assert pieces.whole(96).is_contiguous()
    assert torch.equal(pieces.whole(96), torch.cat(parts))
    assert pieces.whole(95) is None
    parts.insert(1, still[:1].expand(2**40, -1, -1))  # which there is no room for
    assert pieces.whole(2**31) is None


def test_an_encoder_that_takes_no_pieces_gets_the_whole(tmp_path, monkeypatch):
    entries = read_manifest(CLIPS / "manifest.csv")[:1]
    want = rows(entries, tmp_path / "a.csv")
    monkeypatch.setattr(read, "HELD", 1000)
    joint = load_encoder("c-mcr-tiny")
    monkeypatch.setattr(type(joint), "streams", lambda *args: False)
    assert rows(entries, tmp_path / "b.csv")["majorscore_average"].equals(want["majorscore_average"])
    monkeypatch.setattr(encode, "LARGEST", 1000)
    error = rows(entries, tmp_path / "c.csv")["error"].iloc[0]
    assert "Expected at most 2 GiB, got more, and c-mcr-tiny" in error


def test_damage_that_is_met_while_encoding_is_a_reason_and_costs_that_sound_only(tmp_path, monkeypatch):
    monkeypatch.setattr(read, "HELD", 1000)
    noise = np.random.default_rng(0).integers(-9000, 9000, (1, 384_000)).astype("i2")
    path = write_sound(tmp_path / "a.flac", "flac", noise, 48_000)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(200) + data[len(data) // 2 + 200 :])
    ball = read_manifest(CLIPS / "manifest.csv")[0]
    table = rows([replace(ball, id="bad", audio=path), ball], tmp_path / "s.csv")
    assert "audio: Expected audio without damage, got" in table["error"]["bad"]
    assert np.isfinite(table["similarity_video_text"]["bad"])
    assert np.isnan(table["similarity_text_audio"]["bad"])
    assert table["error"][ball.id] == ""


@pytest.mark.parametrize("error", [MemoryError("no more"), RuntimeError("odd"), OverflowError("too far")])
def test_whatever_a_worker_meets_is_a_row(tmp_path, monkeypatch, error):
    ball, disc, *_ = read_manifest(CLIPS / "manifest.csv")
    sound = ClipStream.sound

    def failing(clip):
        if clip.video == ball.video:
            raise error
        return sound(clip)

    monkeypatch.setattr(ClipStream, "sound", failing)
    table = rows([ball, disc], tmp_path / "s.csv")
    assert f"got {ball.video}: {type(error).__name__}: {error}" in table["error"][ball.id]
    assert np.isfinite(table["similarity_video_text"]).all()
    assert table["error"][disc.id] == ""


def test_a_picture_counts_as_long_as_it_is_shown_and_is_encoded_once(tmp_path):
    path = write_stills(tmp_path / "far.mkv", {0: 40, 200_000_000: 220})
    entries = [Entry("far", path, None, "red"), Entry("first", path, None, "red", end=100.0)]
    table = rows(entries, tmp_path / "s.csv", ScoreOptions(encoder="c-mcr-tiny"))
    far, first = table["similarity_video_text"]
    assert far == pytest.approx(first, abs=1e-5)
    assert list(table["error"]) == ["no audio stream"] * 2


def test_what_reading_remarks_is_in_the_table(tmp_path):
    noise = np.random.default_rng(0).integers(-9000, 9000, (1, 48_000)).astype("i2")
    path = write_sound(tmp_path / "a.flac", "flac", noise, 48_000)
    path.write_bytes(path.read_bytes()[:40_000])
    silent = write_sound(tmp_path / "b.wav", "pcm_s16le", np.zeros((1, 16_000), "i2"), 8000)
    picture = write(tmp_path / "c.mp4")
    entries = [Entry("cut", picture, path, "red"), Entry("silent", picture, silent, "red", error="a part is missing")]
    table = rows(entries, tmp_path / "s.csv")
    assert "s of 1.000 s promised" in table["remarks"]["cut"]
    assert table["remarks"]["silent"].startswith("audio is silent")
    assert list(table["error"]) == ["", "a part is missing"]


def test_the_sound_track_is_a_choice_that_the_row_depends_on(tmp_path):
    entry = read_manifest(CLIPS / "manifest.csv", audio_track=1)[0]
    assert entry.audio_track == 1
    table = rows([entry], tmp_path / "s.csv")
    assert "Expected audio_track to be one of 1, counted from 0, got 1" in table["error"].iloc[0]
    assert read.source_of(entry) != read.source_of(replace(entry, audio_track=None))
    assert rows([replace(entry, audio_track=0)], tmp_path / "s.csv")["error"].iloc[0] == ""


def test_pieces_of_a_clip_are_those_of_the_whole(tmp_path):
    samples = np.round(sine(8000, 2, 40) * 2**15).astype("i2")
    path = write_sound(tmp_path / "a.wav", "pcm_s16le", samples, 8000)
    blocks = [block for block, _ in open_clip(None, path).sound()]
    assert len(blocks) > 3
    assert max(block.size for block in blocks) < 2**18
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), samples / 2**15)
