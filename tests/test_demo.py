"""The demo in miniature: it says and writes what it promises."""

from importlib.util import find_spec

import pytest

if not all(find_spec(package) for package in ("ftfy", "lightning", "av", "matplotlib", "scipy")):
    pytest.skip("needs all extras", allow_module_level=True)

import torch

from torchmetrics_majorscore import demo
from torchmetrics_majorscore.cli import main as cli
from torchmetrics_majorscore.demo.generator import recorded
from torchmetrics_majorscore.media import read_clip
from torchmetrics_majorscore.training.generator.vocoder import SAMPLE_RATE, Vocoder
from torchmetrics_majorscore.training.world.scene import draw_scenes
from torchmetrics_majorscore.training.world.sound import render_sounds


def test_demo_writes_plot_and_clips(tmp_path):
    said, steps = [], []
    options = demo.DemoOptions(learned=8, steps=2, validated=8, clips=1)
    numbers = demo.run_demo(tmp_path, options, said.append, lambda: steps.append(1))
    assert len(steps) == options.work
    text = "\n".join(said)
    assert numbers["shuffled"] < numbers["true"]
    assert numbers["closed"] > 0.4  # of few clips
    gap = (numbers["generated"] - numbers["shuffled"]) / (numbers["true"] - numbers["shuffled"])
    assert numbers["closed"] == pytest.approx(gap)
    assert f"{numbers['closed']:.0%} of the gap closed" in text
    curve = recorded()
    assert list(curve) == sorted(curve)
    assert curve[max(curve)] > curve[0] + 0.15
    assert sum("recorded" in line for line in said) == len(curve)
    live = [line for line in said if "val/onset_f1" in line]
    assert [int(line.split()[1][:-1]) for line in live] == [max(curve), max(curve) + 2]  # before and after two steps
    # What the third side buys: caption and picture fit, caption and sound fit, and only they differ.
    assert numbers["third side: video-audio"] > 0.9
    assert abs(numbers["third side: CLIPCLAP"] - 0.5) < 0.2
    assert numbers["planted: video-audio"] >= 6 > 2 >= numbers["planted: CLIPCLAP"]
    assert numbers["Cohen's d: MAJORScore"] < 0.5 * numbers["Cohen's d: CLIPCLAP"]
    assert numbers["captions: CLIPCLAP"] > 0.99
    assert (tmp_path / "demo.png").read_bytes()[:4] == b"\x89PNG"
    clips = sorted(tmp_path.glob("*.mp4"))
    assert [path.stem.rsplit("-", 1)[1] for path in clips] == ["generated", "true"]
    for path in clips:
        clip = read_clip(path, fps=4.0)
        assert clip.frames.shape == (16, 3, 256, 256)
        assert clip.waveform.shape[-1] / clip.sample_rate == pytest.approx(4.0, abs=0.05)
        assert clip.waveform.abs().max() > 1e-3


def test_demo_is_a_command(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(demo, "run_demo", lambda folder, options, say, advance: say(f"{folder.name} {options.seed}"))
    assert cli.main(["demo", "-o", str(tmp_path / "out"), "--seed", "3"]) == 0
    assert capsys.readouterr().out == "out 3\n"


def test_vocoder_keeps_the_mel_of_a_sound():
    vocoder, sounds = Vocoder(), render_sounds(draw_scenes([0, 50, 100, 150], 0, "test"))
    mels = vocoder.analyse(sounds)
    again = vocoder.synthesise(mels)
    assert again.shape == sounds.shape == (4, 4 * SAMPLE_RATE)
    assert (vocoder.analyse(again) - mels).abs().mean() < 0.5 * (mels - mels.mean(dim=-1, keepdim=True)).abs().mean()
    assert torch.equal(vocoder.synthesise(mels), again)
