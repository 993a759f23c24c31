"""Discrimination measures and their intervals against SciPy and brute force; derangements over classes."""

import csv
import math
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from torchmetrics_majorscore.statistics.balance import balance
from torchmetrics_majorscore.statistics.bootstrap import bootstrap
from torchmetrics_majorscore.statistics.consistency import auroc, compare, d_prime, derange, relative_change, win_rate
from torchmetrics_majorscore.tables.labels import read_labels

stats = pytest.importorskip("scipy.stats")

MEASURES = (auroc, win_rate, d_prime)
SHARED = Path(__file__).parents[2] / "shared"
CASES = [(1, 1, 0), (1, 4, 1), (5, 3, 2), (40, 40, 3), (60, 25, 4)]


def scores(n, m, seed, digits=1):
    """Positive and negative scores; few digits make ties."""
    generator = np.random.default_rng(seed)
    return np.round(generator.normal(0.5, 1, n), digits), np.round(generator.normal(0, 1, m), digits)


def half_won(one, other):
    return (one > other) + 0.5 * (one == other)


@pytest.mark.parametrize(("n", "m", "seed"), CASES)
@pytest.mark.parametrize("digits", [0, 1, 15])
def test_auroc_equals_brute_force_and_mann_whitney(n, m, seed, digits):
    positive, negative = scores(n, m, seed, digits)
    expected = np.mean([half_won(one, other) for one in positive for other in negative])
    assert auroc(positive, negative) == pytest.approx(expected, rel=1e-12)
    if n * m > 1:
        u = stats.mannwhitneyu(positive, negative, method="asymptotic").statistic
        assert auroc(positive, negative) == pytest.approx(u / (n * m), rel=1e-12)
    assert auroc(negative, positive) == pytest.approx(1 - expected, rel=1e-12)
    assert auroc(np.exp(positive), np.exp(negative)) == auroc(positive, negative)
    assert auroc(positive[::-1], negative) == auroc(positive, negative)


@pytest.mark.parametrize("seed", range(5))
def test_win_rate_equals_a_loop(seed):
    positive, negative = scores(30, 30, seed)
    expected = sum(half_won(one, other) for one, other in zip(positive, negative, strict=True)) / 30
    assert win_rate(positive, negative) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("n", "m", "seed"), CASES[2:])
def test_d_prime_equals_its_formula(n, m, seed):
    positive, negative = scores(n, m, seed)
    spread = math.sqrt((np.std(positive, ddof=1) ** 2 + np.std(negative, ddof=1) ** 2) / 2)
    expected = (np.mean(positive) - np.mean(negative)) / spread
    assert d_prime(positive, negative) == pytest.approx(expected, rel=1e-12)
    assert d_prime(negative, positive) == pytest.approx(-expected, rel=1e-12)
    if n == m:
        assert balance(positive, negative).cohens_d == pytest.approx(abs(expected), rel=1e-12)


@pytest.mark.parametrize(
    ("positive", "negative", "expected"),
    [
        ([0.9, 0.8], [0.1, 0.2], [1, 1, 7 * math.sqrt(2)]),
        ([0.1, 0.2], [0.9, 0.8], [0, 0, -7 * math.sqrt(2)]),
        ([0.1] * 21, [0.1] * 21, [0.5, 0.5, math.nan]),  # whose variance is not quite 0 in floating point
        ([0.3] * 21, [0.1] * 21, [1, 1, math.nan]),
        ([0.3], [0.1], [1, 1, math.nan]),
        ([], [], [math.nan] * 3),
        ([math.nan], [math.nan], [math.nan] * 3),
    ],
)
def test_simple_cases(positive, negative, expected):
    found = [measure(positive, negative) for measure in MEASURES]
    assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_nan_is_left_out():
    nan = math.nan
    assert auroc([0.9, nan, 0.5], [0.7, 0.1, nan, nan]) == 0.75
    assert d_prime([0.9, nan, 0.7], [0.3, 0.1, nan, nan]) == pytest.approx(d_prime([0.9, 0.7], [0.3, 0.1]), rel=1e-12)
    assert win_rate([0.9, nan, 0.5, 0.2], [0.1, 0.0, 0.7, nan]) == 0.5
    assert np.isnan([auroc([0.9], []), auroc([nan], [0.2]), d_prime([0.9, 0.8], [0.1, nan])]).all()


def test_mistakes_are_told():
    for measure in MEASURES:
        with pytest.raises(ValueError, match="Expected finite values"):
            measure([0.1, math.inf], [0.1, 0.2])
        with pytest.raises(ValueError, match=r"Expected arrays of one shape \(N,\), got"):
            measure([[0.1, 0.2]], [[0.1, 0.2]])
    for paired in (win_rate, compare, lambda *arrays: bootstrap(auroc, *arrays)):
        with pytest.raises(ValueError, match=r"Expected arrays of one shape \(N,\), got \(2,\), \(1,\)"):
            paired([0.1, 0.2], [0.1])
    for options in ({"confidence": 0.0}, {"confidence": 1.0}, {"confidence": 95}, {"resamples": 0}):
        with pytest.raises(ValueError, match=r"Expected confidence in \(0, 1\) and resamples >= 1, got"):
            bootstrap(auroc, [0.1, 0.2], [0.1, 0.2], **options)


