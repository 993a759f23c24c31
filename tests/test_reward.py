"""A score per sample without rows: to choose among samples, and to train by."""

import pytest
import torch
from vectors import embed

from torchmetrics_majorscore import CLIPCLAPScore, FairScore, MAJORScore
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


def test_gradients_are_those_of_finite_differences(batch):
    metric = METRICS["average"]()
    sounds = batch["audio"].clone().requires_grad_()
    metric.score(**(batch | {"audio": sounds}), differentiable=True).sum().backward()
    assert sounds.grad.isfinite().all()
    with torch.no_grad():
        # Along the gradient, and along each sound itself; steps far above those of 16 bits.
        for direction in (sounds.grad / sounds.grad.abs().mean(), sounds / sounds.abs().mean()):
            step = 2e-4 * direction
            ahead, behind = (
                metric.score(**(batch | {"audio": sounds + sign * step})).double().sum() for sign in (1, -1)
            )
            expected = (sounds.grad * step).double().sum()
            torch.testing.assert_close((ahead - behind) / 2, expected, rtol=0.05, atol=2e-5)


def test_ascent_raises_the_score(batch):
    metric = METRICS["average"]()
    sounds = batch["audio"].clone()
    before = metric.score(**(batch | {"audio": sounds}))
    for _ in range(3):
        sounds.requires_grad_()
        (slope,) = torch.autograd.grad(metric.score(**(batch | {"audio": sounds}), differentiable=True).sum(), sounds)
        sounds = (sounds + 1e-3 * slope.sign()).detach()
    assert (metric.score(**(batch | {"audio": sounds})) > before).all()


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
