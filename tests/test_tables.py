"""Finished tables: reading, generators compared, tables rendered."""

import io
import itertools
import json
import math

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
stats = pytest.importorskip("scipy.stats")

from written_tables import SIGNATURE, frame, write_table  # noqa: E402

from torchmetrics_majorscore.statistics import comparison  # noqa: E402
from torchmetrics_majorscore.statistics.bootstrap import bootstrap  # noqa: E402
from torchmetrics_majorscore.statistics.comparison import holm  # noqa: E402
from torchmetrics_majorscore.tables import read  # noqa: E402
from torchmetrics_majorscore.tables.comparison import compare_models  # noqa: E402
from torchmetrics_majorscore.tables.read import name_tables, read_scores, read_tables  # noqa: E402
from torchmetrics_majorscore.tables.render import render_table  # noqa: E402

NAN = math.nan


def test_a_table_is_read_with_its_signature_and_ids_stay_strings(tmp_path):
    path = write_table(tmp_path / "a.csv", {"007": (0.5, 0.1), "NA": (NAN, NAN, "no, caption"), "nan": (-0.25,)})
    table, signature = read_scores(path)
    assert signature == SIGNATURE
    assert table.index.tolist() == ["007", "NA", "nan"]
    np.testing.assert_array_equal(table["majorscore_average"], [0.5, NAN, -0.25])
    assert table["error"].tolist() == ["", "no, caption", ""]


def test_tables_are_named_by_what_tells_their_paths_apart(tmp_path):
    names = [list(name_tables(tables)) for tables in (["x/a.csv", "x/b.csv"], ["x/s.csv", "y/s.csv"], ["s.csv"])]
    assert names == [["a", "b"], ["x", "y"], ["s"]]
    assert list(name_tables(["x/1/s.csv", "y/1/s.csv", "x/2/s.csv"])) == ["x/1", "y/1", "x/2"]
    assert {name: str(path) for name, path in name_tables(["ours=a.csv", "b.csv"]).items()} == {
        "ours": "a.csv",
        "b": "b.csv",
    }
    (tmp_path / "x=y.csv").touch()
    assert list(name_tables([str(tmp_path / "x=y.csv")])) == ["x=y"]
    with pytest.raises(ValueError, match="Expected different tables"):
        name_tables(["a.csv", "x/../a.csv"])
    with pytest.raises(ValueError, match="name tables like NAME=TABLE"):
        name_tables(["b=a.csv", "b.csv"])


def test_signatures_are_not_mixed(tmp_path):
    paths = {name: write_table(tmp_path / f"{name}.csv", {"x": (1,)}) for name in "ab"}
    assert read_tables(paths)[1] == SIGNATURE
    paths["c"] = write_table(tmp_path / "c.csv", {"x": (1,)}, signature="another")
    with pytest.raises(ValueError, match=r"^Expected tables of one signature, got .* and another in .*c\.csv\.$"):
        read_tables(paths)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,score,error\nx,0.5,\nx,0.6,\n", "unique ids"),
        ("id,score,error\nx,high,\n", "Expected numbers in column score"),
        ("id,score,error\nx,inf,\n", "finite numbers"),
        ("id,score,error\nx,0.5,\ny,0.", "cut off"),
        ("id,score,error\nx,0.5,\ny,,no pict", "cut off"),
        ("id,score,error\nx,0.5\n", "cut off"),
        ("id,score\nx,0.5\n", "a table with unique columns"),
        ("", "a table with unique columns"),
    ],
)
def test_a_table_that_cannot_be_used_is_an_error(text, message, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "a.json").write_text(json.dumps({"signature": "s"}))
    with pytest.raises(ValueError, match=message):
        read_scores(tmp_path / "a.csv")


def test_a_table_without_a_signature_is_an_error(tmp_path):
    path = write_table(tmp_path / "a.csv", {"x": (1,)})
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(ValueError, match="Expected a signature"):
        read_scores(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError, match=r"got no .*a\.json; the same majorscore score again writes it anew"):
        read_scores(path)
    path.with_suffix(".json").write_text('{"signature": "')
    with pytest.raises(ValueError, match=r"^Expected JSON in .*a\.json, got: .*; the same majorscore score again"):
        read_scores(path)


