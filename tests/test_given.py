"""Metrics over given features and logits: what they hold, through batches, ids, merges, copies, casts and bad input."""

import copy
import math
import pickle

import pytest
import torch
from torchmetrics import MetricCollection

from torchmetrics_majorscore import DeSync, FeatureStatistics, FrechetDistance, InceptionScore, PairedKL
from torchmetrics_majorscore.functional import desync, frechet_distance, inception_score, kl_divergence
from torchmetrics_majorscore.functional.moments import join_moments, moments
from torchmetrics_majorscore.metrics import ids

pytestmark = pytest.mark.filterwarnings("ignore:The ``compute`` method of metric .* was called before:UserWarning")
COUNT = 41
G = torch.Generator().manual_seed(0)
PREDS, TARGET = torch.randn(COUNT, 6, generator=G), torch.randn(COUNT, 6, generator=G) + 1
SYNC = torch.randn(COUNT, 2, 21, generator=G)
METRICS = {
    "frechet": (FrechetDistance, (PREDS, TARGET)),
    "kl": (PairedKL, (PREDS, TARGET)),
    "inception": (InceptionScore, (PREDS,)),
    "desync": (DeSync, (SYNC,)),
}
ALL = pytest.mark.parametrize("name", METRICS)


def feed(metric, given, rows=range(COUNT), size=7, names=True):
    rows = list(rows)
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        metric.update(*(x[batch] for x in given), ids=[f"clip {row}" for row in batch] if names else None)
    return metric


def value(name, **options):
    make, given = METRICS[name]
    return feed(make(**options), given, size=COUNT).compute()


def test_values_are_those_of_the_formulas():
    assert value("frechet").item() == pytest.approx(frechet_distance(PREDS, TARGET).item(), rel=1e-6)
    assert value("kl").item() == pytest.approx(kl_divergence(PREDS, TARGET).mean().item(), rel=1e-6)
    assert value("desync").item() == pytest.approx(desync(SYNC).mean().item(), rel=1e-6)
    assert value("inception", splits=1).item() == pytest.approx(inception_score(PREDS, 1)[0].item(), rel=1e-6)


@ALL
@pytest.mark.parametrize("names", [True, False])
def test_order_and_batches_do_not_move_a_bit(name, names):
    make, given = METRICS[name]
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(3)).tolist()
    for rows, size in ((range(COUNT), 1), (order, 7), (order[::-1], COUNT)):
        metric = feed(make(), given, rows, size, names)
        assert torch.equal(metric.compute(), value(name))
        assert metric.compute().dtype == torch.float32


@ALL
def test_what_comes_twice_counts_once(name):
    make, given = METRICS[name]
    metric = feed(feed(make(), given), given, [3, 0, 17])
    assert torch.equal(metric.compute(), value(name))
    assert len(metric.rows()["id"]) == COUNT * (2 if name == "frechet" else 1)
    twice = feed(feed(make(), given, names=False), given, [3, 0, 17], names=False)
    assert not torch.equal(twice.compute(), value(name))


@ALL
def test_merged_shards_are_one_run(name):
    make, given = METRICS[name]
    one, other = feed(make(), given, range(25)), feed(make(), given, range(20, COUNT))
    one.merge_state(other)
    assert torch.equal(one.compute(), value(name))
    empty = make()
    empty.merge_state(one)
    assert torch.equal(empty.compute(), value(name))


@ALL
def test_forward_gives_the_batch_and_accumulates(name):
    make, given = METRICS[name]
    metric = make()
    assert torch.equal(metric(*(x[:21] for x in given)), feed(make(), given, range(21)).compute())
    metric(*(x[21:] for x in given))
    assert torch.equal(metric.compute(), value(name))


@ALL
def test_reset_forgets_all_even_the_width(name):
    make, given = METRICS[name]
    metric = make()
    if name in ("frechet", "inception"):
        metric.update(*(torch.randn(20, 3) for _ in given))
    else:
        metric.update(*(x[:4] for x in given))
    metric.reset()
    assert torch.equal(feed(metric, given).compute(), value(name))


@ALL
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda metric: pickle.loads(pickle.dumps(metric))])
def test_a_copy_has_rows_of_its_own(name, copied):
    make, given = METRICS[name]
    metric = feed(make(), given, range(25))
    other = copied(metric)
    assert torch.equal(feed(other, given, range(25, COUNT)).compute(), value(name))
    assert torch.equal(metric.compute(), feed(make(), given, range(25)).compute())
    assert len(pickle.dumps(make())) < 10_000


