"""Behaviour inside a Trainer: precisions, averaged weights, DDP and FSDP2, the sanity check and epochs.

Each test also says what the naive metric does, so that it is known to bite.
"""

from datetime import timedelta
from typing import ClassVar

import pytest
import torch
import torch.distributed as dist
from tiny import TinyEncoder, bits, fair, make_samples, naive, ours, run_processes, take, value_of
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, update_bn
from torch.utils.data import DataLoader

pytest.importorskip("lightning")
from lightning.pytorch import callbacks
from lightning.pytorch.plugins import MixedPrecision
from toy_training import COUNT, IGNORED, SAMPLES, Generator, History, as_bits, generate, loader, make_trainer

# In eval mode, Lightning finds the encoder of the naive metric.
pytestmark = [pytest.mark.filterwarnings(line) for line in (*IGNORED, "ignore:Found .* module.s. in eval mode")]
MAKES = {"ours": ours, "fair": fair, "naive": naive}


def settings():
    return torch.is_autocast_enabled("cpu"), torch.get_float32_matmul_precision(), torch.get_default_dtype()


class Recording(TinyEncoder):
    """Notes under which settings it runs and when it is copied; in the class, for a metric may hold a copy."""

    seen: ClassVar[list] = []
    copies: ClassVar[list] = []

    def __setstate__(self, state):
        super().__setstate__(state)
        self.copies.append(self.name)

    def _encode(self, modality, samples):
        self.seen.append(settings())
        return super()._encode(modality, samples)


class Scored(Generator):
    """A user's module that validates with a metric."""

    def __init__(self, metric):
        super().__init__()
        self.metric = metric

    def forward(self, batch):
        return self.net(batch)

    def validation_step(self, batch, batch_idx):
        before = settings()
        self.metric.update(**batch)
        assert settings() == before
        self.log("score", self.metric, batch_size=len(batch["ids"]))


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Compare like with like: the last bits of a matrix product may depend on the number of threads."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision(before)


# 4 Precision-proof

INTEGERS = {**SAMPLES, "audio": [(waveform * 32767).to(torch.int16) for waveform in SAMPLES["audio"]]}
PRECISIONS = {name: {"precision": name} for name in ("32-true", "bf16-mixed", "bf16-true", "64-true")}
# Of precision="16-mixed" on a CPU, Lightning makes bf16-mixed, with a warning.
PRECISIONS["16-mixed"] = {"plugins": MixedPrecision("16-mixed", "cpu")}


def validated(make, folder, precision):
    """Validate on uint8 frames and int16 audio; give the bits of the value and the settings inside the encoder."""
    # The name gives each run an encoder of its own, which remembers no embeddings of another run.
    model = Scored(make(Recording(name=precision)))
    Recording.seen.clear()
    trainer = make_trainer(folder, **PRECISIONS[precision])
    batches = DataLoader(range(COUNT), batch_size=2, collate_fn=lambda rows: take(INTEGERS, rows))
    trainer.validate(model, batches, verbose=False)
    # At the first use of an encoder a sample of each modality is encoded alone.
    assert len(Recording.seen) - 3 * len(batches) in (0, 3)
    assert settings() == (False, "medium", torch.float32)
    return as_bits(trainer.callback_metrics)["score"], set(Recording.seen)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_precision_proof(precision, tmp_path):
    exact = {(False, "highest", torch.float32)}
    for make in (ours, fair):
        assert validated(make, tmp_path, precision) == (value_of(make(TinyEncoder()), **INTEGERS), exact)
    value, inside = validated(naive, tmp_path, precision)
    assert inside != exact
    if precision not in ("32-true", "64-true"):  # 64-true changes the last bits alone, and not everywhere
        assert value != validated(naive, tmp_path, "32-true")[0]


# 5 SWA and EMA

AVERAGING = {
    "swa": ("StochasticWeightAveraging", {"swa_lrs": 0.01, "swa_epoch_start": 1}),
    "mean": ("WeightAveraging", {}),
    "ema": ("EMAWeightAveraging", {"decay": 0.9}),
}


def averaged(make, folder, callback):
    """Validate, fit with a callback, validate again; give the bits of every value and how often encoders are copied."""
    model, history = Scored(make(Recording(name="averaged"))), History()
    Recording.copies.clear()
    # The naive metric's sums would become inference tensors, which fit cannot update: it should get further than that.
    options = {"max_epochs": 3, "num_sanity_val_steps": 0, "inference_mode": make is not naive}
    trainer = make_trainer(folder, callback, logger=history, **options)
    trainer.validate(model, loader(), verbose=False)
    trainer.fit(model, loader(), loader())
    trainer.validate(model, loader(), verbose=False)
    return [as_bits(metrics)["score"] for metrics in history.logged if "score" in metrics], len(Recording.copies)


