"""Fréchet distance, divergence and inception score of raw sounds: heard once, kept as if given, refused if unfit."""

import copy
import math
import pickle

import pytest
import torch
from signals import CPU
from test_networks import Levels, Plain
from torchmetrics import MetricCollection

from torchmetrics_majorscore import FeatureStatistics, FrechetDistance, InceptionScore, PairedKL
from torchmetrics_majorscore.networks import load_network

RATE = 16_000
COUNT = 9
G = torch.Generator().manual_seed(0)
AUDIO = [torch.rand(RATE + 160 * n, generator=G) * 0.2 * (n % 4 + 1) for n in range(COUNT)]
TARGET = [torch.rand(RATE + 320 * n, generator=G) * 0.3 * (n % 3 + 1) - 0.1 for n in range(COUNT)]
IDS = [f"clip {n}" for n in range(COUNT)]
MAKES = {
    "frechet": lambda **options: FrechetDistance(sample_rate=RATE, **options),
    "kl": lambda **options: PairedKL(sample_rate=RATE, **options),
    "inception": lambda **options: InceptionScore(2, sample_rate=RATE, **options),
}
ALL = pytest.mark.parametrize("name", MAKES)
pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``compute`` method of metric .* was called before:UserWarning"),
    pytest.mark.filterwarnings("ignore:.* vectors of .* do not span:UserWarning"),
]


class Windows(Levels):
    def __init__(self):
        super().__init__(windows=True)


def sounds(name, rows, target=True):
    given = {"audio": [AUDIO[row] for row in rows], "ids": [IDS[row] for row in rows]}
    return given | ({"target_audio": [TARGET[row] for row in rows]} if target and name != "inception" else {})


def feed(name, rows=range(COUNT), size=COUNT, **options):
    metric = MAKES[name](network=options.pop("network", Levels()), **options)
    rows = list(rows)
    for start in range(0, len(rows), size):
        metric.update(**sounds(name, rows[start : start + size]))
    return metric


def given(name):
    """Give the value of a metric that is fed with what the network makes."""
    network = load_network(Levels())
    own, other = (network.encode(batch, RATE, CPU) for batch in (AUDIO, TARGET))
    metric = MAKES[name]()
    metric.update(*{
        "frechet": (own["features"], other["features"]),
        "kl": (own["logits"], other["logits"]),
        "inception": (own["logits"],),
    }[name], ids=IDS)  # fmt: skip
    return metric.compute()


@ALL
def test_heard_is_as_good_as_given_in_any_order_and_batches(name):
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(3)).tolist()
    for rows, size in ((range(COUNT), COUNT), (order, 2), ([*order, 3, 0], 4)):
        assert torch.equal(feed(name, rows, size).compute(), given(name)), (rows, size)


@ALL
def test_forward_copies_and_pickles(name):
    metric = MAKES[name](network=Levels())
    first = metric(**sounds(name, range(5)))
    assert torch.equal(first, feed(name, range(5)).compute())
    for one in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric)), metric.clone()):
        assert one.hearing.network is metric.hearing.network
        one.update(**sounds(name, range(5, COUNT)))
        assert torch.equal(one.compute(), given(name))
    assert len(metric.rows()["id"]) == (10 if name == "frechet" else 5)
    assert (metric.state_dict(), list(metric.parameters()), list(metric.buffers())) == ({}, [], [])
    assert [type(module).__name__ for module in metric.modules()] == [type(metric).__name__]
    assert "levels@1" in metric.signature


def test_a_collection_hears_each_sound_once():
    network = load_network(Levels())
    metrics = MetricCollection({name: make(network=network) for name, make in MAKES.items()}, compute_groups=False)
    batches = network.on(CPU).batches
    for run in (metrics.update, metrics.forward):
        batches.clear()
        for rows in ([0, 1, 2], [3, 4, 5], [3, 4, 5], [6, 7, 8]):  # an equal batch is heard again
            run(**sounds("kl", rows))
        assert [len(batch) for batch in batches] == [3] * 8
    values = metrics.compute()
    assert {name: torch.equal(values[name], given(name)) for name in MAKES} == dict.fromkeys(MAKES, True)


@ALL
def test_references_are_known_by_id_and_move_no_bit(name, tmp_path):
    network = load_network(Levels())
    batches = network.on(CPU).batches
    for memory in (True, tmp_path / "memory.sqlite"):
        metric = MAKES[name](network=network, cache_conditions=memory)
        for rows in (range(5), range(5, COUNT)):
            metric.update(**sounds(name, rows))
        metric.reset()
        batches.clear()
        again = MAKES[name](network=network, cache_conditions=memory) if memory is not True else metric
        again.update(**sounds(name, range(COUNT), target=False))
        assert [len(batch) for batch in batches] == [COUNT]
        assert torch.equal(again.compute(), given(name))
    if name != "inception":
        with pytest.raises(ValueError, match="Expected target_audio, or ids whose target_audio was given before at"):
            metric.update(audio=AUDIO[:1], ids=["new"])


def test_windows_and_ragged_features():
    metric = FrechetDistance(sample_rate=RATE, network=Windows(), cache_conditions=True)
    metric.update(**sounds("frechet", range(COUNT)))
    rows = load_network(Windows()).encode(AUDIO, RATE, CPU)["features"]
    assert torch.equal(metric.rows()["features"][: sum(map(len, rows))], torch.cat(rows))
    before = metric.compute()
    metric.reset()
    metric.update(**sounds("frechet", range(COUNT), target=False))
    assert torch.equal(metric.compute(), before)