@ALL
def test_casts_and_defaults_do_not_touch_the_rows(name):
    make, given = METRICS[name]
    metric = make().half()
    feed(metric, given, range(20))
    torch.nn.ModuleList([metric]).half().to(torch.bfloat16).double()
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        feed(metric, given, range(20, COUNT))
        found = metric.compute()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert torch.equal(found, value(name))
    assert metric.state_dict() == {}


@ALL
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_inputs_of_other_dtypes(name, dtype):
    make, given = METRICS[name]
    metric = make()
    with torch.inference_mode():
        metric.update(*(x.to(dtype) for x in given))
    metric.update(*(x[:2].to(dtype).requires_grad_() for x in given))
    found = metric.compute()
    assert (found.dtype, found.requires_grad) == (torch.float32, False)
    assert metric.values[0].dtype == torch.float32


@ALL
def test_what_is_edited_afterwards_is_not_seen(name):
    make, given = METRICS[name]
    batch = [x.clone() for x in given]
    metric = make()
    metric.update(*batch)
    for x in batch:
        x.zero_()
    assert torch.equal(metric.compute(), value(name))


@ALL
def test_samples_that_are_not_finite(name):
    make, given = METRICS[name]
    broken = [x.clone() for x in given]
    broken[0][4], broken[0][9] = math.nan, math.inf
    expected = feed(make(), given, [row for row in range(COUNT) if row not in (4, 9)])
    if name == "frechet":  # it is not paired
        expected.update(target=TARGET[[4, 9]])
    expected = expected.compute()
    metric = feed(make(), broken)
    with pytest.warns(UserWarning, match=r"2 of .* samples have no value for"):
        assert torch.equal(metric.compute(), expected)
    assert torch.equal(feed(make(nan_strategy="ignore"), broken).compute(), expected)
    strict = feed(make(nan_strategy="error"), broken)
    with pytest.raises(RuntimeError, match=r"2 of .* samples have no value for"):
        strict.compute()


@ALL
def test_no_sample_gives_nan(name):
    metric = METRICS[name][0]()
    with pytest.warns(UserWarning, match="before the ``update`` method"):
        assert metric.compute().isnan()


REFUSED = [
    ("frechet", lambda m: m.update(PREDS, TARGET[:, :5]), "as many features in preds as in target, got [6, 5]"),
    ("frechet", lambda m: m.update(PREDS[:, :5]), "Expected features of 6 numbers as before, got 5"),
    ("frechet", lambda m: m.update(PREDS, TARGET, ids=["a"]), "Expected 41 ids, one per sample"),
    ("frechet", lambda m: m.update(PREDS[:3], TARGET, ids=["a", "b", "c"]), "Expected 41 ids, one per sample"),
    ("frechet", lambda m: m.update(), "Expected features of preds, target or both, got none"),
    ("frechet", lambda m: m.update(PREDS.int()), "Expected preds of shape (B, D), dense, of a floating dtype, got"),
    ("frechet", lambda m: m.update([PREDS, TARGET[0]]), "Expected each of preds of shape (W, D)"),
    ("kl", lambda m: m.update(PREDS, TARGET[:3]), "of one shape (B, C)"),
    ("kl", lambda m: m.update(PREDS[0], TARGET[0]), "Expected preds of shape (B, C)"),
    ("inception", lambda m: m.update(PREDS[:, :5]), "Expected logits of 6 numbers as before, got 5"),
    ("inception", lambda m: m.update(PREDS.tolist()), "Expected preds of shape (B, C), dense, of a floating dtype"),
    ("desync", lambda m: m.update(SYNC[:, :1]), "Expected the logits of two windows, first and last, got 1"),
    ("desync", lambda m: m.update(SYNC[..., :20]), "Expected logits of shape (B, 2, 21)"),
]


@pytest.mark.parametrize(("name", "call", "message"), REFUSED)
def test_of_a_refused_batch_nothing_is_kept(name, call, message):
    make, given = METRICS[name]
    metric = feed(make(), given)
    with pytest.raises(ValueError, match="Expected") as error:
        call(metric)
    assert message in str(error.value)
    assert torch.equal(metric.compute(), value(name))
    with pytest.raises(ValueError, match="Expected"):
        metric(*(x[..., :1] for x in given[:1]), *(x[..., :2] for x in given[1:]))
    assert torch.equal(metric.compute(), value(name))


