"""The same bits for any order and any batch split, and the conventions of torchmetrics."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from tiny import RAW, TinyEncoder, bites, bits, fair, make_embeddings, make_samples, naive, ours, take, value_of

from torchmetrics_majorscore import CLIPCLAPScore, MAJORScore, load_encoder
from torchmetrics_majorscore.encoders.base import digests


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Tiny networks are slower on several threads."""


# 14 Order and batching


def splits_of(count):
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(1)).tolist()
    forwards, backwards = list(range(count)), list(range(count))[::-1]
    for order, size in ((forwards, count), (backwards, 1), (shuffled, 7), (shuffled, 256)):
        yield [order[start : start + size] for start in range(0, count, size)]


def check_order_and_batching(make, inputs, with_ids):
    values = set()
    inputs = {**inputs, "ids": inputs["ids"] if with_ids else [None] * len(inputs["ids"])}
    for batches in splits_of(len(inputs["ids"])):
        metric = make()
        for rows in batches:
            batch = take(inputs, rows)
            embeddings = {m: batch.pop(m) for m in TinyEncoder.modalities if isinstance(batch[m], torch.Tensor)}
            metric.update(**batch | {"ids": batch["ids"] if with_ids else None}, embeddings=embeddings or None)
        values.add(bits(metric.compute()))
    assert len(values) == 1
    assert not math.isnan(metric.compute())


SAMPLES = make_samples(257)
VECTORS = make_embeddings(257, dim=512) | {"ids": SAMPLES["ids"]}


@pytest.mark.parametrize("with_ids", [True, False])
@pytest.mark.parametrize("make", [lambda: ours(None), lambda: ours(None, "product"), lambda: fair(None)])
def test_order_and_batching_of_embeddings(make, with_ids):
    check_order_and_batching(make, VECTORS, with_ids)
    with bites:
        check_order_and_batching(lambda: naive(None), VECTORS, with_ids)


def test_order_and_batching_of_raw_inputs():
    encoder = TinyEncoder()
    check_order_and_batching(lambda: ours(encoder), SAMPLES, True)
    with bites:
        check_order_and_batching(lambda: naive(TinyEncoder()), SAMPLES, True)


# 24 Conventions


METRICS = {
    "major": lambda: ours(TinyEncoder()),
    "fair": lambda: fair(TinyEncoder()),
    "embeddings": lambda: ours(None, "product"),
    "named": lambda: MAJORScore("sum", load_encoder("c-mcr", weights="seeded"), **RAW),
    "clipclap": lambda: CLIPCLAPScore("sum", clip=None, clap=None),
}


@pytest.mark.parametrize("name", METRICS)
def test_conventions(name):
    metric = METRICS[name]()
    inputs = {"embeddings": make_embeddings(3)}
    if name == "clipclap":
        tower = {"clip_video": "video", "clip_text": "text", "clap_text": "text", "clap_audio": "audio"}
        inputs = {"embeddings": {key: inputs["embeddings"][modality] for key, modality in tower.items()}}
    elif name in ("major", "fair"):
        inputs = make_samples(3)
    expected = value_of(metric, **inputs)
    assert metric.state_dict() == {}
    assert metric.is_differentiable is False
    assert metric.full_state_update is False
    for other in (pickle.loads(pickle.dumps(metric)), metric.clone(), copy.deepcopy(metric)):
        assert type(other) is type(metric)
        assert bits(other.compute()) == expected
        assert value_of(other, **inputs) == expected
    assert hash(metric) != hash(METRICS[name]())
    assert isinstance(hash(metric), int)


@pytest.mark.parametrize("name", [name for name in METRICS if name != "named"])  # it would build the encoder
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:This property will be removed in 2.0.0:DeprecationWarning")
def test_scriptable(name):
    torch.jit.script(METRICS[name]())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_low_precision_embeddings(dtype):
    embeddings = {modality: vectors.to(dtype) for modality, vectors in make_embeddings(8).items()}
    wide = {modality: vectors.double() for modality, vectors in embeddings.items()}
    assert value_of(ours(None), embeddings=embeddings) == value_of(ours(None), embeddings=wide)


def test_value_has_no_gradient():
    samples = make_samples(2)
    samples["audio"] = [waveform.requires_grad_() for waveform in samples["audio"]]
    metric = ours(TinyEncoder())
    assert not metric(**samples).requires_grad
    assert not metric.compute().requires_grad


@pytest.mark.parametrize("count", [0, 1, 5, 1000, 65_536, 65_537, 262_149])
def test_the_hash_of_a_tensor_is_that_of_its_words(count):
    # Files of conditions hold it, so it is the same for ever: each word mixed with its place, summed modulo 2**64.
    values = torch.randn(count + 1, generator=torch.Generator().manual_seed(count))
    raw = values[1:].numpy().tobytes()
    words = np.frombuffer(raw + bytes(-len(raw) % 8), dtype=np.uint64)
    mixed = words ^ (np.arange(1, len(words) + 1, dtype=np.uint64) * np.uint64(0x1E3779B97F4A7C15))
    for shift, factor in ((32, 0x3F58476D1CE4E5B9), (29, 0x14D049BB133111EB)):
        # Shifts of torch's signed words fill up with their sign.
        shifted = (mixed.view(np.int64) >> np.int64(shift)).view(np.uint64)
        mixed = (mixed ^ shifted) * np.uint64(factor)
    mixed ^= (mixed.view(np.int64) >> np.int64(32)).view(np.uint64)
    expected = int(mixed.sum(dtype=np.uint64)) if count else 0
    assert digests([values[1:]]) == [(expected + 2**63) % 2**64 - 2**63]
