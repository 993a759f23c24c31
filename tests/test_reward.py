"""A score per sample without rows: to choose among samples, and to train by."""

import pytest
import torch
from vectors import embed, random

from torchmetrics_majorscore import CLIPCLAPScore, FairScore, MAJORScore
from torchmetrics_majorscore.encoders import mel
from torchmetrics_majorscore.training.world.captions import caption
from torchmetrics_majorscore.training.world.scene import draw_scenes
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import render_sounds
from torchmetrics_majorscore.training.world.timbres import SAMPLE_RATE

RATES = {"sample_rate": SAMPLE_RATE, "fps": 1}


@pytest.fixture(scope="module")
def batch():
    scenes = draw_scenes([0, 40, 80, 120], 0, "validation")
    return {
        "video": render_frames(scenes),
        "text": [caption(scene, "validation") for scene in scenes],
        "audio": render_sounds(scenes),
    }


METRICS = {
    "average": lambda: MAJORScore("average", "c-mcr-tiny", **RATES),
    "product of all": lambda: MAJORScore("product", "c-mcr-tiny", pairs="all", **RATES),
    "fair": lambda: FairScore("c-mcr-tiny", **RATES),
    "clipclap": lambda: CLIPCLAPScore("sum", "clip-tiny", "clap-tiny", **RATES),
}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.filterwarnings("ignore:.*positive product")
def test_scores_are_those_of_the_rows_and_nothing_is_kept(name, batch):
    metric = METRICS[name]()
    scores = metric.score(**batch)
    assert scores.shape == (4,)
    assert not scores.requires_grad
    assert metric.rows()["id"] == []
    metric.update(**batch)
    torch.testing.assert_close(scores.mean(), metric.compute(), atol=1e-7, rtol=1e-6)
    assert torch.equal(metric.score(**batch, differentiable=True).detach(), scores)


def test_a_sample_without_a_value_is_nan_and_the_others_are_not(batch):
    metric = METRICS["average"]()
    whole = metric.score(**batch)
    sounds = [*batch["audio"]]
    sounds[2] = torch.full_like(sounds[2], torch.nan)
    with pytest.warns(UserWarning, match="audio of sample 2 has NaN"):
        scores = metric.score(**(batch | {"audio": sounds}))
    assert scores.isnan().tolist() == [False, False, True, False]
    assert torch.equal(scores[[0, 1, 3]], whole[[0, 1, 3]])


def with_noise(batch, share):
    """Mix noise into sounds, as loud as they are at a share of 1."""
    sounds = batch["audio"]
    noise = random(*sounds.shape, seed=5) * sounds.std(dim=1, keepdim=True)
    return batch | {"audio": sounds + share[:, None] * noise}


def test_gradients_are_those_of_finite_differences(batch, monkeypatch):
    # Without the 16-bit steps, through which gradients pass as if there were none.
    monkeypatch.setattr(mel, "to_16_bit", lambda waveform: waveform.clamp(-1.0, 1.0))
    metric = METRICS["average"]()
    share = torch.full((4,), 0.3, requires_grad=True)
    metric.score(**with_noise(batch, share), differentiable=True).sum().backward()
    with torch.no_grad():
        ahead, behind = (metric.score(**with_noise(batch, share + step)).double() for step in (3e-4, -3e-4))
    torch.testing.assert_close(share.grad.double(), (ahead - behind) / 6e-4, rtol=0.02, atol=3e-3)
    assert (share.grad.abs() > 0.01).any()


def test_ascent_raises_the_score(batch):
    metric = METRICS["average"]()
    share = torch.full((4,), 0.3)
    first = metric.score(**with_noise(batch, share))
    for _ in range(3):
        share.requires_grad_()
        (slope,) = torch.autograd.grad(metric.score(**with_noise(batch, share), differentiable=True).sum(), share)
        share = (share + 0.03 * slope.sign()).detach()
    assert metric.score(**with_noise(batch, share)).mean() > first.mean() + 0.005


def test_the_mode_of_gradients_is_left_as_it_was(batch):
    METRICS["average"]().score(**batch)
    assert torch.is_grad_enabled()


def test_gradients_reach_given_embeddings_and_leave_update_alone():
    metric = MAJORScore(encoder=None)
    embeddings = {name: embedding.requires_grad_() for name, embedding in embed(3).items()}
    metric.score(embeddings=embeddings, differentiable=True).sum().backward()
    assert all(embedding.grad.abs().sum() > 0 for embedding in embeddings.values())
    metric.update(embeddings=embeddings)
    assert not metric.compute().requires_grad


def test_scores_inside_inference_mode(batch):
    metric = METRICS["average"]()
    with torch.inference_mode():
        scores = metric.score(**batch)
    assert torch.equal(scores, metric.score(**batch))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"embeddings": embed(3), "text": ["a"]}, "either raw inputs or embeddings"),
        ({"text": ["a"]}, "got no video"),
        ({"touch": [1]}, "got touch"),
    ],
)
def test_mistakes_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        METRICS["average"]().score(**given)
