"""Human ratings: mean opinion scores, agreement with scores, sheets for raters."""

import csv
import math

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
stats = pytest.importorskip("scipy.stats")

from written_tables import frame  # noqa: E402

from torchmetrics_majorscore.statistics.agreement import kendall, spearman  # noqa: E402
from torchmetrics_majorscore.tables.agreement import agree, mean_opinions  # noqa: E402
from torchmetrics_majorscore.tables.rating_sheet import draw_clips, write_sheet  # noqa: E402
from torchmetrics_majorscore.tables.ratings import read_ratings  # noqa: E402

NAN = math.nan
COLUMN = ["majorscore_average"]


def rated(rows):
    """Make ratings of ``(id, model): [ratings]``, each by another rater."""
    cells = [(clip, model, f"r{i}", value) for (clip, model), values in rows.items() for i, value in enumerate(values)]
    return pd.DataFrame(cells, columns=["id", "model", "rater", "rating"])


def study(clips=40, seed=2):
    """Three models whose scores follow their opinions, with noise."""
    draw = np.random.default_rng(seed)
    opinions = {(f"c{i}", model): draw.integers(1, 6, 3) for i in range(clips) for model in "abc"}
    tables = {
        model: frame({f"c{i}": opinions[f"c{i}", model].mean() + draw.normal(0, 1) for i in range(clips)})
        for model in "abc"
    }
    return tables, opinions


def test_mean_opinions_have_the_t_interval_of_scipy():
    values = {("x", "a"): [2, 3, 4, 3], ("x", "b"): [3], ("y", "a"): [2, 2]}
    found = mean_opinions(rated(values))
    x = stats.ttest_1samp(values["x", "a"], 0).confidence_interval(0.95)
    row = found.loc["x", "a"]
    np.testing.assert_allclose(row[["n", "mos", "mos_low", "mos_high"]].tolist(), [4, 3, x.low, x.high], atol=1e-9)
    np.testing.assert_array_equal(found.loc["x", "b"].tolist(), [1, 3, NAN, NAN])
    assert found.loc["y", "a"].tolist() == [2, 2, 2, 2]


def test_the_interval_of_an_opinion_ends_where_the_scale_does():
    high, low = (mean_opinions(rated({("x", "a"): values})).iloc[0] for values in ([5, 5, 4], [1, 2]))
    wanted = stats.ttest_1samp([5, 5, 4], 0).confidence_interval(0.95)
    assert wanted.high > 5
    assert [high["mos_low"], high["mos_high"]] == pytest.approx([wanted.low, 5])
    assert low[["mos_low", "mos_high"]].tolist() == [1, 5]


def test_correlations_are_those_of_scipy_with_ties():
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=80), draw.integers(1, 6, 80).astype(float)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-9)
    assert kendall(x, y) == pytest.approx(stats.kendalltau(x, y, variant="b").statistic, abs=1e-9)
    assert spearman([*x, NAN], [*y, 1]) == spearman(x, y)
    for method in (spearman, kendall):
        assert method([1, 2, 3], [10, 20, 40]) == 1
        assert all(math.isnan(method(*rows)) for rows in (([1], [2]), ([], []), ([1, 1], [1, 2]), ([1, NAN], [1, 2])))


def test_agreement_at_clip_and_model_level():
    tables, opinions = study()
    tables["b"].loc["c7", "majorscore_average"] = NAN
    tables["c"] = tables["c"].drop("c8")
    found = agree(tables, rated(opinions), COLUMN).set_index("level")
    points = [(tables[m]["majorscore_average"].get(c, NAN), v.mean(), c) for (c, m), v in opinions.items()]
    x, y = np.array([point[:2] for point in points if not math.isnan(point[0])]).T
    clip, model = found.loc["clip"], found.loc["model"]
    assert (clip["n"], clip["clips"], clip["dropped"]) == (118, 40, 2)
    assert clip["spearman"] == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-9)
    assert clip["kendall"] == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-9)
    assert clip["spearman_low"] < clip["spearman"] < clip["spearman_high"]
    assert (model["n"], model["clips"], model["dropped"]) == (3, 38, 2)
    common = [f"c{i}" for i in range(40) if i not in (7, 8)]
    means = [tables[m].loc[common, "majorscore_average"].mean() for m in "abc"]
    mos = [np.mean([opinions[c, m].mean() for c in common]) for m in "abc"]
    assert model["spearman"] == pytest.approx(stats.spearmanr(means, mos).statistic, abs=1e-9)
    assert model["kendall"] == pytest.approx(stats.kendalltau(means, mos).statistic, abs=1e-9)


def test_clips_are_resampled_with_all_of_their_models():
    """Ten models with the same scores and opinions tell no more than one: the intervals are equal."""
    tables, opinions = study()
    one = agree({"a": tables["a"]}, rated({k: v for k, v in opinions.items() if k[1] == "a"}), COLUMN).iloc[0]
    models = [f"m{i}" for i in range(10)]
    copies = rated({(clip, name): v for (clip, m), v in opinions.items() if m == "a" for name in models})
    ten = agree(dict.fromkeys(models, tables["a"]), copies, COLUMN).iloc[0]
    assert (one["n"], ten["n"]) == (40, 400)
    for name in ("spearman", "spearman_low", "spearman_high", "kendall_low"):
        assert ten[name] == pytest.approx(one[name], abs=1e-9)


