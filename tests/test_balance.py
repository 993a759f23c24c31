"""Balance statistics: against SciPy, against exact fractions, and against the paper's tables."""

import math
from dataclasses import asdict
from fractions import Fraction

import numpy as np
import pytest
import torch

from torchmetrics_majorscore.functional import fair_score, major_score
from torchmetrics_majorscore.statistics.balance import Balance, StreamingBalance, balance, from_moments

stats = pytest.importorskip("scipy.stats")

TABLE_TWO = {
    # mean difference, Cohen's d, t, std difference, and the implied standard deviations (definitions, section 5)
    "C-MCR consistent": (0.0933, 0.4684, 147.8, 0.0575, 0.2259, 0.1684),
    "C-MCR mispaired": (0.0395, 0.3278, 103.5, 0.0071, 0.1240, 0.1169),
    "CLIP+CLAP consistent": (0.0869, 0.6959, 219.6, 0.1403, 0.1735, 0.0332),
    "CLIP+CLAP mispaired": (0.0845, 1.162, 366.8, 0.0679, 0.0983, 0.0304),
}
N = 199_200  # the paper says 200 K; t and d together leave 199 132 to 199 278


def similarities(n, seed=0):
    generator = np.random.default_rng(seed)
    common = generator.normal(size=n)
    x = 0.2 + 0.1 * common + 0.05 * generator.exponential(size=n)
    return x, 0.4 - 0.03 * common + 0.07 * generator.normal(size=n)


def close(found, expected, names=None, rel=1e-9):
    found, expected = (value if isinstance(value, dict) else asdict(value) for value in (found, expected))
    for name in names or expected:
        assert found[name] == pytest.approx(expected[name], rel=rel, abs=1e-300, nan_ok=True), name


def of_scipy(x, y):
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    student, welch, paired = stats.ttest_ind(x, y), stats.ttest_ind(x, y, equal_var=False), stats.ttest_rel(x, y)
    sd_x, sd_y, difference = np.std(x, ddof=1), np.std(y, ddof=1), abs(np.mean(x) - np.mean(y))
    found = {"n": x.size, "dropped": 0, "mean_x": np.mean(x), "mean_y": np.mean(y), "sd_x": sd_x, "sd_y": sd_y}
    found |= {"mean_difference": difference, "cohens_d": difference / np.sqrt((sd_x**2 + sd_y**2) / 2)}
    found |= {"t": abs(student.statistic), "df_student": student.df, "p_student": student.pvalue}
    found |= {"df_welch": welch.df, "p_welch": welch.pvalue, "std_difference": abs(sd_x - sd_y)}
    found |= {"t_paired": abs(paired.statistic), "p_paired": paired.pvalue}
    found |= {"skewness": abs(stats.skew(x) - stats.skew(y)), "skewness_paired": stats.skew(x - y)}
    found |= {"skewness_pooled": stats.skew(np.concatenate([x, y]))}
    return found | {"pearson": stats.pearsonr(x, y).statistic, "spearman": stats.spearmanr(x, y).statistic}


@pytest.mark.parametrize("n", [3, 4, 7, 50, 3001])
@pytest.mark.parametrize("seed", range(4))
def test_equals_scipy(n, seed):
    x, y = similarities(n, seed)
    expected = of_scipy(x, y)
    close(balance(x, y), expected)
    assert balance(x, y).t == pytest.approx(abs(stats.ttest_ind(x, y, equal_var=False).statistic), rel=1e-9)
    assert set(asdict(balance(x, y))) == set(expected)
    swapped = balance(y, x)
    close(swapped, expected, ["mean_difference", "cohens_d", "t", "p_welch", "skewness", "t_paired", "spearman"])
    assert swapped.skewness_paired == pytest.approx(-expected["skewness_paired"], rel=1e-9)


def test_equals_scipy_with_ties_and_in_float32():
    x, y = (np.round(column, 1).astype(np.float32) for column in similarities(200))
    close(balance(x, y), of_scipy(x, y))
    close(balance(torch.tensor(x), torch.tensor(y)), balance(x, y))


