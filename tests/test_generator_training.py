"""The generator in training: data, recipe, validation, checkpoints, what is refused."""

import dataclasses
import math
import shutil
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from tiny import TinyEncoder, join, run_processes
from torch import nn
from toy_training import IGNORED

from torchmetrics_majorscore import V2AMetrics
from torchmetrics_majorscore.training.generator.checkpoint import load_generator, save_generator
from torchmetrics_majorscore.training.generator.clips import Clips, read_clips, render_clips
from torchmetrics_majorscore.training.generator.data import GeneratorData, Samples
from torchmetrics_majorscore.training.generator.features import Features, read_features
from torchmetrics_majorscore.training.generator.module import VideoToAudio
from torchmetrics_majorscore.training.generator.network import GeneratorNetwork
from torchmetrics_majorscore.training.generator.rates import Rates
from torchmetrics_majorscore.training.generator.sizes import GeneratorSizes
from torchmetrics_majorscore.training.world.scene import draw_scenes

pytestmark = [
    *(pytest.mark.filterwarnings(line) for line in IGNORED),
    pytest.mark.filterwarnings("ignore:.* vectors of .* do not span"),
]
SIZES = GeneratorSizes(
    latent=4, clip=6, sync=5, text=7, text_length=3, hidden=16, heads=2, joint=1, single=1, multiple=16, group=4
)
RATES = Rates(latent=5.0, clip=2.0, sync=4.0)
SAMPLE_RATE, SAMPLES = 8_000, 32_000
COUNT, UNSEEN, HELD = 12, 4, 5  # odd, so that the sampler of two processes doubles a clip
CONFIG = Path(__file__).parents[1] / "docs/generator.yaml"


class Decoder(nn.Module):
    """Latents as the envelopes of four tones."""

    sample_rate = SAMPLE_RATE

    def decode(self, latent):
        t = torch.arange(SAMPLES) / SAMPLE_RATE
        tones = torch.stack([(2 * math.pi * f * t).sin() for f in (200, 500, 1100, 2300)])
        envelopes = nn.functional.interpolate(latent.transpose(1, 2).sigmoid(), size=SAMPLES)
        return 0.2 * (envelopes * tones).sum(dim=1)