def test_scores_that_follow_opinions_agree_fully_and_one_clip_says_nothing():
    ratings = rated({(f"c{i}", ""): [i % 5 + 1] for i in range(20)})
    found = agree({"any": frame({f"c{i}": float(i % 5) for i in range(20)})}, ratings, COLUMN)
    assert found["level"].tolist() == ["clip"]
    assert found[["spearman", "spearman_low", "kendall", "kendall_high"]].iloc[0].tolist() == pytest.approx([1] * 4)
    one = agree({"any": frame({"c0": 1})}, ratings, COLUMN).iloc[0]
    assert (one["n"], one["dropped"]) == (1, 19)
    assert math.isnan(one["spearman"])


def test_ratings_of_other_models_or_clips_are_an_error():
    tables = {"a": frame({"x": 1}), "b": frame({"x": 1})}
    with pytest.raises(ValueError, match=r"Expected ratings of a, b, got c\."):
        agree(tables, rated({("x", "c"): [3], ("x", "a"): [3]}))
    with pytest.raises(ValueError, match="got no column model"):
        agree(tables, rated({("x", ""): [3]}))
    with pytest.raises(ValueError, match="got none of 1 rated clips"):
        agree({"a": tables["a"]}, rated({("y", "a"): [3]}))


def test_several_files_are_joined_and_empty_ratings_left_out(tmp_path):
    (tmp_path / "1.csv").write_text("id,rater,rating\nx,ann,4\ny,ann,\n")
    (tmp_path / "2.csv").write_text("\ufeffRating, id ,rater\n 1.5,x,bob\n", encoding="utf-8")
    ratings = read_ratings([tmp_path / "1.csv", tmp_path / "2.csv"])
    assert ratings.to_numpy().tolist() == [["x", "", "ann", 4.0], ["x", "", "bob", 1.5]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,rater,rating\nx,ann,6\n", "Expected ratings from 1 to 5 in .*, got '6'"),
        ("id,rater,rating\nx,ann,0\n", "got '0'"),
        ("id,rater,rating\nx,ann,good\n", "got 'good'"),
        ("id,rater,rating\nx,ann,nan\n", "got 'nan'"),
        ("id,rater,rating\nx,ann,3\nx,ann,4\n", "got two: id x, model , rater ann"),
        ("id,rater,rating\nx,,3\n", "Expected an id and a rater"),
        ("id,rating\nx,3\n", "got no rater"),
        ("id,item,rater,rating\nx,0f,ann,3\n", "Expected the key"),
        ("", "got no id, rater, rating"),
    ],
)
def test_ratings_that_cannot_be_used_are_an_error(text, message, tmp_path):
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_ratings([tmp_path / "r.csv"])


def test_a_filled_sheet_is_read_with_its_key(tmp_path):
    clips, models = [f"c{i}" for i in range(30)], ["ours", "theirs", "old"]
    sheet, key = tmp_path / "sheet.csv", tmp_path / "key.csv"
    write_sheet(clips, models, sheet, key, seed=1)
    with sheet.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [clip for clip in clips for _ in models]
    assert len({row["item"] for row in rows}) == 90
    assert all(row["rater"] == row["rating"] == "" for row in rows)
    assert not any(model in sheet.read_text() for model in models)
    with key.open(newline="") as file:
        secret = {row["item"]: row["model"] for row in csv.DictReader(file)}
    orders = [tuple(secret[row["item"]] for row in rows[i : i + 3]) for i in range(0, 90, 3)]
    assert all(sorted(order) == sorted(models) for order in orders)
    assert len(set(orders)) == 6  # every order of three models occurs
    assert read_ratings([sheet], key).empty
    planted = {"ours": 5, "theirs": 3, "old": 1}
    filled = "".join(f"{row['id']},{row['item']},ann,{planted[secret[row['item']]]}\n" for row in rows)
    (tmp_path / "ann.csv").write_text("id,item,rater,rating\n" + filled)
    opinions = mean_opinions(read_ratings([tmp_path / "ann.csv"], key))["mos"].groupby("model").agg(["min", "max"])
    assert opinions.loc[models].to_numpy().tolist() == [[5, 5], [3, 3], [1, 1]]
    write_sheet(clips, models, tmp_path / "s2.csv", tmp_path / "k2.csv", seed=1)
    assert (tmp_path / "s2.csv").read_bytes() == sheet.read_bytes()
    write_sheet(clips, models, tmp_path / "s3.csv", tmp_path / "k3.csv", seed=2)
    with pytest.raises(ValueError, match="Expected items of the key"):
        read_ratings([tmp_path / "ann.csv"], tmp_path / "k3.csv")


def test_a_sheet_replaces_no_file_and_needs_clips_and_models(tmp_path):
    paths = tmp_path / "sheet.csv", tmp_path / "key.csv"
    for clips, models in (([], ["a"]), (["x"], []), (["x"], ["a", "a"])):
        with pytest.raises(ValueError, match=r"^Expected unique"):
            write_sheet(clips, models, *paths)
    with pytest.raises(ValueError, match="Expected two files"):
        write_sheet(["x"], ["a"], paths[0], paths[0])
    paths[1].write_text("filled in")
    with pytest.raises(FileExistsError, match=r"key\.csv, which exists"):
        write_sheet(["x"], ["a"], *paths)
    assert not paths[0].exists()


def test_clips_for_a_sheet_have_no_error_in_any_table():
    tables = {"a": frame(dict.fromkeys("vwxyz", 1.0)), "b": frame(dict.fromkeys("zyxw", 1.0))}
    tables["b"].loc["y", "error"] = "silent"
    assert draw_clips(tables) == ["w", "x", "z"]
    drawn = draw_clips(tables, 2, seed=1)
    assert drawn == draw_clips(tables, 2, seed=1)
    assert set(drawn) < set("wxz")
    for count in (0, 4):
        with pytest.raises(ValueError, match=f"Expected 1 or more of the 3 clips .*, got {count}"):
            draw_clips(tables, count)
