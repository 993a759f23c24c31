"""Statistics on plain arrays against brute force: ranks, limits, near-duplicates, overlaps, paired comparisons."""

import math
from itertools import combinations

import numpy as np
import pytest

stats = pytest.importorskip("scipy.stats")

from torchmetrics_majorscore.statistics import duplicates  # noqa: E402
from torchmetrics_majorscore.statistics.agreement import agreement  # noqa: E402
from torchmetrics_majorscore.statistics.comparison import compare_pairs  # noqa: E402
from torchmetrics_majorscore.statistics.overlap import Overlap, id_parts, overlap  # noqa: E402
from torchmetrics_majorscore.statistics.ranking import rank_within  # noqa: E402
from torchmetrics_majorscore.statistics.refinement import find_limits  # noqa: E402

NAN = math.nan


@pytest.mark.parametrize("lower", [False, True])
def test_ranks_within_groups_are_those_of_a_loop(lower):
    draw = np.random.default_rng(0)
    scores, groups = draw.integers(0, 6, 60).astype(float), draw.choice(["b", "a", "cc"], 60).tolist()
    scores[draw.integers(0, 60, 12)] = NAN
    expected = np.full(60, NAN)
    for group in set(groups):
        rows = [row for row in range(60) if groups[row] == group and not math.isnan(scores[row])]
        rows.sort(key=lambda row: scores[row] if lower else -scores[row])
        for place, row in enumerate(rows, start=1):
            expected[row] = place
    np.testing.assert_array_equal(rank_within(scores, groups, lower), expected)
    assert rank_within([], []).tolist() == []


def test_limits_reject_the_worst_share_of_all_or_of_each_group():
    draw = np.random.default_rng(1)
    scores, groups = draw.normal(size=80), draw.choice(["a", "b"], 80)
    assert find_limits(scores, threshold=0.25).tolist() == [0.25] * 80
    assert set(find_limits(scores, quantile=0.3)) == {np.quantile(scores, 0.3)}
    assert set(find_limits(scores, quantile=0.3, lower=True)) == {np.quantile(scores, 0.7)}
    of_groups = find_limits(scores, quantile=0.3, groups=groups.tolist())
    for group in "ab":
        assert set(of_groups[groups == group]) == {np.quantile(scores[groups == group], 0.3)}
    assert find_limits([], quantile=0.3, groups=[]).tolist() == []


@pytest.mark.parametrize("block", [1, 5, 512])
def test_near_duplicates_are_those_of_two_loops(block, monkeypatch):
    monkeypatch.setattr(duplicates, "ROWS_PER_BLOCK", block)
    draw = np.random.default_rng(2)
    one, other = ({name: draw.normal(size=(n, 3)) for name in ("video", "audio")} for n in (12, 9))
    one["video"][3] = NAN

    def loops(left, right, pairs):
        found = {}
        for i, j in pairs:
            cosines = [left[n][i] @ right[n][j] / np.linalg.norm(left[n][i]) / np.linalg.norm(right[n][j]) for n in one]
            if min(cosines) >= 0.3:
                found[i, j] = cosines
        return found

    both = [(i, j) for i in range(12) for j in range(9)]
    for second, pairs in ((other, both), (None, list(combinations(range(12), 2)))):
        got = duplicates.near_duplicates(one, second, threshold=0.3)
        expected = loops(one, second or one, pairs)
        places = list(zip(got.rows.tolist(), got.others.tolist(), strict=True))
        assert expected
        assert sorted(places) == sorted(expected)
        cosines = np.stack([got.cosines["video"], got.cosines["audio"]], axis=1)
        np.testing.assert_allclose(cosines, [expected[place] for place in places], atol=1e-6)
        assert (np.diff(cosines.min(axis=1)) <= 0).all()
    nothing = {"audio": np.empty((0, 3))}
    assert duplicates.near_duplicates(nothing, threshold=0.9).rows.tolist() == []


def test_overlaps_are_those_of_sets():
    assert overlap(["a", "a", "b"], ["b", "b"]) == Overlap(n=2, shared=1)
    assert overlap([], ["b"]) == Overlap(n=0, shared=0)
    assert id_parts(["ab_1", "cd_2"], "^(..)_") == ["ab", "cd"]
    assert id_parts(["ab_1"], "^.._") == ["ab_"]


def test_pairs_are_corrected_over_what_is_compared_together():
    draw = np.random.default_rng(3)
    scores = {name: draw.normal(shift, 1, 30) for name, shift in zip("abc", (0, 0.3, 0.9), strict=True)}
    found = compare_pairs(scores, seed=1)
    assert list(found) == [("a", "b"), ("a", "c"), ("b", "c")]
    raw = sorted(stats.ttest_rel(scores[a], scores[b]).pvalue for a, b in found)
    assert sorted(pair.p_t_holm for pair in found.values())[0] == pytest.approx(3 * raw[0], rel=1e-9)
    assert found["a", "c"].difference.value == pytest.approx(np.mean(scores["a"] - scores["c"]))
    with pytest.raises(ValueError, match=r"^Expected scores of the same clips, got shapes \(1,\) and \(2,\)\.$"):
        compare_pairs({"a": [1.0], "b": [1.0, 2.0]})


def test_agreement_of_one_model_has_no_model_level():
    scores = np.arange(6.0)[:, None]
    found = agreement(scores, np.array([[1], [2], [NAN], [3], [4], [5]]))
    assert list(found) == ["clip"]
    assert (found["clip"].n, found["clip"].clips, found["clip"].dropped) == (5, 5, 0)
    assert [found["clip"].spearman.value, found["clip"].kendall.value] == pytest.approx([1, 1])
