"""The demo in miniature: it says and writes what it promises."""

from importlib.util import find_spec

import pytest

if not all(find_spec(package) for package in ("open_clip", "torchaudio", "lightning", "av", "matplotlib", "scipy")):
    pytest.skip("needs all extras", allow_module_level=True)

import torch

from torchmetrics_majorscore import cli, demo
from torchmetrics_majorscore.demo.generator import SAMPLE_RATE, Vocoder
from torchmetrics_majorscore.media import read_clip
from torchmetrics_majorscore.training.world.scene import draw_scenes
from torchmetrics_majorscore.training.world.sound import render_sounds


def test_demo_writes_plot_and_clips(tmp_path):
    said = []
    scores = demo.run_demo(tmp_path, demo.DemoOptions(renders=1, epochs=1, validated=32, clips=1), said.append)
    assert scores["shuffled"] < scores["true"]
    gap = (scores["generated"] - scores["shuffled"]) / (scores["true"] - scores["shuffled"])
    assert scores["closed"] == pytest.approx(gap)
    assert f"{scores['closed']:.0%} of the gap closed" in "\n".join(said)
    assert sum("val/majorscore" in line for line in said) == 3  # before training, after each epoch, in the end
    assert (tmp_path / "demo.png").read_bytes()[:4] == b"\x89PNG"
    clips = sorted(tmp_path.glob("*.mp4"))
    assert [path.stem.rsplit("-", 1)[1] for path in clips] == ["generated", "true"]
    for path in clips:
        clip = read_clip(path, fps=4.0)
        assert clip.frames.shape == (16, 3, 256, 256)
        assert clip.waveform.shape[-1] / clip.sample_rate == pytest.approx(4.0, abs=0.05)
        assert clip.waveform.abs().max() > 1e-3


def test_demo_is_a_command(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(demo, "run_demo", lambda folder, options, say: say(f"{folder.name} {options.seed}"))
    assert cli.main(["demo", "-o", str(tmp_path / "out"), "--seed", "3"]) == 0
    assert capsys.readouterr().out == "out 3\n"


def test_vocoder_keeps_the_mel_of_a_sound():
    vocoder, sounds = Vocoder(), render_sounds(draw_scenes([0, 50, 100, 150], 0, "test"))
    mels = vocoder.analyse(sounds)
    again = vocoder.synthesise(mels)
    assert again.shape == sounds.shape == (4, 4 * SAMPLE_RATE)
    assert (vocoder.analyse(again) - mels).abs().mean() < 0.5 * (mels - mels.mean(dim=-1, keepdim=True)).abs().mean()
    assert torch.equal(vocoder.synthesise(mels), again)