def test_means_and_tests_are_those_of_scipy_on_the_common_clips():
    draw = np.random.default_rng(3)
    ids = [f"clip{index}" for index in range(60)]
    values = {
        model: dict(zip(ids, draw.normal(shift, 0.1, 60), strict=True))
        for model, shift in zip("abc", (0, 0.01, 0.2), strict=True)
    }
    values["a"]["clip5"] = NAN
    del values["b"]["clip6"]
    tables = {model: frame(rows) for model, rows in values.items()}
    tables["c"] = tables["c"].iloc[::-1]  # a table is matched by id, not by position
    tables["a"].loc["clip5", "error"] = "no caption"
    found = compare_models(tables, ["majorscore_average"], seed=4)
    common = [clip for clip in ids if clip not in ("clip5", "clip6")]
    arrays = {model: np.array([values[model][clip] for clip in common]) for model in tables}
    assert found.means["n"].tolist() == [58] * 3
    for model, x in arrays.items():
        interval = bootstrap(np.mean, x, seed=4)
        row = found.means.loc[model]
        assert row["majorscore_average"] == pytest.approx(x.mean(), abs=1e-9)
        assert row["majorscore_average_low"] == pytest.approx(interval.low, abs=1e-9)
        assert row["majorscore_average_high"] == pytest.approx(interval.high, abs=1e-9)
    assert list(zip(found.tests["a"], found.tests["b"], strict=True)) == list(itertools.combinations("abc", 2))
    for row in found.tests.to_dict("records"):
        x, y = arrays[row["a"]], arrays[row["b"]]
        t, w = stats.ttest_rel(x, y), stats.wilcoxon(x, y)
        resampled = stats.bootstrap((x - y,), np.mean, method="percentile", n_resamples=4000, rng=0)
        expected = [(x - y).mean(), t.statistic, t.pvalue, w.statistic, w.pvalue]
        got = [row[name] for name in ("a_minus_b", "t", "p_t", "wilcoxon", "p_wilcoxon")]
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)
        ends = [row["a_minus_b_low"], row["a_minus_b_high"]]
        np.testing.assert_allclose(ends, resampled.confidence_interval, atol=0.005)
    np.testing.assert_allclose(found.tests["p_t_holm"], holm(found.tests["p_t"]), rtol=0, atol=1e-12)
    assert found.dropped["reason"].to_dict() == {"clip5": "no value in a", "clip6": "not in b"}
    assert found.dropped["detail"].tolist() == ["no caption", ""]


def test_holm_corrects_over_the_pairs_and_leaves_out_what_has_no_value():
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02], rtol=0, atol=1e-12)
    np.testing.assert_allclose(holm([0.6, NAN, 0.5]), [1, NAN, 1])


def test_what_the_clips_do_not_determine_is_nan():
    one = compare_models({"a": frame({"x": 1}), "b": frame({"x": 3})}, ["majorscore_average"])
    assert one.tests["a_minus_b"].tolist() == [-2]
    assert one.tests[["a_minus_b_low", "p_t", "p_wilcoxon", "p_t_holm"]].isna().all(axis=None)
    same = {"a": frame({"x": 0.1, "y": 0.2, "z": 0.7}), "b": frame({"x": 0.1, "y": 0.2, "z": 0.7})}
    assert compare_models(same).tests[["t", "p_t", "wilcoxon", "p_wilcoxon"]].isna().all(axis=None)
    shifted = {"a": frame({"x": 0.1, "y": 0.2, "z": 0.7}), "b": frame({"x": 0.4, "y": 0.5, "z": 1.0})}
    assert np.isnan(compare_models(shifted).tests["t"].iloc[0])
    assert compare_models({"a": frame({"x": 1})}).tests.empty


def test_clips_of_tables_in_another_order_are_matched_and_those_of_one_alone_are_named():
    one = frame({"a": 1, "b": NAN, "c": 3, "d": 4})
    one.loc["b", "error"] = "no sound"
    other, third = frame({"e": 9, "c": 1, "b": 5, "a": NAN}), frame({"b": NAN, "c": 0, "a": 2})
    found = compare_models({"x": one, "y": other, "z": third}, ["majorscore_average"])
    assert found.means["majorscore_average"].tolist() == [3, 1, 0]
    assert found.tests["a_minus_b"].tolist() == [2, 3, 1]
    assert list(found.dropped.itertuples(name=None)) == [
        ("a", "no value in y", ""),
        ("b", "no value in x; no value in z", "no sound"),
        ("d", "not in y; not in z", ""),
        ("e", "not in x; not in z", ""),
    ]


@pytest.mark.parametrize("digits", [1, 3, 17])
def test_the_signed_ranks_of_many_differences_are_scipys(digits, monkeypatch):
    draw = np.random.default_rng(5)
    for shift in (0.0, 0.01, 0.3):
        apart = np.round(draw.normal(shift, 1, 500), digits)
        expected = stats.wilcoxon(apart, method="asymptotic")
        with monkeypatch.context() as patch:
            patch.setattr(comparison, "LARGE", 10)
            found = comparison._signed_ranks(apart)
        assert found == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)
        assert comparison._signed_ranks(apart) == pytest.approx(found, rel=1e-10)


