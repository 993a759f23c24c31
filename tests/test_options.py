"""Bad options, encoders that break the protocol, and weights folders that lack files: errors that say so."""

import re

import pytest
import torch
from given import Plain
from recorder import Recorder, batch

from torchmetrics_majorscore import CLIPCLAPScore, FairScore, MAJORScore, MAJORScores, load_encoder

OWN = Plain("own")


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: MAJORScore("mean", encoder=None), ValueError, "combine to be one of ['sum', 'product', 'average'], got"),
    (lambda: CLIPCLAPScore("mean", None, None), ValueError, "combine to be one of ['sum', 'product', 'average'], got"),
    (lambda: MAJORScores(encoder=None, pairs=["a-b"]), ValueError, "each pair to be one of video-text, video-audio"),
    (lambda: MAJORScore(encoder=None, pairs="smell"), ValueError, "Expected pairs to be 'all', one of ['video', 't"),
    (lambda: MAJORScore(encoder="mcr"), ValueError, "clap:CHECKPOINT of laion_clap, or an encoder object, got 'mcr'"),
    (lambda: CLIPCLAPScore(clip="vit"), ValueError, "clap:CHECKPOINT of laion_clap, or an encoder object, got 'vit'"),
    (lambda: FairScore(None, nan_strategy="zero"), ValueError, "to be 'warn', 'ignore' or 'error', got 'zero'."),
    (lambda: FairScore(None, pairs=["text-video"]), ValueError, "at least two pairs to compare, got video-text."),
    (lambda: FairScore(None, modalities=("a", "b")), ValueError, "at least two pairs to compare, got a-b."),
    (lambda: load_encoder(OWN, weights="seeded"), ValueError, "Expected weights, pool and precision only with an enc"),
    (lambda: load_encoder(OWN, pool="before_head"), ValueError, "Expected weights, pool and precision only with"),
    (lambda: load_encoder(OWN, precision="bf16"), ValueError, "Expected weights, pool and precision only with an"),
    (lambda: load_encoder("c-mcr", precision="int8"), ValueError, "one of ['float32', 'bf16'], got 'int8'."),
    (lambda: MAJORScore(encoder=3), TypeError, "Expected an encoder with name, modalities, got int without."),
    (lambda: load_encoder("c-mcr", weights="/no/such"), FileNotFoundError, "checkpoints, got '/no/such'."),
    (lambda: MAJORScore(encoder=None, frames=1), ValueError, "Unexpected keyword arguments: `frames`"),
])  # fmt: skip
def test_bad_options(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


@pytest.mark.parametrize("part", ["name", "modalities", "sample_rate", "encode_video", "encode_text", "encode_audio"])
def test_an_encoder_without_a_part_of_the_protocol(part):
    whole = {name: value for name, value in vars(Recorder).items() if not name.startswith("__")}
    encoder = type("Part", (), {name: value for name, value in whole.items() if name != part})()
    with pytest.raises(TypeError, match=f"^Expected an encoder with {part}, got Part without.$"):
        MAJORScore(encoder=encoder)


def test_an_encoder_that_loses_a_sample():
    encoder = Recorder()
    encoder.encode_text = lambda batch: torch.ones(2, 3)
    with pytest.raises(ValueError, match=r"encode_text of recorder@0 to return \(3, D\), got \(2, 3\)"):
        MAJORScore(encoder=encoder, fps=1, sample_rate=16_000).update(**batch())


def test_a_weights_folder_that_lacks_files(tmp_path, monkeypatch):
    (tmp_path / "clap_clip.pt").touch()
    message = f"The weights folder {tmp_path} lacks open_clip_model.safetensors or model.safetensors; 630k-fusion-best"
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        load_encoder("c-mcr", weights=tmp_path)
    monkeypatch.setenv("MAJORSCORE_WEIGHTS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        MAJORScore()


@pytest.mark.parametrize("pairs", ["all", ["video-audio"], "audio", "video"])
def test_the_baseline_has_no_video_audio(pairs):
    with pytest.raises(ValueError, match=r"Expected .*video-audio"):
        CLIPCLAPScore(clip=None, clap=None, pairs=pairs)


def test_an_unknown_pool():
    with pytest.raises(ValueError, match="Expected pool"):
        load_encoder("c-mcr", pool="mean")


def test_the_baseline_with_encoders_the_wrong_way_round():
    with pytest.raises(ValueError, match="Expected"):
        CLIPCLAPScore(clip="clap", clap="clip")
