"""Latents of sounds and back by the shipped weights, and features of scenes: shapes, lengths, what is stale."""

import pytest
import torch

from torchmetrics_majorscore.training.generator import world
from torchmetrics_majorscore.training.generator.autoencoder import CHANNELS, surprise
from torchmetrics_majorscore.training.generator.checkpoint import BUNDLE, load_generator
from torchmetrics_majorscore.training.generator.data import Samples
from torchmetrics_majorscore.training.generator.flow import flow_loss, sample
from torchmetrics_majorscore.training.generator.module import draw_noise
from torchmetrics_majorscore.training.generator.sounds import SoundOptions, Sounds, divergence, fit, load_sounds
from torchmetrics_majorscore.training.generator.vocoder import N_MELS, SAMPLE_RATE
from torchmetrics_majorscore.training.generator.world import embed_scenes, kept_features
from torchmetrics_majorscore.training.world.scene import draw_scenes, unseen
from torchmetrics_majorscore.training.world.sound import render_sounds

SCENES = draw_scenes(unseen("validation")[:3], 5, "validation")


@pytest.fixture(scope="module")
def sounds():
    return load_sounds()


def test_a_sound_comes_back_near_to_what_it_was(sounds):
    waveforms = render_sounds(SCENES)
    mean, deviation = sounds.encode(waveforms)
    assert mean.shape == deviation.shape == (3, 100, CHANNELS)
    back = sounds.decode(mean)
    assert back.shape == waveforms.shape
    assert back.abs().amax() <= 1.0
    own, others = sounds.mels(waveforms), sounds.mels(waveforms.roll(1, 0))
    error = ((sounds.mels(back) - own) / sounds.autoencoder.deviation).abs().mean()
    assert error < 0.5 * ((others - own) / sounds.autoencoder.deviation).abs().mean()


def test_a_sound_of_any_length_is_filled_with_silence(sounds):
    waveforms = render_sounds(SCENES)[:, : SAMPLE_RATE + 7]
    mean, _ = sounds.encode(waveforms)
    assert mean.shape[1] == 26
    assert sounds.decode(mean).shape == (3, 26 * sounds.step)


def test_weights_are_named_and_a_folder_without_is_refused(sounds, tmp_path):
    assert sounds.name == load_sounds().name
    assert sounds.name.startswith("sounds-tiny@")
    assert not any(parameter.requires_grad for parameter in sounds.parameters())
    with pytest.raises(FileNotFoundError):
        load_sounds(tmp_path)


def test_the_recipe_learns_what_a_mean_does_not_know():
    generator = torch.Generator().manual_seed(0)
    levels = torch.randn(16, 1, 32, generator=generator).repeat_interleave(2, dim=-1) * 2.0 - 5.0
    mels = levels.expand(-1, N_MELS, -1).half()
    torch.manual_seed(0)
    autoencoder = Sounds().autoencoder
    fit(autoencoder, mels, SoundOptions(steps=30, sure_steps=20, batch_size=6, window=32))
    with torch.no_grad():
        found, shape = autoencoder.spread(autoencoder.encode(mels.float())[0])
        unlearned = surprise(mels.float(), autoencoder.mean.expand_as(found), torch.ones_like(shape)).mean()
        assert surprise(mels.float(), found, shape).mean() < 0.7 * unlearned
    assert (found - mels).abs().mean() < 0.5 * (mels.float() - autoencoder.mean).abs().mean()


def test_divergence_is_that_of_normal_distributions():
    mean, deviation = torch.tensor([0.5, -1.0]), torch.tensor([1.5, 0.3])
    own = torch.distributions.Normal(mean, deviation)
    expected = torch.distributions.kl_divergence(own, torch.distributions.Normal(0.0, 1.0)).mean()
    assert torch.allclose(divergence(mean, deviation), expected)
    assert divergence(torch.zeros(3), torch.ones(3)) == 0.0


def test_surprise_is_that_of_gamma_distributed_powers():
    power, mean, shape = torch.tensor([0.1, 2.0, 9.0]), torch.tensor([0.5, 2.0, 3.0]), torch.tensor([1.0, 4.0, 0.5])
    expected = -torch.distributions.Gamma(shape, shape / mean).log_prob(power) - power.log()
    assert torch.allclose(surprise(power.log(), mean.log(), shape), expected, atol=1e-5)


def test_noise_comes_back_as_noise_and_a_tone_as_a_tone(sounds, monkeypatch):
    mean = torch.zeros(2, N_MELS, 400)
    shape = torch.ones_like(mean)
    shape[1] = 148.0
    monkeypatch.setattr(sounds.autoencoder, "spread", lambda latents: (mean, shape))
    noise, tone = sounds.autoencoder.decode(torch.zeros(2, 200, CHANNELS))
    assert abs(noise.exp().mean() - 1.0) < 0.03
    assert abs(noise.exp().std() - 1.0) < 0.05  # of an exponential distribution
    assert tone.std() < 0.1


def test_features_are_kept_until_something_changes(tmp_path, monkeypatch):
    path, counted = tmp_path / "features.safetensors", []
    first = kept_features(path, SCENES, "validation", advance=lambda: counted.append(1))
    shapes = [tuple(getattr(first, name).shape) for name in ("latent_mean", "clip", "sync", "text", "empty_text")]
    assert shapes == [(3, 100, CHANNELS), (3, 32, 128), (3, 100, 64), (3, 32, 96), (32, 96)]
    assert all(0.5 < getattr(first, name).std() < 2.0 for name in ("clip", "sync", "text"))
    assert first.ids == tuple(scene.id for scene in SCENES)
    again = kept_features(path, SCENES, "validation", advance=lambda: counted.append(1))
    assert len(counted) == 3
    assert again.digest == first.digest
    assert torch.equal(again.sync, first.sync)
    fewer = kept_features(path, SCENES[:1], "validation", advance=lambda: counted.append(1))
    assert (len(counted), len(fewer)) == (4, 1)
    assert torch.allclose(fewer.clip, first.clip[:1], atol=1e-6)
    monkeypatch.setattr(world, "load_sounds", lambda: Sounds().eval().requires_grad_(False))
    kept_features(path, SCENES[:1], "validation", advance=lambda: counted.append(1))
    assert len(counted) == 5


def test_samples_without_video_have_no_frames():
    features = embed_scenes(SCENES[:2], "validation", seen=False)
    assert (features.clip.shape, features.sync.shape) == ((2, 0, 128), (2, 0, 64))
    assert features.latent_mean.shape == (2, 100, CHANNELS)


def test_the_generator_of_this_package_goes_by_what_it_is_given(sounds):
    network, features = load_generator(), embed_scenes(SCENES, "validation")
    assert BUNDLE.stat().st_size <= 6e6
    held = Samples([features])
    own, other = held.batch(range(3)), held.batch([1, 2, 0])
    x1, x0, t = network.normalise(own.latent_mean), draw_noise(features.ids, 100, 20), torch.tensor([0.3, 0.5, 0.7])

    def loss(prompt):
        conditions = network.condition(prompt)
        return flow_loss(lambda x, at: network(x, at, conditions), x0, x1, t)

    assert (loss(own.prompt) < loss(other.prompt)).all()
    waveforms = sounds.decode(sample(network, own.prompt, x0, guidance=2.5, steps=4))
    assert waveforms.isfinite().all()
    assert waveforms.abs().amax(dim=-1).min() > 0.01