def make_features(count, seed, seen=True):
    g = torch.Generator().manual_seed(seed)
    lengths = {"clip": 8 * seen, "sync": 16 * seen, "text": 3}
    parts = {name: torch.randn(count, length, getattr(SIZES, name), generator=g) for name, length in lengths.items()}
    latent = 3.0 + 2.0 * torch.randn(count, 20, 4, generator=g)
    empty = torch.full((3, SIZES.text), 0.25)
    ids = tuple(f"{seed}-{row}" for row in range(count))
    return Features(latent, torch.full_like(latent, 0.1), **parts, empty_text=empty, ids=ids)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of features and clips."""
    path = tmp_path_factory.mktemp("features")
    make_features(COUNT, 0).write(path / "train.safetensors")
    make_features(UNSEEN, 1, seen=False).write(path / "audio-text.safetensors")
    held_out = make_features(HELD, 2)
    held_out.write(path / "validation.safetensors")
    g = torch.Generator().manual_seed(3)
    clips = Clips(
        torch.randint(256, (HELD, 8, 3, 8, 8), dtype=torch.uint8, generator=g),
        torch.rand(HELD, SAMPLES, generator=g) - 0.5,
        tuple(f"sound {row}" for row in range(HELD)),
        (torch.tensor([0.5, 1.0], dtype=torch.float64),) * HELD,
        held_out.ids,
    )
    clips.write(path / "clips.safetensors")
    return path


def make_data(folder, **options):
    train = [folder / "train.safetensors", folder / "audio-text.safetensors"]
    parts = {"validation": folder / "validation.safetensors", "clips": folder / "clips.safetensors", "rates": RATES}
    return GeneratorData(train, **{"batch_size": 4, **parts, **options})


def make_module(steps=8, **options):
    torch.manual_seed(0)
    metrics = V2AMetrics(
        TinyEncoder(), labels=["a", "b"], sample_rate=SAMPLE_RATE, fps=2, cache_conditions=True, prefix="val/"
    )
    given = {"sizes": SIZES, "steps": steps, "learning_rate": 1e-3, "warm_up": 2, "euler_steps": 2}
    return VideoToAudio(Decoder(), **{"metrics": metrics, **given, **options})


def fit(module, folder, path, epochs=2, checkpoint=None, data=None, devices=1):
    kept = ModelCheckpoint(path, "best", monitor="val/majorscore_average", mode="max", save_last=True)
    trainer = Trainer(
        accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto", max_epochs=epochs, logger=False,
        callbacks=[kept], enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(module, data or make_data(folder), ckpt_path=checkpoint, weights_only=True)
    return trainer


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """A run of two epochs: trainer, module and its folder."""
    path, module = tmp_path_factory.mktemp("run"), make_module()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit(module, folder, path), module, path


def test_features_come_back_from_their_file(tmp_path):
    features = dataclasses.replace(make_features(3, 5, seen=False), digest="of all")
    features.write(tmp_path / "features.safetensors")
    found = read_features(tmp_path / "features.safetensors")
    for name, value in vars(features).items():
        assert (
            torch.equal(getattr(found, name), value) if isinstance(value, torch.Tensor) else value == vars(found)[name]
        )


def test_samples_with_video_are_repeated_and_those_without_have_zeros():
    seen, unseen = make_features(3, 0), make_features(2, 1, seen=False)
    samples = Samples([unseen, seen], repeat=5)
    assert len(samples) == 2 + 5 * 3
    batch = samples.batch([1, 2, 2 + 3 + 1])
    assert batch.prompt.seen.tolist() == [False, True, True]
    assert torch.equal(batch.prompt.clip, torch.stack([torch.zeros(8, 6), seen.clip[0], seen.clip[1]]))
    assert torch.equal(batch.latent_mean, torch.stack([unseen.latent_mean[1], *seen.latent_mean[:2]]))


def test_a_run_logs_the_whole_table(trained):
    trainer, _, path = trained
    names = {name for name in trainer.callback_metrics if name.startswith("val/")}
    free = {
        "fd_joint",
        "fd_joint_n",
        "kl_zero_shot",
        "is_zero_shot",
        "onset_f1",
        "onset_accuracy",
        "majorscore_average",
    }
    assert {f"val/{name}" for name in free} <= names
    assert all(trainer.callback_metrics[f"val/{name}"].isfinite() for name in free)
    assert (path / "best.ckpt").is_file()


def test_statistics_and_the_empty_string_come_from_the_data(trained, folder):
    _, module, _ = trained
    rows = torch.cat([read_features(folder / f"{name}.safetensors").latent_mean for name in ("train", "audio-text")])
    torch.testing.assert_close(module.network.latent_mean, rows.mean(dim=(0, 1)))
    drawn = (rows.flatten(0, 1).var(dim=0) + 0.1**2).sqrt()
    torch.testing.assert_close(module.network.latent_std, drawn)
    assert torch.equal(module.network.empty_text, torch.full((3, SIZES.text), 0.25))
    x = rows[:2]
    torch.testing.assert_close(module.network.restore(module.network.normalise(x)), x)


def test_validation_uses_the_averaged_weights(trained, folder):
    _, module, _ = trained
    data = make_data(folder)
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))
    given = batch["features"].prompt, 20, batch["ids"]
    heard = []
    module.metrics.update, update = (lambda **given: heard.append(given["audio"])), module.metrics.update
    module.validation_step(batch, 0)
    module.metrics.update = update
    module.onsets.reset()
    own = {name: value.clone() for name, value in module.network.state_dict().items()}
    with module.average.inside(module.network):
        averaged = module.generate(*given, guidance=module.guidance, steps=2)
        assert any(not torch.equal(value, own[name]) for name, value in module.network.state_dict().items())
    assert torch.equal(heard[0], averaged)
    assert not torch.allclose(module.generate(*given, guidance=module.guidance, steps=2), averaged)


def test_noise_of_a_clip_depends_on_its_id_alone(trained, folder):
    _, module, _ = trained
    prompt = Samples([make_features(4, 2)]).batch(range(4)).prompt
    whole = module.generate(prompt, 20, ["a", "b", "c", "d"], steps=1)
    part = module.generate(type(prompt)(*(x[2:] for x in prompt)), 20, ["c", "d"], steps=1)
    torch.testing.assert_close(whole[2:], part, atol=1e-5, rtol=0)


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(trained, folder, tmp_path):
    _, whole, _ = trained
    fit(make_module(), folder, tmp_path, epochs=1)
    module = make_module()
    fit(module, folder, tmp_path, checkpoint=tmp_path / "last.ckpt")
    assert module.global_step == whole.global_step
    assert module.seconds["all"] > module.seconds["validation"] > 0
    for name, value in whole.state_dict().items():
        assert torch.equal(value, module.state_dict()[name]), name


def work(rank, world, folder):
    """Train on one of two processes, and keep what it logged and learned."""
    join(rank, world, folder)
    data = make_data(folder, batch_size=2)
    module = make_module()
    trainer = fit(module, folder, folder / "run", data=data, devices=world)
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    torch.save({"logged": logged, "state": module.state_dict(), "steps": module.global_step}, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_learn_one_network_and_log_what_one_measures(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    codes, (first, second) = run_processes(work, 2, tmp_path)
    assert codes == [0, 0]
    assert first["steps"] == second["steps"] == 8
    for name, value in first["state"].items():
        assert torch.equal(value, second["state"][name]), name
    module = make_module()
    assert not torch.equal(
        module.state_dict()["network.latent_out.weight"], first["state"]["network.latent_out.weight"]
    )
    module.load_state_dict(first["state"])
    trainer = Trainer(accelerator="cpu", devices=1, logger=False, enable_progress_bar=False, enable_model_summary=False)
    (measured,) = trainer.validate(module, make_data(folder), verbose=False)
    assert {name for name in first["logged"] if name.startswith("val/")} == set(measured)
    for name, value in measured.items():
        assert first["logged"][name] == pytest.approx(value, abs=1e-4, nan_ok=True), name
        assert first["logged"][name] == pytest.approx(second["logged"][name], abs=0, nan_ok=True), name


def test_rate_warms_up_and_goes_down_twice():
    module = make_module(steps=100, warm_up=9)
    shares = [module._share_of_rate(step) for step in (0, 4, 9, 79, 80, 89, 90, 99)]
    assert shares == pytest.approx([0.1, 0.5, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01])
    assert module.configure_optimizers()["optimizer"].defaults["betas"] == (0.9, 0.95)


def test_loss_that_is_not_finite_ends_the_run_and_keeps_the_checkpoint(folder, tmp_path):
    fit(make_module(), folder, tmp_path, epochs=1)
    good = (tmp_path / "last.ckpt").read_bytes()
    data = make_data(folder)
    data.setup("fit")
    data.samples.features[0].latent_mean[:] = math.inf
    data.setup = lambda stage: None
    with pytest.raises(ArithmeticError, match="finite loss and gradient, got nan at step 4"):
        fit(make_module(), folder, tmp_path, checkpoint=tmp_path / "last.ckpt", data=data)
    assert (tmp_path / "last.ckpt").read_bytes() == good


def test_batch_without_any_modality_is_refused():
    batch = Samples([make_features(2, 0)]).batch([0, 1])
    nothing = torch.zeros(2, dtype=torch.bool)
    with pytest.raises(ValueError, match="no sample has either"):
        make_module().training_step(batch._replace(prompt=batch.prompt.drop(~nothing, ~nothing)), 0)


def test_checkpoint_of_other_sizes_is_refused(trained, folder, tmp_path):
    _, module, path = trained
    other = make_module(sizes=dataclasses.replace(SIZES, hidden=32, single=2))
    with pytest.raises(ValueError, match="got one of hidden 16 where 32 is asked for, single 1 where 2"):
        fit(other, folder, tmp_path, checkpoint=path / "last.ckpt")
    save_generator(module.network, tmp_path / "generator.safetensors")
    with pytest.raises(ValueError, match="hidden 16 where 32"):
        load_generator(tmp_path / "generator.safetensors", other.network.sizes)


def test_generator_comes_back_from_its_file(tmp_path):
    network = GeneratorNetwork(SIZES)
    save_generator(network, tmp_path / "generator.safetensors")
    found = load_generator(tmp_path / "generator.safetensors", SIZES)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value, atol=1e-3, rtol=1e-3)


def test_validation_without_sound_is_refused(folder):
    clips = read_clips(folder / "clips.safetensors")
    for sounds in (torch.zeros(HELD, 0), clips.sounds * torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0])[:, None]):
        silent = HELD if not sounds.numel() else 2
        with pytest.raises(ValueError, match=f"true sounds to validate on, got {silent} of {HELD} without"):
            dataclasses.replace(clips, sounds=sounds)


def test_lengths_that_no_rate_fits_are_refused(folder):
    with pytest.raises(ValueError, match=r"lengths of one duration, got latent 4.00 s"):
        make_data(folder, rates=Rates(latent=5.0, clip=8.0, sync=4.0)).setup("fit")


def test_other_clips_than_those_of_the_features_are_refused(folder):
    with pytest.raises(ValueError, match="same clips in the same order"):
        make_data(folder, validation=folder / "train.safetensors").setup("fit")


def test_clips_of_the_world_have_the_events_of_their_scenes():
    (scene,) = draw_scenes([5], 0, "validation")
    clips = render_clips([scene], "validation", fps=2.0)
    assert clips.frames.shape[:2] == (1, 8)
    assert all(0 <= time < 4 for time in clips.onsets[0])
    assert set(clips.onsets[0].tolist()) <= set(scene.events().tolist())
    assert len(clips.onsets[0]) >= 3


@pytest.mark.filterwarnings("ignore:.*not of the embedded world")
@pytest.mark.skipif(find_spec("jsonargparse") is None, reason="needs jsonargparse")
def test_config_runs(folder, tmp_path, monkeypatch):
    from lightning.pytorch.cli import LightningCLI

    monkeypatch.setenv("JSONARGPARSE_DEPRECATION_WARNINGS", "off")  # of what Lightning calls
    monkeypatch.setattr("sys.argv", ["train.py"])
    config = yaml.safe_load(CONFIG.read_text())
    model, data = config["model"]["init_args"], config["data"]["init_args"]
    model["decoder"]["class_path"] = f"{__name__}.Decoder"
    model |= {"sizes": dataclasses.asdict(SIZES), "euler_steps": 2}
    model["metrics"]["init_args"] |= {"fps": 2, "sample_rate": SAMPLE_RATE}
    for name in ("validation", "clips"):
        data[name] = str(folder / f"{name}.safetensors")
    data |= {"train": [str(folder / "train.safetensors")], "batch_size": 4, "rates": dataclasses.asdict(RATES)}
    config["trainer"] |= {
        "max_epochs": 1,
        "check_val_every_n_epoch": 1,
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
    }
    config["trainer"]["callbacks"][0]["init_args"]["dirpath"] = str(tmp_path)
    cli = LightningCLI(args={"fit": config, "subcommand": "fit"}, save_config_callback=None)
    assert cli.model.network.sizes == SIZES
    assert cli.trainer.checkpoint_callback.best_model_path
