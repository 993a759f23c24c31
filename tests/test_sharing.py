"""What is shared inside a training run, and what must not be: the encoder, its passes, states, and a small pickle."""

import copy
import gc
import pickle
import threading

import pytest
import torch
from tiny import (
    FPS,
    RAW,
    SAMPLE_RATE,
    CountingEncoder,
    Model,
    TinyEncoder,
    bites,
    bits,
    fair,
    make_embeddings,
    make_samples,
    naive,
    ours,
    value_of,
)
from torch import nn
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.wrappers import BootStrapper, FeatureShare

from torchmetrics_majorscore import MAJORScore, MAJORScores
from torchmetrics_majorscore.encoders import load_encoder, table
from torchmetrics_majorscore.encoders.base import exact_float32


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Tiny networks are slower on several threads."""


# 7 One encoder


def check_one_encoder(make):
    def count():
        gc.collect()
        return sum(type(thing) is TinyEncoder for thing in gc.get_objects())

    before = count()
    model = Model(make(TinyEncoder()))
    model.stages = nn.ModuleDict({stage: model.metric.clone() for stage in ("fit", "val", "test")})
    model.metric.update(**make_samples(2))
    other = copy.deepcopy(model)
    expected = value_of(make(TinyEncoder()))
    metrics = [each for one in (model, other) for each in (one.metric, *one.stages.values())]
    for metric in metrics[1:]:
        assert value_of(metric) == expected
    metrics[1].reset()
    assert bits(metrics[2].compute()) == bits(metrics[-1].compute()) == expected
    assert bits(metrics[0].compute()) == value_of(make(TinyEncoder()), **make_samples(2))
    assert count() - before == 1


def test_one_encoder():
    check_one_encoder(ours)
    check_one_encoder(fair)
    with bites:
        check_one_encoder(naive)


# 8 Pickle


def check_small_pickle(make):
    collection = MetricCollection({"one": make(TinyEncoder()), "two": make(TinyEncoder())})
    assert len(pickle.dumps(collection)) < 10 * 1024


def test_pickle_of_a_named_encoder_is_small_and_builds_nothing(monkeypatch):
    monkeypatch.setattr(table.NamedEncoder, "build", lambda *_: pytest.fail("the encoder was built"))

    def make(_):
        return MAJORScore("sum", load_encoder("c-mcr", weights="seeded"), **RAW)

    check_small_pickle(make)
    scores = MAJORScores(load_encoder("c-mcr", weights="seeded"), **RAW)
    pickled = pickle.dumps(scores)
    assert len(pickled) < 10 * 1024
    again = pickle.loads(pickled)
    assert set(again.keys()) == set(scores.keys())
    # The bytes of the fingerprint's second half name the encoder object of this process: it is the same one.
    assert torch.equal(again["fairscore"].fingerprint, scores["fairscore"].fingerprint)


def test_small_pickle_check_bites():
    with bites:
        check_small_pickle(naive)


# 9 One pass


def plain_collection(make, encoder):
    metrics = {combine: make(encoder, combine) for combine in ("sum", "product", "average")}
    return MetricCollection({**metrics, "fair": make(encoder) if make is naive else fair(encoder)})


def our_collection(make, encoder):
    return MAJORScores(encoder, **RAW)


def check_one_pass(make, build, step, inference):
    encoder = CountingEncoder()
    collection = build(make, encoder)
    with torch.inference_mode(inference):
        for batch in range(1, 4):
            getattr(collection, step)(**make_samples(3, seed=batch))
            assert encoder.calls == dict.fromkeys(encoder.modalities, batch)
        collection.compute()
    assert encoder.calls["audio"] == 3
    return collection


@pytest.mark.parametrize("build", [plain_collection, our_collection])
@pytest.mark.parametrize("step", ["update", "forward"])
@pytest.mark.filterwarnings("ignore:.* have a positive product of negative similarities:UserWarning")
def test_members_of_a_collection_have_the_values_of_lone_metrics(build, step):
    collection = check_one_pass(ours, build, step, False)
    batches = [make_samples(3, seed=batch) | {"ids": None} for batch in range(1, 4)]
    for batch in batches:  # the other step, now that compute has made the members share their states
        getattr(collection, "forward" if step == "update" else "update")(**batch)
    for metric in collection.values():
        alone = metric.clone()
        alone.reset()
        for batch in range(1, 4):
            alone.update(**make_samples(3, seed=batch))
        for batch in batches:
            alone.update(**batch)
        assert bits(metric.compute()) == bits(alone.compute())


@pytest.mark.parametrize("build", [plain_collection, our_collection])
@pytest.mark.parametrize("step", ["update", "forward"])
def test_one_pass(build, step):
    for inference in (False, True):
        check_one_pass(ours, build, step, inference)
    if build is plain_collection:
        with bites:
            check_one_pass(naive, build, step, False)


# 11 FeatureShare


def check_feature_share(make_major, make_fair):
    encoder = CountingEncoder()
    shared = FeatureShare({"major": make_major(encoder), "fair": make_fair(encoder)})
    batch = make_samples(3)
    shared.update(**batch)
    assert encoder.calls == dict.fromkeys(encoder.modalities, 1)
    values = {name: bits(value) for name, value in shared.compute().items()}
    assert values == {"major": value_of(ours(TinyEncoder())), "fair": value_of(fair(TinyEncoder()))}
    assert not list(shared.parameters())
    assert not shared.state_dict()
    batch["audio"][1].mul_(-1)
    shared.reset()
    shared.update(**batch | {"ids": None})
    assert bits(shared.compute()["major"]) == value_of(ours(TinyEncoder()), **batch) != values["major"]


def test_feature_share():
    check_feature_share(ours, fair)
    with pytest.raises(AttributeError, match="feature_network"):
        check_feature_share(naive, naive)


@pytest.mark.parametrize("modality", ["video", "audio"])
@pytest.mark.filterwarnings("ignore:.* have a positive product of negative similarities:UserWarning")
def test_an_edit_in_place_is_seen(modality):
    collection = plain_collection(ours, TinyEncoder())
    batch = make_samples(3) | {"ids": None}
    collection.update(**batch)
    before = bits(collection.compute()["sum"])
    batch[modality][1].mul_(-1 if modality == "audio" else 0)
    collection.reset()
    collection.update(**batch)
    assert bits(collection.compute()["sum"]) == value_of(ours(TinyEncoder(), "sum"), **batch) != before


# 10 No wrong merge


def check_no_merge(make, options, first):
    """Metrics that differ stay apart, also when their first batch is empty or cannot tell them apart."""
    metrics = [make(**option) for option in options]
    collection = MetricCollection({str(number): metric.clone() for number, metric in enumerate(metrics)})
    for inputs in (*first, make_samples(3), make_samples(2, seed=1)):
        for metric in (collection, *metrics):
            metric.update(**inputs)
    values = [bits(metric.compute()) for metric in metrics]
    assert len(set(values)) == len(values)
    assert [bits(value) for value in collection.compute().values()] == values


ENCODERS = [{"encoder": TinyEncoder(seed)} for seed in (0, 1)]
OBJECTS = [{"encoder": CountingEncoder(seed)} for seed in (0, 1)]
RATES = [{"encoder": TinyEncoder(), "fps": fps} for fps in (1, FPS)]
EMPTY = {"video": [], "text": [], "audio": []}
FIRST = {"none": [], "empty": [EMPTY], "agreeing": [{"embeddings": make_embeddings(2)}]}


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("options", [ENCODERS, OBJECTS, RATES], ids=["weights", "objects", "fps"])
def test_metrics_that_differ_are_not_merged(options, first):
    check_no_merge(ours, options, FIRST[first])
    if options is not RATES and first != "none":
        with bites:
            check_no_merge(naive, options, FIRST[first])


@pytest.mark.parametrize("first", FIRST)
def test_metrics_with_different_sample_rates_are_not_merged(first):
    options = [{"encoder": TinyEncoder(), "sample_rate": rate} for rate in (SAMPLE_RATE, SAMPLE_RATE // 2)]
    check_no_merge(ours, options, FIRST[first])


def test_offload_keeps_the_weights_on_the_cpu_and_changes_no_bit():
    handle, first = load_encoder(TinyEncoder(3)), torch.device("cpu", 0)
    with torch.inference_mode():
        before = handle.encode("text", ["a bell"], first)
        handle.offload()
    assert list(handle._replicas) == [torch.device("cpu")]
    assert not any(p.is_inference() for p in handle.on(torch.device("cpu")).parameters())
    assert torch.equal(handle.encode("text", ["a bell"], first), before)


class Changing:
    """A plain object whose embeddings change with an attribute."""

    name, modalities, sample_rate, weight = "changing", ("text", "audio"), 16_000, 1.0

    def encode_text(self, batch):
        return torch.ones(len(batch), 2)

    def encode_audio(self, batch):
        return torch.tensor([[1.0, self.weight]] * len(batch))


def test_an_equal_batch_of_a_later_epoch_is_encoded_again():
    encoder = Changing()
    metric = MAJORScore(encoder=encoder, pairs=["text-audio"], **RAW)
    for weight, expected in ((1.0, 1.0), (-1.0, 0.0)):
        encoder.weight = weight
        metric.reset()
        metric.update(text=["x"], audio=torch.tensor([[0.1, 0.2]]))
        assert metric.compute() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("strategy", ["multinomial", "poisson"])
def test_bootstrapper_is_refused(strategy):
    metric = BootStrapper(ours(TinyEncoder()), 3, sampling_strategy=strategy)
    video, audio = torch.zeros(4, 2, 3, 8, 8, dtype=torch.uint8), torch.rand(4, 900)
    with pytest.raises(ValueError, match=r"got BootStrapper, which pairs .*: resample metric.rows\(\) instead"):
        metric.update(video=video, text=["a", "b", "c", "d"], audio=audio)


def test_a_collection_with_foreign_metrics_gives_each_its_own_inputs():
    collection = MetricCollection({"ours": ours(TinyEncoder()), "theirs": MeanMetric()})
    collection.update(**make_samples(3), value=torch.tensor(2.0))
    assert collection["theirs"].compute() == 2
    assert len(collection["ours"].rows()["id"]) == 3
    with pytest.raises(ValueError, match="Expected inputs out of video, text, audio, got value"):
        collection["ours"].update(**make_samples(3), value=torch.tensor(2.0))


def test_threads_leave_the_precision_of_products_as_it_was():
    inside, second, left = (threading.Event() for _ in range(3))
    seen = []

    def first_thread():
        with exact_float32(torch.device("cpu")):
            inside.set()
            second.wait(5)
        left.set()

    def second_thread():
        with exact_float32(torch.device("cpu")):
            second.set()
            left.wait(5)
            seen.append(torch.get_float32_matmul_precision())

    torch.set_float32_matmul_precision("high")
    try:
        threads = [threading.Thread(target=work) for work in (first_thread, second_thread)]
        threads[0].start()
        inside.wait(5)
        threads[1].start()
        for thread in threads:
            thread.join()
        assert (torch.get_float32_matmul_precision(), seen) == ("high", ["highest"])
    finally:
        torch.set_float32_matmul_precision("highest")
