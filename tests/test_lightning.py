"""In a Trainer: metrics through ``self.log`` and ``self.log_dict``, on one and two processes, and the example."""

import importlib.util
from pathlib import Path

import pytest
import torch
from tiny import FPS, SAMPLE_RATE, TinyEncoder, bits, join, make_samples, run_processes, take
from torch import nn
from torch.utils.data import DataLoader

from torchmetrics_majorscore import FairScore, MAJORScore, MAJORScores

pytest.importorskip("lightning")
from lightning.pytorch import LightningModule, Trainer

COUNT = 7  # odd, so that the sampler of two processes doubles a sample
SAMPLES = make_samples(COUNT)
RAW = {"sample_rate": SAMPLE_RATE, "fps": FPS}
EXAMPLE = Path(__file__).parents[1] / "docs/lightning_example.py"
pytestmark = [
    # Lightning's own advice and torch's deprecation within it.
    pytest.mark.filterwarnings("ignore:The .*dataloader.* does not have many workers"),
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.. is deprecated"),
    pytest.mark.filterwarnings("ignore:.* have a positive product of negative similarities:UserWarning"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no"),
]


class Model(LightningModule):
    """A user's module: a layer that is trained, metrics and a collection that are logged."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        self.majorscore = MAJORScore("sum", TinyEncoder(), **RAW)
        self.fairscore = FairScore(TinyEncoder(), **RAW)
        self.scores = MAJORScores(TinyEncoder(), prefix="val/", **RAW)
        self.seen = []

    def training_step(self, batch):
        return self.net(torch.ones(4, 2)).square().mean()

    def validation_step(self, rows):
        samples = take(SAMPLES, rows)
        for metric in (self.majorscore, self.fairscore, self.scores):
            metric.update(**samples)
        self.log("major", self.majorscore, batch_size=len(rows))
        self.log("fair", self.fairscore, batch_size=len(rows))
        self.log_dict(self.scores, batch_size=len(rows))

    def on_validation_epoch_end(self):
        self.seen.append(bits(self.majorscore.compute()))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def make_trainer(folder, devices=1, **options):
    return Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def run_trainer(folder, devices=1) -> dict:
    """Validate, train for two epochs with validation, and give the bits of everything that was logged."""
    model = Model()
    loader = DataLoader(range(COUNT), batch_size=2, collate_fn=list)
    trainer = make_trainer(folder, devices)
    trainer.validate(model, loader, verbose=False)
    logged = {"validate": {name: bits(value) for name, value in trainer.callback_metrics.items()}}
    trainer = make_trainer(folder, devices, max_epochs=2, num_sanity_val_steps=1)
    trainer.fit(model, loader, loader)
    logged["fit"] = {name: bits(value) for name, value in trainer.callback_metrics.items()}
    logged["epochs"] = model.seen
    return logged


def work(rank, world, folder):
    join(rank, world, folder)
    torch.save(run_trainer(folder, devices=world), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Compare like with like: the last bits of a matrix product may depend on the number of threads."""


@pytest.fixture(scope="module")
def on_one(tmp_path_factory):
    return run_trainer(tmp_path_factory.mktemp("one"))


def test_logged_metrics_are_those_of_the_samples(on_one):
    metrics = {"major": MAJORScore("sum", TinyEncoder(), **RAW), "fair": FairScore(TinyEncoder(), **RAW)}
    scores = MAJORScores(TinyEncoder(), prefix="val/", **RAW)
    for metric in (*metrics.values(), scores):
        metric.update(**SAMPLES)
    expected = {name: metric.compute() for name, metric in metrics.items()} | scores.compute()
    expected = {name: bits(value) for name, value in expected.items()}
    assert on_one["validate"] == on_one["fit"] == expected
    # validation; the sanity check, of two samples; two epochs, each of its own samples only
    first, sanity, *epochs = on_one["epochs"]
    assert [first, *epochs] == [expected["major"]] * 3
    assert sanity != first


def test_two_processes_log_the_bits_of_one(on_one, tmp_path):
    codes, seen = run_processes(work, 2, tmp_path)
    assert codes == [0, 0]
    for logged in seen:
        assert logged["validate"] == on_one["validate"]
        assert logged["fit"] == on_one["fit"]
        first, _, *epochs = on_one["epochs"]
        assert [logged["epochs"][0], *logged["epochs"][2:]] == [first, *epochs]


def test_example(tmp_path):
    pytest.importorskip("av")
    spec = importlib.util.spec_from_file_location("lightning_example", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    clips = [
        {"id": i, "text": t, "frames": v, "waveform": a.repeat(2)}
        for v, t, a, i in zip(*(SAMPLES[key] for key in ("video", "text", "audio", "ids")), strict=True)
    ]
    torch.manual_seed(0)
    model = example.VideoToAudio(TinyEncoder())
    trainer = make_trainer(tmp_path, max_epochs=1, num_sanity_val_steps=0, log_every_n_steps=1)
    trainer.fit(model, DataLoader(clips, batch_size=2, collate_fn=list))
    values = []
    for size in (1, 3):
        trainer.validate(model, DataLoader(clips, batch_size=size, collate_fn=list), verbose=False)
        values.append({name: bits(value) for name, value in trainer.callback_metrics.items()})
    assert values[0] == values[1]
    assert set(values[0]) == {"val/majorscore", "val/fairscore"}
