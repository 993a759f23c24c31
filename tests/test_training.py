"""Behaviour inside a training run, on one process: checkpoints, modes, inference_mode, meta devices.

A check is a function of ``make``, which builds a metric around an encoder. Checks that a first attempt would fail are
also run on ``NaiveMAJORScore`` and must fail there, so that they are known to bite.
"""

import io
import warnings

import pytest
import torch
from tiny import Model, TinyEncoder, bites, bits, fair, make_samples, naive, ours, take, value_of
from torch import nn


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Tiny networks are slower on several threads."""


# 1 Checkpoints


def check_checkpoints(make):
    def used():
        model = Model(make(TinyEncoder()))
        model.metric.update(**make_samples(3))
        return model

    def size(model):
        file = io.BytesIO()
        optimizer = torch.optim.AdamW(model.parameters())
        torch.save({"state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
        return file.tell()

    assert used().state_dict().keys() == Model().state_dict().keys()
    assert size(used()) - size(Model()) < 1024
    for saved in (used(), Model()):
        for loaded in (used(), Model()):
            loaded.load_state_dict(saved.state_dict(), strict=True)


# 2 Invisible


def check_invisible(make):
    model = Model(make(TinyEncoder()))
    model.metric.update(**make_samples(3))
    assert len(list(model.parameters())) == len(list(Model().parameters()))
    assert [name for name, _ in model.named_buffers()] == [name for name, _ in Model().named_buffers()]
    assert [name for name, _ in model.named_modules() if name != "metric"] == [n for n, _ in Model().named_modules()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 4


# 3 Mode-proof


def reinitialise(module):
    for parameter in module.parameters(recurse=False):
        nn.init.uniform_(parameter)


def quantize(model):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.ao.quantization is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", "torch.quantize_per_tensor, .* are deprecated", UserWarning)
        return torch.ao.quantization.quantize_dynamic(model, {nn.Linear})


def unfreeze(model):
    model.unfreeze()
    return model


def in_dtype(dtype):
    def change(model):
        model.metric.set_dtype(dtype)
        return model.to(dtype)

    return change


OPERATIONS = {
    "train": lambda model: model.train(),
    "half": lambda model: model.half(),
    "bfloat16": lambda model: model.bfloat16(),
    "double": lambda model: model.double(),
    "to": lambda model: model.to(torch.bfloat16),
    "requires_grad": lambda model: model.requires_grad_(True),
    "unfreeze": unfreeze,
    "apply": lambda model: model.apply(reinitialise),
    "set_dtype": in_dtype(torch.bfloat16),
    "quantize_dynamic": quantize,
    "convert_sync_batchnorm": lambda model: nn.SyncBatchNorm.convert_sync_batchnorm(model).train(),
}


def check_mode_proof(make, operation):
    samples = make_samples(4)
    expected = value_of(make(TinyEncoder()), **samples)
    for used in (False, True):
        model = Model(make(TinyEncoder()))
        if used:
            assert value_of(model.metric, **samples) == expected
        result = OPERATIONS[operation](model).metric
        assert value_of(result, **samples) == expected
        assert not result.compute().requires_grad
        assert result.compute().dtype == torch.float32


def test_rows_that_are_held_keep_their_dtype():
    model = Model(ours(TinyEncoder()))
    model.metric.update(**make_samples(3))
    expected = bits(ours(TinyEncoder())(**make_samples(3)))
    assert bits(in_dtype(torch.bfloat16)(model.half()).metric.compute()) == expected


def test_later_training_of_the_encoder_changes_nothing():
    encoder = TinyEncoder()
    metric = ours(encoder)
    expected = value_of(ours(TinyEncoder()))
    reinitialise(encoder.towers["audio"][0])
    encoder.train()
    assert value_of(metric) == expected


# 12 inference_mode


def check_inference_mode(make):
    expected = value_of(make(TinyEncoder()), **make_samples(4))
    with torch.inference_mode():
        metric = make(TinyEncoder())
        metric.update(**make_samples(2))
        metric.compute()
        metric.reset()
    samples = make_samples(4)
    metric.update(**take(samples, [0, 1]))
    generated = [waveform.requires_grad_() for waveform in samples["audio"][2:]]
    metric.forward(**take(samples, [2, 3]) | {"audio": [waveform * 1.0 for waveform in generated]})
    with torch.inference_mode():
        assert bits(metric.compute()) == expected
    sum(waveform.square().sum() for waveform in generated).backward()
    assert all(waveform.grad is not None for waveform in generated)


# 13 Build contexts, as far as a metric goes (the encoders' own are in test_cmcr.py)


@pytest.mark.parametrize("move", ["to_empty", "to"])
def test_built_under_a_meta_device(move):
    samples, usual = make_samples(3), ours(TinyEncoder())
    encoder = TinyEncoder()
    with torch.device("meta"):
        parent = nn.Module()
        parent.layer, parent.metric = nn.Linear(2, 2), ours(encoder)
    parent = parent.to_empty(device="cpu") if move == "to_empty" else parent
    usual.update(**samples)
    parent.metric.update(**samples)
    assert torch.equal(parent.metric.compute(), usual.compute())
    parent.metric.merge_state(usual)  # the fingerprint has kept its value


# Each check passes on ours and fails on the naive metric.

CHECKS = [check_checkpoints, check_invisible, check_inference_mode]
HARMLESS = {"requires_grad"}  # for the naive metric as well: torchmetrics runs update without gradients


@pytest.mark.parametrize("check", CHECKS)
def test_check(check):
    check(ours)
    check(fair)
    with bites:
        check(naive)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_mode_proof(operation):
    check_mode_proof(ours, operation)
    check_mode_proof(fair, operation)
    if operation not in HARMLESS:
        with bites:
            check_mode_proof(naive, operation)
