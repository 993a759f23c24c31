"""Recalls with intervals: means over queries and seeds, the row of means, paired differences."""

import math

import numpy as np
import pytest

from torchmetrics_majorscore.statistics.bootstrap import bootstrap
from torchmetrics_majorscore.statistics.retrieval import MEAN, recall_difference, recalls

RANDOM = np.random.default_rng(0)
TA, AT = ("text", "audio"), ("audio", "text")
HITS = {TA: (RANDOM.random((3, 60, 2)) > 0.6).astype(float), AT: (RANDOM.random((3, 40, 2)) > 0.3).astype(float)}


def test_recalls_are_means_with_bootstrap_intervals():
    found = recalls(HITS, (1, 5))
    for direction, hits in HITS.items():
        for place, k in enumerate((1, 5)):
            by_query = hits.mean(axis=0)[:, place]
            expected = bootstrap(np.mean, by_query)
            own = found[direction].at[k]
            assert own.value == pytest.approx(by_query.mean())
            assert (own.low, own.high) == pytest.approx((expected.low, expected.high))
            assert found[direction].by_seed[k] == pytest.approx(hits[:, :, place].mean(axis=1).tolist())
    both = found[MEAN].at[5]
    assert both.value == pytest.approx((HITS[TA][..., 1].mean() + HITS[AT][..., 1].mean()) / 2)
    assert both.low < both.value < both.high
    assert found[MEAN].by_seed[1][2] == pytest.approx((HITS[TA][2, :, 0].mean() + HITS[AT][2, :, 0].mean()) / 2)


def test_queries_without_a_value_are_left_out_and_counted():
    hits = {TA: HITS[TA].copy()}
    hits[TA][:, [3, 9]] = math.nan
    found = recalls(hits, (1, 5))[TA]
    assert (found.without, found.at[1].n, found.at[1].dropped) == (2, 58, 2)
    assert found.at[1].value == pytest.approx(np.delete(HITS[TA], [3, 9], axis=1)[..., 0].mean())
    none = recalls({TA: np.full((1, 4, 1), math.nan)}, (1,))
    assert math.isnan(none[TA].at[1].value)


def test_differences_are_paired():
    worse = {direction: hits * (RANDOM.random(hits.shape) > 0.2) for direction, hits in HITS.items()}
    found = recall_difference(HITS, {**worse, ("a", "b"): worse[TA]}, (1, 5))
    one, other = (recalls(values, (1, 5))[MEAN] for values in (HITS, worse))
    assert found.at[1].value == pytest.approx(one.at[1].value - other.at[1].value)
    wide = [interval.high - interval.low for interval in (found.at[1], one.at[1], other.at[1])]
    assert wide[0] < 0.8 * math.hypot(*wide[1:])  # what it would be of other queries
    assert found.at[1].low > 0
    assert recall_difference(HITS, HITS, (1, 5)).at[5].high == 0


def test_bad_input():
    with pytest.raises(ValueError, match=r"Expected recalls \(S, Q, 3\) of at least one direction, got"):
        recalls(HITS)
    with pytest.raises(ValueError, match="Expected as many seeds in every direction"):
        recalls({TA: HITS[TA][:2], AT: HITS[AT]}, (1, 5))
    with pytest.raises(ValueError, match="Expected recalls of the same queries and as many seeds"):
        recall_difference({TA: HITS[TA]}, {AT: HITS[AT]}, (1, 5))