def test_relative_change():
    assert relative_change(1.2603 * 0.37, 0.37) == pytest.approx(26.03)  # the paper's, on consistent sets
    assert relative_change(-0.1, 0.2) == pytest.approx(-150)
    # A sum of two is twice the average: that is why the paper gives one number for both.
    assert relative_change(2 * 0.3, 2 * 0.25) == pytest.approx(relative_change(0.3, 0.25))
    undefined = ((0.3, 0.0), (0.3, -0.1), (0.3, math.nan), (math.nan, 1))
    assert np.isnan([relative_change(*pair) for pair in undefined]).all()


def difference(x, y):
    return float(np.mean(x - y))


@pytest.mark.parametrize("statistic", [*MEASURES, difference])
@pytest.mark.parametrize(("n", "digits", "confidence"), [(12, 15, 0.95), (30, 0, 0.9), (101, 1, 0.5)])
def test_bootstrap_equals_scipy(statistic, n, digits, confidence):
    arrays = scores(n, n, n, digits)
    found = bootstrap(statistic, *arrays, seed=7, resamples=99, confidence=confidence)
    options = {"paired": True, "vectorized": False, "method": "percentile", "n_resamples": 99}
    options |= {"confidence_level": confidence, "rng": np.random.default_rng(7)}
    low, high = stats.bootstrap(arrays, statistic, **options).confidence_interval
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-12)
    assert found.value == pytest.approx(statistic(*arrays), rel=1e-12)
    assert found.low < found.value < found.high
    assert list(asdict(found).values())[3:] == [n, 0, 7, 99, confidence]


def test_bootstrap_draws_rows_together():
    x = np.random.default_rng(0).normal(size=40)
    shifted = bootstrap(difference, x + 0.3, x, resamples=50)
    assert (shifted.low, shifted.high) == pytest.approx((0.3, 0.3), rel=1e-9)
    alone = bootstrap(np.median, x, resamples=50)
    assert alone.low < alone.value < alone.high


def test_equal_seeds_give_equal_intervals():
    arrays = scores(50, 50, 1)
    one, again, other = (bootstrap(auroc, *arrays, seed=seed) for seed in (0, 0, 1))
    assert one == again == bootstrap(auroc, *arrays, resamples=1000)
    assert (one.low, one.high) != (other.low, other.high)


def test_bootstrap_drops_nan_rows_first():
    positive, negative = scores(30, 30, 2)
    missing = positive.copy(), negative.copy()
    missing[0][[1, 5]] = missing[1][[5, 29]] = math.nan
    kept = np.setdiff1d(np.arange(30), [1, 5, 29])
    for name, interval in compare(positive[kept], negative[kept], seed=3).items():
        assert asdict(compare(*missing, seed=3)[name]) == asdict(interval) | {"dropped": 3}


def test_too_few_rows_have_no_interval():
    nan = math.nan
    for statistic, rows, value in ((auroc, [], nan), (auroc, [nan], nan), (auroc, [0.3], 1.0), (difference, [], nan)):
        found = bootstrap(statistic, rows, [0.1] * len(rows))
        assert (found.value, found.low, found.high) == pytest.approx((value, nan, nan), nan_ok=True)
    # One resample in four of two rows has no variance, and so no d'.
    found = bootstrap(d_prime, [0.9, 0.7], [0.3, 0.1])
    assert [found.value > 0, math.isnan(found.low), math.isnan(found.high)] == [True] * 3


@pytest.mark.parametrize("measure", MEASURES)
def test_the_interval_covers_the_truth(measure):
    # Two normals, distance 0.8, correlation 0.3 within a row.
    chance = stats.norm.cdf
    truth = {auroc: chance(0.8 / math.sqrt(2)), win_rate: chance(0.8 / math.sqrt(1.4)), d_prime: 0.8}[measure]
    generator, covered = np.random.default_rng(11), 0
    for seed in range(200):
        common, one, other = generator.normal(size=(3, 100))
        positive, negative = (math.sqrt(0.3) * common + math.sqrt(0.7) * own for own in (one, other))
        found = bootstrap(measure, positive + 0.8, negative, seed=seed, resamples=100)
        covered += found.low <= truth <= found.high
    assert 0.90 <= covered / 200 <= 0.99


