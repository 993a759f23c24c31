"""Bootstrap of means: as ever up to LARGE rows, with weights beyond, and both agree."""

import math

import numpy as np
import pytest

pytest.importorskip("scipy")

from written_tables import frame

from torchmetrics_majorscore.report.summary import give_means, subtract
from torchmetrics_majorscore.statistics import consistency, means
from torchmetrics_majorscore.statistics.bootstrap import bootstrap
from torchmetrics_majorscore.statistics.means import bootstrap_means
from torchmetrics_majorscore.tables.comparison import compare_models

LOW, HIGH = -1.959964, 1.959964


def columns(rows, seed=0):
    generator = np.random.default_rng(seed)
    return np.stack([generator.normal(0.3, 0.1, rows), generator.exponential(2.0, rows), generator.random(rows) < 0.1])


def test_few_rows_are_drawn_as_before():
    values = columns(200)
    values[1, ::3] = math.nan
    assert bootstrap_means(values, seed=3) == [bootstrap(np.mean, column, seed=3) for column in values]


def test_weights_agree_with_draws_and_with_theory():
    values = columns(means.LARGE + 5000)
    for found, column in zip(bootstrap_means(values, seed=1), values, strict=True):
        drawn = bootstrap(np.mean, column, seed=1)
        error = column.std(ddof=1) / math.sqrt(column.size)
        assert found.value == pytest.approx(drawn.value, rel=1e-12)
        # The ends of both have a Monte Carlo error of 0.085 of a standard error.
        assert (found.low - drawn.value) / error == pytest.approx(LOW, abs=0.3)
        assert (found.high - drawn.value) / error == pytest.approx(HIGH, abs=0.3)
        assert (found.low - drawn.low) / error == pytest.approx(0, abs=0.4)
        assert (found.high - drawn.high) / error == pytest.approx(0, abs=0.4)


def test_the_spread_is_that_of_the_mean_within_its_own_error():
    """Of 4000 resamples the standard deviation is known within 1.1 %."""
    values = columns(means.LARGE + 1)
    drawn = means.draw_means(list(values), 0, 4000).drawn
    expected = values.std(axis=1) / math.sqrt(values.shape[1])
    np.testing.assert_allclose(drawn.std(axis=1) / expected, 1, atol=0.05)
    np.testing.assert_allclose((drawn.mean(axis=1) - values.mean(axis=1)) / expected, 0, atol=0.06)


def test_every_row_has_its_weight_and_a_missing_one_counts_for_its_column_alone(monkeypatch):
    monkeypatch.setattr(means, "LARGE", 10)
    monkeypatch.setattr(means, "PART", 7)
    values = columns(50)
    values[1, 5:9] = math.nan
    weights = np.concatenate(list(means._weights(4, 1000, 50)), axis=1).astype(float)
    assert weights.shape == (1000, 50)
    for found, column in zip(bootstrap_means(values, seed=4), values, strict=True):
        own = ~np.isnan(column)
        drawn = weights[:, own] @ column[own] / weights[:, own].sum(axis=1)
        assert [found.low, found.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=1e-6)
        assert (found.n, found.dropped) == (own.sum(), 50 - own.sum())
    assert bootstrap_means(values, seed=4) == bootstrap_means(values, seed=4)
    assert bootstrap_means(values[:1], seed=4) != bootstrap_means(values[:1], seed=5)
    (none,) = bootstrap_means(np.full((1, 50), math.nan))
    assert (math.isnan(none.value), math.isnan(none.low), none.n) == (True, True, 0)


def test_weights_are_poisson():
    table = means._poisson_limits().searchsorted(np.arange(2**16), side="right")
    assert (table.mean(), table.var()) == (pytest.approx(1, abs=1e-4), pytest.approx(1, abs=1e-4))
    counts = np.bincount(table) / table.size
    np.testing.assert_allclose(counts, [math.exp(-1) / math.factorial(k) for k in range(len(counts))], atol=2e-5)


def test_separation_agrees_with_draws():
    generator = np.random.default_rng(6)
    rows = means.LARGE + 5000
    high = generator.normal(0.5, 0.1, rows)
    low = 0.5 * high + generator.normal(0.15, 0.12, rows)
    low[::100] = math.nan
    scores = {"fine": (high, low), "tied": (np.round(high, 1), np.round(low, 1)), "last": (low, high)}
    found = consistency.compare_scores(scores, seed=2)
    assert found["last"] == consistency.compare(*scores["last"], seed=2)
    for name, pair in scores.items():
        for measure in (consistency.auroc, consistency.win_rate, consistency.d_prime):
            faster = consistency._auroc_of_drawn if measure is consistency.auroc else None
            drawn, own = bootstrap(measure, *pair, seed=2, of_drawn=faster), found[name][measure.__name__]
            assert own.value == pytest.approx(drawn.value, rel=1e-9)
            assert (own.n, own.dropped) == (drawn.n, drawn.dropped) == (rows - rows // 100, rows // 100)
            error = (drawn.high - drawn.low) / (HIGH - LOW)
            assert (own.low - drawn.low) / error == pytest.approx(0, abs=0.4)
            assert (own.high - drawn.high) / error == pytest.approx(0, abs=0.4)


def test_separation_without_variance_or_values(monkeypatch):
    monkeypatch.setattr(consistency, "LARGE", 3)
    monkeypatch.setattr(means, "LARGE", 3)
    found = consistency.compare([0.3] * 9, [0.1] * 9)
    assert [found[name].value for name in ("auroc", "win_rate")] == [1, 1]
    assert np.isnan([found["d_prime"].value, found["d_prime"].low]).all()
    nothing = consistency.compare([math.nan] * 9, [0.1] * 9)
    assert all(math.isnan(one.value) and one.n == 0 for one in nothing.values())


def test_large_tables_have_one_interval_in_compare_and_on_the_page(monkeypatch):
    monkeypatch.setattr(means, "LARGE", 10)
    one, two = (frame(dict(zip(map(str, range(50)), column, strict=True))) for column in columns(50)[:2])
    row = compare_models({"a": one, "b": two}, ["majorscore_average"]).tests.iloc[0]
    (found,) = (i for name, i in give_means([subtract(one, two)])[0].items() if name == "majorscore_average")
    assert (row["a_minus_b"], row["a_minus_b_low"], row["a_minus_b_high"]) == (found.value, found.low, found.high)


def test_what_cannot_be_drawn_is_an_error(monkeypatch):
    with pytest.raises(ValueError, match=r"Expected columns of shape \(K, N\)"):
        bootstrap_means([1.0, 2.0])
    with pytest.raises(ValueError, match="Expected confidence"):
        bootstrap_means([[1.0]], resamples=0)
    monkeypatch.setattr(means, "LARGE", 1)
    with pytest.raises(ValueError, match="Expected finite values"):
        bootstrap_means([[1.0, math.inf]])