@ALL
def test_unlike_metrics_are_not_merged(name):
    make, given = METRICS[name]
    one, other = feed(make(network="a"), given), feed(make(network="b"), given)
    with pytest.raises(ValueError, match="different encoders or options"):
        one.merge_state(other)
    assert torch.equal(one.compute(), value(name))


def test_rows_of_another_width_are_not_merged():
    one, other = InceptionScore(), InceptionScore()
    one.update(PREDS)
    other.update(PREDS[:, :5])
    with pytest.raises(ValueError, match="Expected logits of 6 numbers as before, got 5"):
        one.merge_state(other)
    assert torch.equal(one.compute(), value("inception"))


def test_members_of_a_collection_share_rows_if_these_are_alike():
    scores = MetricCollection({"ten": InceptionScore(), "one": InceptionScore(1), "other": InceptionScore(network="b")})
    scores.update(PREDS)
    assert sorted(map(sorted, scores.compute_groups.values())) == [["one", "ten"], ["other"]]
    found = scores.compute()
    assert torch.equal(found["ten"], value("inception"))
    assert torch.equal(found["one"], value("inception", splits=1))


@ALL
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:This property will be removed in 2.0.0:DeprecationWarning")
def test_conventions_of_torchmetrics(name):
    pytest.importorskip("matplotlib").use("Agg")
    make, given = METRICS[name]
    torch.jit.script(make())
    metric = feed(make(), given)
    assert len({hash(metric), hash(metric.clone())}) == 2
    figure, axis = metric.plot()
    assert axis.get_ylabel() == make.__name__
    figure.clear()
    assert "network=None" in repr(metric)


def test_rows_of_single_samples():
    metric = DeSync()
    metric.update(torch.eye(21)[[4, 16]][None], ids=["a"])
    rows = metric.rows()
    assert (rows["id"], rows["first"].item(), rows["last"].item()) == (["a"], pytest.approx(-1.2), pytest.approx(1.2))
    metric = PairedKL(probabilities=True)
    metric.update(torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]]), ids=[7])
    assert (metric.rows()["id"], metric.rows()["kl"].item()) == ([7], pytest.approx(math.log(2)))


def test_signatures():
    assert FrechetDistance().signature.startswith("frechetdistance|enc:given|v:")
    assert PairedKL(network="cnn14@1a2b").signature.startswith("pairedkl|enc:cnn14@1a2b|dir:target-to-preds|v:")
    assert InceptionScore(seed=2020).signature.startswith("inceptionscore|enc:given|splits:10|seed:2020|v:")
    assert DeSync().signature.startswith("desync|enc:given|v:")


# Inception score


def test_the_order_of_av_benchmark_is_that_of_ids():
    expected = inception_score(PREDS, 10, 2020)
    metric = InceptionScore(seed=2020)
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(5))
    metric.update(PREDS[order], ids=order)
    assert metric.compute().item() == pytest.approx(expected[0].item(), rel=1e-6)
    assert metric.scores().std(correction=0).item() == pytest.approx(expected[1].item(), rel=1e-9)
    for names in (None, ["a"] * COUNT):
        with pytest.raises(ValueError, match="Expected ids with a seed, ints"):
            metric.update(PREDS, ids=names)


def test_equal_sounds_are_spread_over_the_splits():
    # 20 sounds of each of 5 kinds, the logits of a kind equal to the bit; a split of 10 has nearly all kinds.
    logits = 100 * torch.eye(5).repeat(20, 1)
    metric = InceptionScore()
    metric.update(logits)
    assert metric.compute() > 3.5
    one = InceptionScore()
    one.update(logits.roll(7, 0))
    assert torch.equal(one.compute(), metric.compute())


def test_too_few_samples_for_the_splits():
    metric = InceptionScore()
    metric.update(PREDS[:9])
    with pytest.warns(UserWarning, match="9 samples are too few for 10 splits: the inception score is NaN"):
        assert metric.compute().isnan()


# Fréchet distance


def test_the_sides_may_come_apart_and_be_of_different_numbers():
    metric = FrechetDistance()
    metric.update(preds=PREDS[:30], ids=range(30))
    metric.update(target=TARGET, ids=range(COUNT))  # the same ids, and yet other rows
    assert metric.compute().item() == pytest.approx(frechet_distance(PREDS[:30], TARGET).item(), rel=1e-6)
    rows = metric.rows()
    assert rows["id"] == [*range(30), *range(COUNT)]
    assert rows["side"] == ["preds"] * 30 + ["target"] * COUNT
    assert torch.equal(rows["features"], torch.cat([PREDS[:30], TARGET]))