def test_nothing_in_common_or_no_such_column_is_an_error():
    with pytest.raises(ValueError, match=r"^Expected clips with values in all of a, b, got none of 2\.$"):
        compare_models({"a": frame({"x": 1}), "b": frame({"y": 1})})
    with pytest.raises(ValueError, match="got clipscore"):
        compare_models({"a": frame({"x": 1})}, ["clipscore"])


def test_tables_for_papers_have_intervals_bold_best_values_and_escaped_names():
    table = pd.DataFrame(
        {"x_1": [0.5, -0.25], "x_1_low": [0.4, NAN], "x_1_high": [0.6, NAN], "p": [0.00001, 0.0], "n": [3, 10]}
    )
    table.index = pd.Index(["50%_#&{a}", r"[b]~^\|"], name="model")
    assert render_table(table, "latex", {"x_1": "max", "n": "min"}).splitlines() == [
        r"\begin{tabular}{lrrr}",
        r"\toprule",
        r"model & x\_1 & p & n \\",
        r"\midrule",
        r"50\%\_\#\&\{a\} & \textbf{0.5000} [0.4000, 0.6000] & 1.0e$-$05 & \textbf{3} \\",
        r"{[}b]\textasciitilde{}\textasciicircum{}\textbackslash{}\textbar{} & $-$0.2500 & 0.0000 & 10 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    assert render_table(table, "markdown", {"x_1": "min"}, digits=1).splitlines() == [
        "| model | x_1 | p | n |",
        "| --- | ---: | ---: | ---: |",
        r"| 50%\_#&{a} | 0.5 [0.4, 0.6] | 1.0e-05 | 3 |",
        r"| \[b]~^\\\| | **-0.2** | 0.0 | 10 |",
    ]
    again = pd.read_csv(io.StringIO(render_table(table, "csv")), index_col="model")
    pd.testing.assert_frame_equal(again, table)


def test_equal_best_values_are_all_bold_and_a_missing_one_never_is():
    table = pd.DataFrame({"x": [1.0, NAN, 1.0]})
    cells = [line.split()[1] for line in render_table(table, best={"x": "max"}, digits=0).splitlines()[2:]]
    assert cells == ["**1**", "n/a", "**1**"]
    with pytest.raises(ValueError, match="got 'html'"):
        render_table(table, "html")


HEADER = "id,score,fairscore,remarks,error,source\n"


@pytest.mark.parametrize(
    "rows",
    [
        "a,0.1,1e-9,,,\nb,-0,,silent,,x\n",
        "a,0.300000012,3,,,\nb,-2.5e-310,7,,,\n",
        "'=1+1,0.1,0.2,,'=x,\n'tis,0.1,0.2,,,\n",
        '"two\nlines",0.1,0.2,"a ""b"", c",,\n',
        "NA,0.1,0.2,null,nan,None\n007,1,2,1,2,3\n",
        "a,,,,no sound,\nb,,,,no sound,\n",
        "",
    ],
)
def test_a_plain_table_is_read_by_arrows_parser_to_the_same_bits(rows, tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_bytes(f"\ufeff{HEADER}{rows}".encode("utf-8", "surrogateescape"))
    (tmp_path / "t.json").write_text('{"signature": "s"}')
    assert read._read_plain(path) is not None
    fast = read.read_scores(path)[0]
    monkeypatch.setattr(read, "_read_plain", lambda _: None)
    slow = read.read_scores(path)[0]
    pd.testing.assert_frame_equal(fast.astype(slow.dtypes), slow, check_exact=True, check_index_type=False)
    assert fast.index.tolist() == slow.index.tolist()
    assert [np.signbit(x) for x in fast["score"]] == [np.signbit(x) for x in slow["score"]]


@pytest.mark.parametrize(
    "rows",
    [
        "a,0.1,0.2,,\n",
        "a,0.1\n",
        "a,0.1,0.2,,,",
        "a,1,2,,,,\n",
        "a,1,2,,,\r\n",
        "\n",
        "a,1,2,,,\n\nb,1,2,,,\n",
        '"a"b,1,2,,,\n',
        'a"b,1,2,,,\n',
        "a,high,2,,,\n",
        "\udce9,0.1,0.2,,,\n",
    ],
)
def test_what_is_unusual_is_left_to_the_parser_that_explains_it(rows, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes((HEADER + rows).encode("utf-8", "surrogateescape"))
    assert read._read_plain(path) is None