def test_compare_gives_each_measure_with_its_interval():
    arrays = scores(80, 80, 5)
    found = compare(*arrays, seed=4)
    assert list(found) == ["auroc", "win_rate", "d_prime"]
    for interval, measure in zip(found.values(), MEASURES, strict=True):
        expected = asdict(bootstrap(measure, *arrays, seed=4))  # AUROC's has a faster way
        assert asdict(interval) == pytest.approx(expected, rel=1e-12)
    assert compare(*arrays) == compare(*arrays, seed=0) != found


def check_derangement(classes, partners):
    assert sorted(partners) == list(range(len(classes)))
    assert all(classes[row] != classes[partner] for row, partner in enumerate(partners))


def draw_classes(seed):
    """Classes of uneven sizes; every third set has a class with exactly half of the rows."""
    generator = np.random.default_rng(seed)
    classes = [f"class {index}" for index in np.floor(generator.exponential(3, size=int(generator.integers(2, 40))))]
    if seed % 3 == 0:
        classes = [*classes, *["half"] * len(classes)]
    return generator.permutation(classes).tolist()


@pytest.mark.parametrize("seed", range(60))
def test_derange(seed):
    classes = draw_classes(seed)
    name, count = Counter(classes).most_common(1)[0]
    if 2 * count > len(classes):
        with pytest.raises(ValueError, match=f"more than half of the {len(classes)} rows, got '{name}' with {count}"):
            derange(classes, seed)
    else:
        check_derangement(classes, derange(classes, seed))
        assert derange(classes, seed) == derange(classes, seed)


def test_derange_extreme_sizes():
    for classes in ("", "ab", "aabb", "abab", "aaabcd", "a" * 500 + "b" * 500, "a" * 300 + "b" * 299 + "c"):
        check_derangement(classes, derange(classes, seed=1))
    for classes in (["dog"], ["dog", "dog"], ["dog", "cat", "dog"]):
        with pytest.raises(ValueError, match=f"Expected no class with more than half of the {len(classes)} rows, got"):
            derange(classes, seed=0)


def test_derange_favours_no_row_and_no_class():
    met = Counter(pair for seed in range(1500) for pair in enumerate(derange("abcd", seed)))
    assert [400 <= count <= 600 for count in met.values()] == [True] * 12
    assert len({tuple(derange("abcd", seed)) for seed in range(200)}) == 9
    classes = [str(row % 20) for row in range(1000)]
    partners = derange(classes, seed=0)
    assert sum(partners[partner] == row for row, partner in enumerate(partners)) < 10  # rows that swap with each other
    met = Counter((classes[row], classes[partner]) for row, partner in enumerate(partners))
    assert len(met) > 300  # of 380: a class meets nearly all others, 2.6 times each
    assert max(met.values()) < 15


def test_derange_knows_what_else_is_true():
    classes, others = ["dog", "cat", "dog", "cat", "bird", "bird"], [(), (), ("bird", "rain"), (), ("cat",), ()]
    for seed in range(200):
        partners = derange(classes, seed, others)
        assert sorted(partners) == list(range(6))
        for row, partner in enumerate(partners):
            assert classes[partner] not in {classes[row], *others[row]}
    alone = [derange(classes, seed) for seed in range(200)]
    assert any(classes[found[2]] == "bird" for found in alone)  # which these labels forbid
    assert alone == [derange(classes, seed, [()] * 6) for seed in range(200)]
    chain = derange("abc", 0, [("b",), ("c",), ("a",)])  # each has one that fits, and no swap mends two
    assert [derange("abc", seed, [("b",), ("c",), ("a",)]) for seed in range(20)] == [chain] * 20 == [[2, 0, 1]] * 20
    with pytest.raises(ValueError, match="Expected rows of other classes than bird, cat, dog, got too few"):
        derange(classes, 0, [("cat", "bird"), *others[1:]])


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the VGGSound labels of ../shared")
def test_derange_of_vggsound_with_the_labels_of_vggsounder():
    with (SHARED / "vggsound/vgg-test.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    true = read_labels(SHARED / "vggsound/vggsounder.csv")
    classes, others = [row["label"] for row in rows], [{own for own, _ in true.get(row["id"], ())} for row in rows]
    assert sum(len(own) > 1 for own in others) > 5_000
    plain, knowing = derange(classes, 0), derange(classes, 0, others)
    wrong = [
        sum(classes[partner] in own for partner, own in zip(found, others, strict=True)) for found in (plain, knowing)
    ]
    assert wrong == [50, 0]  # partners of another class that are true of the clip all the same, and then none
    check_derangement(classes, knowing)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the VGGSound labels of ../shared")
def test_derange_of_vggsound():
    with (SHARED / "vggsound/vgg-test.tsv").open(newline="") as file:
        classes = [row["label"] for row in csv.DictReader(file, delimiter="\t")]
    assert (len(classes), len(set(classes))) == (15_221, 309)
    partners = derange(classes, seed=0)
    check_derangement(classes, partners)
    # A permutation of the rows alone would leave some fifty captions of the same class.
    assert len({(classes[row], classes[partner]) for row, partner in enumerate(partners)}) > 10_000