def test_several_vectors_per_sample():
    windows = torch.randn(10, 8, 5, generator=torch.Generator().manual_seed(1))
    ragged = [rows[: 1 + place % 8] for place, rows in enumerate(windows)]
    metric = FrechetDistance()
    for _ in range(2):
        metric.update(windows, ragged, ids=[f"clip {row}" for row in range(10)])
    expected = frechet_distance(windows.flatten(0, 1), torch.cat(ragged))
    assert metric.compute().item() == pytest.approx(expected.item(), rel=1e-6)
    assert metric.rows()["id"].count("clip 2") == 8 + 3
    metric.update([], ids=[])
    assert metric.compute().item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("given", "side"), [((PREDS[:1], TARGET), "1 vectors of preds"), ((PREDS,), "0 vectors of target")]
)
def test_a_side_without_covariance_gives_nan_with_the_reason(given, side):
    metric = FrechetDistance()
    metric.update(*given)
    with pytest.warns(UserWarning, match=f"{side} have no covariance: the distance is NaN"):
        assert metric.compute().isnan()


def test_fewer_vectors_than_features_are_remarked_once():
    metric = FrechetDistance()
    metric.update(PREDS[:5], TARGET)
    with pytest.warns(UserWarning, match="5 vectors of preds do not span 6 features"):
        metric.compute()
    metric.update(PREDS[5:6], TARGET[:1])
    assert metric.compute().item() == pytest.approx(
        frechet_distance(PREDS[:6], torch.cat([TARGET, TARGET[:1]])).item(), rel=1e-6
    )


def test_statistics_of_a_reference(tmp_path):
    real = FrechetDistance(network="net@1")
    real.update(target=TARGET, ids=[f"clip {row}" for row in range(COUNT)])
    real.statistics().save(tmp_path / "real.safetensors")
    found = FeatureStatistics.load(tmp_path / "real.safetensors")
    assert (found.count, found.network, found.digest) == (COUNT, "net@1", real.statistics().digest)
    assert set(found.ids.tolist()) == set(ids.ids_to_int64([f"clip {row}" for row in range(COUNT)], COUNT).tolist())
    for reference in (found, tmp_path / "real.safetensors"):
        metric = FrechetDistance(reference, network="net@1")
        metric.update(PREDS)
        assert metric.compute().item() == pytest.approx(value("frechet").item(), rel=1e-6)
        assert f"|ref:{found.digest}|" in metric.signature
        for call, message in (
            (
                lambda m: m.update(PREDS, TARGET),
                "Expected no target, since the metric has the statistics of a reference",
            ),
            (lambda m: m.update(PREDS[:, :5]), "Expected features of 6 numbers as the reference's, got 5"),
        ):
            with pytest.raises(ValueError, match=message):
                call(metric)
    for network in ("net@2", None):
        with pytest.raises(ValueError, match=r"Expected statistics of network=.*, got those of 'net@1', in .*real"):
            FrechetDistance(tmp_path / "real.safetensors", network=network)


def test_what_ranks_exchange_is_rows_or_moments():
    with pytest.raises(ValueError, match="Expected gather to be 'rows' or 'moments', got 'sums'"):
        FrechetDistance(gather="sums")
    alone = feed(FrechetDistance(gather="moments"), (PREDS, TARGET))
    assert torch.equal(alone.compute(), value("frechet"))


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_joined_moments_are_those_of_all_rows(shift):
    rows = torch.randn(30, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64) + shift
    joined = join_moments([moments(rows[:0]), moments(rows[:1]), moments(rows[1:20]), moments(rows[20:])])
    assert joined.number == 30
    torch.testing.assert_close(joined.covariance, rows.T.cov(), rtol=1e-8, atol=1e-8)
    assert moments(rows[:1]).covariance.isnan().all()


def test_no_file_of_statistics(tmp_path):
    with pytest.raises(FileNotFoundError, match="Expected a file of feature statistics, got no file at"):
        FeatureStatistics.load(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors")
    with pytest.raises(ValueError, match=r"Expected a file of feature statistics, got .*text\.safetensors"):
        FeatureStatistics.load(tmp_path / "text.safetensors")
    metric = FrechetDistance()
    metric.update(target=TARGET)
    with pytest.raises(ValueError, match=r"Expected network=\.\.\., the name of what made the features"):
        metric.statistics()
    metric = FrechetDistance(network="net")
    metric.update(target=TARGET)
    with pytest.raises(ValueError, match="Expected at least two vectors of preds for statistics, got 0"):
        metric.statistics("preds")