@pytest.mark.parametrize("column", TABLE_TWO)
def test_table_two_of_the_paper(column):
    difference, d, t, std_difference, sd_x, sd_y = TABLE_TWO[column]
    half = 5e-5  # all inputs are known to four digits
    low = from_moments(difference - half, sd_x + half, sd_y + half, N)
    high = from_moments(difference + half, sd_x - half, sd_y - half, N)
    digit = 10.0 ** (math.floor(math.log10(d)) - 3) / 2
    assert low.cohens_d - digit <= d <= high.cohens_d + digit
    assert low.t - 0.05 <= t <= high.t + 0.05
    found = from_moments(difference, sd_x, sd_y, N)
    close(found, {"cohens_d": d, "t": t}, rel=1e-3)
    assert found.std_difference == pytest.approx(std_difference, abs=1e-12)
    assert found.t == pytest.approx(found.cohens_d * math.sqrt(N / 2), rel=1e-12)
    assert (found.p_student, found.p_welch, found.df_student) == (0, 0, 398_398)
    assert math.isnan(found.skewness + found.t_paired)


def test_moments_are_those_of_samples():
    x, y = similarities(40)
    expected = asdict(balance(x, y))
    found = asdict(from_moments(np.mean(y) - np.mean(x), np.std(x, ddof=1), np.std(y, ddof=1), 40))
    given = {name: value for name, value in found.items() if not math.isnan(value)}
    assert len(given) == 12
    close(given, {name: expected[name] for name in given})


def test_table_one_of_the_paper():
    pairs = torch.tensor([[0.2994, -0.4309], [0.1547, 0.7695]], dtype=torch.float64)  # CLIP, CLAP
    fair = fair_score(pairs)
    total, product, average = (major_score(pairs, combine) for combine in ("sum", "product", "average"))
    expected = [[0.7303, 0.6148], [-0.1315, 0.9242], [-0.12901146, 0.11904165], [-0.06575, 0.4621]]  # first "Diff."
    for found, values in zip((fair, total, product, average), expected, strict=True):
        assert found.tolist() == pytest.approx(values, abs=1e-12)
    torch.testing.assert_close(product, (total**2 - fair**2) / 4)
    # The differences have opposite signs: what Table II averages is not what Table I shows.
    assert balance(*pairs.T).mean_difference == pytest.approx((0.7303 - 0.6148) / 2, abs=1e-12)


NAN_WITHOUT_X_VARIANCE = {"skewness", "pearson", "spearman"}
NAN_WITHOUT_VARIANCE = NAN_WITHOUT_X_VARIANCE | {"cohens_d", "t", "df_welch", "p_student", "p_welch", "skewness_paired"}
NAN_WITHOUT_VARIANCE |= {"t_paired", "p_paired"}
EVERYTHING = set(asdict(Balance(0))) - {"n", "dropped"}


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([], [], EVERYTHING),
        ([0.3], [0.7], EVERYTHING),
        ([0.1] * 10, [0.7] * 10, NAN_WITHOUT_VARIANCE),
        ([0.1] * 10, [0.1] * 10, NAN_WITHOUT_VARIANCE | {"skewness_pooled"}),
        ([0.0] * 3, [0.0] * 3, NAN_WITHOUT_VARIANCE | {"skewness_pooled"}),
        ([0.1] * 3, [0.1, 0.3, 0.7], NAN_WITHOUT_X_VARIANCE),
        ([0.3, 0.9], [0.2, 0.1], set()),
        ([0.1, 0.3, 0.7], [0.1, 0.3, 0.7], {"skewness_paired", "t_paired", "p_paired"}),
        ([0.1, 0.3, 0.7, 0.2], [0.3, 0.5, 0.9, 0.4], {"skewness_paired", "t_paired", "p_paired"}),
    ],
)
def test_what_is_not_determined_is_nan(x, y, expected):
    found = asdict(balance(x, y))
    assert {name for name, value in found.items() if math.isnan(value)} == expected


def test_constants_stay_constant_when_merged():
    stream = StreamingBalance()
    for size in (3, 1, 7):
        stream.update([0.1] * size, [0.7] * size)
    close(stream.result(), balance([0.1] * 11, [0.7] * 11))
    assert stream.result().sd_x == 0
    close(from_moments(0.1, 0.0, 0.0, 5), dict.fromkeys(("cohens_d", "t", "df_welch", "p_student"), math.nan))
    close(from_moments(0.1, 0.2, 0.3, 1), Balance(1))


def test_a_perfect_correlation_is_not_above_one():
    for seed in range(20):
        x = similarities(50, seed)[0]
        assert 1 - 1e-12 < balance(x, 3 * x + 1).pearson <= 1
        assert -1 <= balance(x, -x).pearson < -1 + 1e-12