@pytest.mark.parametrize("name", AVERAGING)
def test_averaging(name, tmp_path):
    kind, options = AVERAGING[name]
    if not hasattr(callbacks, kind):
        pytest.skip(f"needs a newer Lightning, with {kind}")
    for make in (ours, fair):
        values, copies = averaged(make, tmp_path, getattr(callbacks, kind)(**options))
        epochs = 4 if name == "swa" else 3  # SWA adds one for BatchNorm
        assert values == [value_of(make(TinyEncoder()), **SAMPLES)] * (2 + epochs)
        assert copies == 0
    values, copies = averaged(naive, tmp_path, getattr(callbacks, kind)(**options))
    assert copies > 0
    assert name != "swa" or len(set(values)) > 1


def test_update_bn():
    for make in (ours, fair, naive):
        model = AveragedModel(Scored(make(TinyEncoder())))
        update_bn([torch.randn(4, 2), torch.randn(4, 2)], model)
        assert (value_of(model.module.metric) == value_of(make(TinyEncoder()))) == (make is not naive)


# 6 DDP and FSDP2


def trained(root, model, rank):
    """Train for three steps with updates of the metric in between; give the bits of the value over all ranks."""
    optimizer = torch.optim.AdamW(root.parameters(), lr=0.1)
    for step in range(3):
        optimizer.zero_grad()
        root(torch.randn(4, 2)).square().mean().backward()
        optimizer.step()
        model.metric.update(**take(make_samples(6), [2 * step + rank]))
    return bits(model.metric.compute())


def run_case(make, wrap, rank):
    model, is_ddp = Scored(make(TinyEncoder())), wrap == "ddp"
    root = DistributedDataParallel(model) if is_ddp else fully_shard(model, mesh=dist.init_device_mesh("cpu", (2,)))
    buffers = root.modules_buffers if is_ddp else list(root.buffers())
    try:
        value = trained(root, model, rank)
    except RuntimeError as error:
        value = str(error)
    return {"buffers": len(buffers), "parameters": len(list(root.parameters())), "value": value}


def work(rank, world, folder):
    """Run every case on this rank; keep what it gives, or its error."""
    store = dist.FileStore(str(folder / "store"), world)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=timedelta(seconds=20))
    seen = {(make, wrap): run_case(MAKES[make], wrap, rank) for make in MAKES for wrap in ("ddp", "fsdp")}
    torch.save(seen, folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes(tmp_path):
    codes, seen = run_processes(work, 2, tmp_path)
    assert codes == [0, 0]
    for (make, wrap), result in [*seen[0].items(), *seen[1].items()]:
        if make == "naive":
            assert result["buffers"] > 3
            assert {"ddp": "Expected to have finished reduction", "fsdp": "DTensor"}[wrap] in result["value"]
        else:
            value = value_of(MAKES[make](TinyEncoder()), **make_samples(6))
            assert result == {"buffers": 3, "parameters": 4, "value": value}, wrap  # of the user's two layers


# 22 Sanity check and epochs


class Logged(Generator):
    """A user's module that logs a metric in training, and clones of it on two validation dataloaders."""

    def __init__(self, metric):
        super().__init__()
        self.metric = metric
        self.val = nn.ModuleList([metric.clone(), metric.clone()])

    def training_step(self, batch):
        self.metric.update(**self.generated(batch))
        self.log("train", self.metric, on_step=False, on_epoch=True, batch_size=len(batch["ids"]))
        return super().training_step(batch)

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.val[dataloader_idx].update(**self.generated(batch))
        self.log("val/majorscore", self.val[dataloader_idx], batch_size=len(batch["ids"]))

    def generated(self, batch):
        epoch = 5 if self.trainer.sanity_checking else self.current_epoch
        return {**batch, "audio": generate(batch["audio"], epoch)}


LOADED = {
    "train": range(COUNT),
    "val/majorscore/dataloader_idx_0": range(5),
    "val/majorscore/dataloader_idx_1": [3, 4, 5, 6, 3],  # as padded by a DistributedSampler
}


def run_epochs(make, folder):
    """Fit with a sanity check; give what is logged per epoch and what the samples of each epoch are worth."""
    history, loaders = History(), [loader(list(rows)) for rows in LOADED.values()]
    trainer = make_trainer(folder, logger=history, max_epochs=2, num_sanity_val_steps=2)
    trainer.fit(Logged(make(TinyEncoder())), loaders[0], loaders[1:])
    logged = {name: [metrics[name] for metrics in history.logged if name in metrics] for name in LOADED}
    return logged, {name: [worth(make, rows, epoch) for epoch in range(2)] for name, rows in LOADED.items()}


def worth(make, rows, epoch):
    metric, samples = make(TinyEncoder(name="apart")), take(SAMPLES, sorted(set(rows)))
    metric.update(**{**samples, "audio": generate(samples["audio"], epoch)})
    return metric.compute().item()


def test_epochs(tmp_path):
    for make in (ours, fair):
        logged, expected = run_epochs(make, tmp_path)
        assert logged == expected
    logged, expected = run_epochs(naive, tmp_path)
    # Lightning resets what is logged, so that only the sample that comes twice is wrong.
    *right, wrong = LOADED
    assert all(logged[name] == pytest.approx(expected[name], abs=1e-6) for name in right)
    assert logged[wrong] != pytest.approx(expected[wrong], abs=1e-2)