@ALL
def test_an_empty_batch_adds_nothing(name):
    metric = feed(name, range(4))
    metric.update(**sounds(name, []))
    assert torch.equal(metric.compute(), feed(name, range(4)).compute())
    empty = MAKES[name](network=Levels())
    empty.update(**sounds(name, []))
    assert empty.rows()["id"] == []


@ALL
@pytest.mark.parametrize("lost", [None, torch.full((RATE,), math.nan), torch.zeros(800)], ids=["none", "nan", "short"])
def test_a_sound_without_a_value_is_left_out(name, lost):
    whole = feed(name, range(4))
    for size in (1, 5):  # alone in a batch, only silence tells how many numbers there would be
        metric = feed(name, range(4))
        extra = {key: [*batch, lost if key == "audio" else "x" if key == "ids" else TARGET[4]][-size:]
                 for key, batch in sounds(name, range(4)).items()}  # fmt: skip
        with pytest.warns(UserWarning, match=r"audio of sample .* \(id 'x'\)|A sound is too short for Levels"):
            metric.update(**extra)
        with pytest.warns(UserWarning, match="1 of .* samples have no value"):
            value = metric.compute()
        if name != "frechet":  # whose reference is a sound more
            assert torch.equal(value, whole.compute())
        strict = feed(name, range(4), nan_strategy="error")
        with pytest.warns(UserWarning, match="audio of sample|A sound is too short"):
            strict.update(**extra)
        with pytest.raises(RuntimeError, match=r"1 of .* samples have no value"):
            strict.compute()


def test_a_silent_sound_is_heard_with_a_remark():
    metric = feed("kl", range(3))
    with pytest.warns(UserWarning, match=r"audio of sample 0 \(id 'x'\) is silent"):
        metric.update(audio=[torch.zeros(RATE)], target_audio=TARGET[:1], ids=["x"])
    assert metric.compute().isfinite()


def test_statistics_of_another_network_are_refused(tmp_path):
    path = tmp_path / "real.safetensors"
    real = FrechetDistance(network=Levels(), sample_rate=RATE)
    real.update(target_audio=TARGET, ids=IDS)
    real.statistics().save(path)
    metric = FrechetDistance(path, network=Levels(), sample_rate=RATE)
    metric.update(audio=AUDIO, ids=IDS)
    assert metric.compute().item() == pytest.approx(given("frechet").item(), rel=1e-6)
    assert f"|ref:{FeatureStatistics.load(path).digest}|" in metric.signature
    with pytest.raises(ValueError, match="Expected no target, since the metric has the statistics of a reference"):
        metric.update(audio=AUDIO, target_audio=TARGET)
    other = FrechetDistance(path, network=load_network(Levels(), seconds=3), sample_rate=RATE)
    with pytest.raises(ValueError, match="Expected statistics of network='levels@1:3s', got those of 'levels@1', in"):
        other.update(audio=AUDIO, ids=IDS)
    assert other.rows()["id"] == []


def test_constant_features_and_few_sounds():
    network = Plain({"features": torch.ones(3, 2), "logits": torch.zeros(3, 4)})
    metric = FrechetDistance(network=network, sample_rate=RATE)
    metric.update(audio=AUDIO[:3], target_audio=TARGET[:3])
    assert metric.compute() == 0
    score = InceptionScore(1, network=network, sample_rate=RATE)
    score.update(audio=AUDIO[:3])
    assert score.compute() == 1
    few = feed("frechet", range(1))
    with pytest.warns(UserWarning, match="1 vectors of (preds|target) have no covariance: the distance is NaN"):
        assert few.compute().isnan()
    few = feed("inception", range(1))
    with pytest.warns(UserWarning, match="1 samples are too few for 2 splits: the inception score is NaN"):
        assert few.compute().isnan()


BOTH = {"audio": AUDIO, "target_audio": TARGET}
UNFIT = {
    "no network": ("kl", None, BOTH, "Expected logits, or raw sounds and a network that hears them, got raw sounds"),
    "a name": ("kl", "levels@1", BOTH, r"got raw sounds without network=load_network"),
    "nothing": ("kl", Levels(), {}, "Expected logits, or raw sounds and a network that hears them, got none"),
    "no target": (
        "kl",
        Levels(),
        {"audio": AUDIO},
        "Expected audio and target_audio for PairedKL, got no target_audio",
    ),
    "target alone": ("kl", Levels(), {"target_audio": AUDIO}, "for PairedKL, got no audio"),
    "both": ("inception", Levels(), {"audio": AUDIO, "preds": torch.ones(9, 4)}, "got both"),
    "numbers": (
        "kl",
        Levels(),
        {**BOTH, "target_audio": TARGET[:3]},
        "Expected as many .* got audio 9, target_audio 3",
    ),
    "no logits": ("kl", Windows(), BOTH, "Expected a network that gives logits, got windows@1, which gives features"),
    "loud": ("frechet", Levels(), {"audio": [AUDIO[0] * 1e5]}, "did you pass int16 values as float"),
    "ids": ("frechet", Levels(), {"audio": AUDIO, "ids": IDS[:2]}, "Expected 9 ids, one per sample"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_does_not_fit_is_refused_in_one_line(case):
    name, network, call, message = UNFIT[case]
    metric = MAKES[name](network=network)
    with pytest.raises(ValueError, match=message) as error:
        metric.update(**call)
    assert "\n" not in str(error.value)
    assert metric.rows()["id"] == []


def test_raw_sounds_need_a_rate():
    with pytest.raises(ValueError, match="Expected sample_rate > 0 to score raw audio"):
        InceptionScore(network=Levels()).update(audio=AUDIO)