def test_nan_rows_are_dropped_in_pairs_and_counted():
    x, y = similarities(30)
    missing_x, missing_y = x.copy(), y.copy()
    missing_x[[0, 4]] = missing_y[[4, 7, 9]] = math.nan
    kept = np.setdiff1d(np.arange(30), [0, 4, 7, 9])
    found = balance(missing_x, missing_y)
    assert (found.n, found.dropped) == (26, 4)
    close(found, asdict(balance(x[kept], y[kept])) | {"dropped": 4})
    stream = StreamingBalance()
    for start in range(0, 30, 4):  # the first batch starts with a missing value
        stream.update(missing_x[start : start + 4], missing_y[start : start + 4])
    stream.update([math.nan], [0.1])
    stream.update([], [])
    close(stream.result(), asdict(found) | {"dropped": 5, "spearman": math.nan})


def exact(x, y):
    """The statistics from exact sums: what moments hold, rounded once."""
    x, y = ([Fraction(float(value)) for value in column] for column in (x, y))
    n, both, paired = len(x), x + y, [one - other for one, other in zip(x, y, strict=True)]

    def central(column, power):
        mean = sum(column) / len(column)
        return float(sum((value - mean) ** power for value in column))

    def g1(column):
        return math.sqrt(len(column)) * central(column, 3) / central(column, 2) ** 1.5

    sd_x, sd_y, sd_paired = (math.sqrt(central(column, 2) / (n - 1)) for column in (x, y, paired))
    mean_x, mean_y, difference = sum(x) / n, sum(y) / n, abs(float(sum(paired) / n))
    co = float(sum((one - mean_x) * (other - mean_y) for one, other in zip(x, y, strict=True)))
    found = {"mean_x": float(mean_x), "mean_y": float(mean_y), "sd_x": sd_x, "sd_y": sd_y}
    found |= {"mean_difference": difference, "cohens_d": difference / math.sqrt((sd_x**2 + sd_y**2) / 2)}
    found |= {"skewness": abs(g1(x) - g1(y)), "skewness_pooled": g1(both), "skewness_paired": g1(paired)}
    found |= {"t_paired": difference / sd_paired * math.sqrt(n)}
    return found | {"pearson": co / math.sqrt(central(x, 2) * central(y, 2))}


def in_parts(x, y, sizes, order):
    """Merge streams of consecutive parts in some order, each filled in two updates."""
    parts = []
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        stream, half = StreamingBalance(), end - size // 2
        stream.update(x[end - size : half], y[end - size : half])
        stream.update(x[half:end], y[half:end])
        parts.append(stream)
    total = StreamingBalance()
    for index in order:
        total.merge(parts[index])
    return total, parts


@pytest.mark.parametrize(("offset", "own"), [(0, 0), (-3, 0.5), (1e4, 0), (1e8, 0), (1e10, -1e10)])
@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 2, 0, 3, 1), (1, 0, 3, 4, 2)])
def test_streaming_equals_the_arrays_and_exact_sums(offset, own, order):
    x, y = similarities(230, seed=5)
    x, y = x + offset, y + offset + own
    stream, _ = in_parts(x, y, [1, 100, 0, 9, 120], order)
    close(stream.result(), asdict(balance(x, y)) | {"spearman": math.nan})
    close(stream.result(), exact(x, y))


def test_merging_leaves_the_other_as_it_is():
    x, y = similarities(20)
    total, parts = in_parts(x, y, [5, 15], (0, 1))
    for part, rows in zip(parts, (slice(0, 5), slice(5, 20)), strict=True):
        close(part.result(), asdict(balance(x[rows], y[rows])) | {"spearman": math.nan})
    total.update(x, y)
    close(parts[0].result(), asdict(balance(x[:5], y[:5])) | {"spearman": math.nan})
    twice, _ = in_parts(x, y, [20], (0,))
    twice.merge(twice)
    close(twice.result(), total.result())


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([0.1, 0.2], [0.1], r"Expected arrays of one shape \(N,\), got \(2,\), \(1,\)"),
        ([[0.1]], [[0.1]], r"Expected arrays of one shape \(N,\), got \(1, 1\), \(1, 1\)"),
        ([0.1, math.inf], [0.1, 0.2], "Expected finite values"),
        ([0.1, math.nan], [0.1, -math.inf], "Expected finite values"),
    ],
)
def test_mistakes_are_told(x, y, message):
    with pytest.raises(ValueError, match=message):
        balance(x, y)


def test_impossible_moments_are_refused():
    for moments in ((0.1, -0.1, 0.2, 5), (0.1, 0.1, -0.2, 5), (0.1, 0.1, 0.2, -5)):
        with pytest.raises(ValueError, match="Expected standard deviations and n >= 0"):
            from_moments(*moments)


def test_without_scipy_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("torchmetrics_majorscore.extras.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "\.\[evaluation\]"'):
        balance(*similarities(5))
