"""The subcommands on finished tables, from the command line."""

import csv
import io
import json
import subprocess
import sys
from types import ModuleType

import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("scipy")

from commands import run  # noqa: E402
from written_tables import SIGNATURE, write_table  # noqa: E402

from torchmetrics_majorscore.tables.manifest import read_rows  # noqa: E402
from torchmetrics_majorscore.tables.read import MEANINGLESS  # noqa: E402

pytestmark = pytest.mark.usefixtures("in_folder")


def tables(folder):
    """Two tables; the second is better by 0.5, lacks one clip, and one of its clips failed."""
    rows = {f"p/{i}": (i / 10, 0.1 + i / 100) for i in range(6)}
    write_table(folder / "old.csv", rows)
    better = {clip: (value + 0.5, fair / 2) for clip, (value, fair) in rows.items() if clip != "p/5"}
    write_table(folder / "new.csv", better | {"p/4": (float("nan"), float("nan"), "no picture")})


def test_compare_prints_means_tests_and_what_was_dropped(tmp_path, capsys):
    tables(tmp_path)
    code, output, _ = run(capsys, "compare", "old.csv", "Ours=new.csv")
    assert code == 0
    lines = output.splitlines()
    assert lines[0] == "| model | n | majorscore_average | fairscore |"
    assert lines[2].startswith("| old | 4 | 0.1500 [")
    assert lines[3].startswith("| Ours | 4 | **0.6500** [")
    assert "| **0.0575** [" in lines[3]
    assert lines[5].startswith("| column | a | b | n | a_minus_b | t | p_t | wilcoxon | p_wilcoxon | p_t_holm")
    assert lines[7].startswith("| majorscore_average | old | Ours | 4 | -0.5000 [-0.5000, -0.5000] |")
    assert lines[-5:] == [
        "2 clips dropped, 4 common to all.",
        "  1 no value in Ours, e.g. p/4: no picture",
        "  1 not in Ours, e.g. p/5",
        "In brackets: 95 % bootstrap intervals, 1000 resamples of clips, seed 0.",
        f"signature: {SIGNATURE}",
    ]


def test_latex_keeps_the_notes_as_comments_and_csv_prints_tables_alone(tmp_path, capsys):
    tables(tmp_path)
    _, output, _ = run(capsys, "compare", "old.csv", "new.csv", "--format", "latex", "--columns", "fairscore")
    parts = output.split("\n\n")
    assert [part.splitlines()[0] for part in parts[:2]] == [r"\begin{tabular}{lrr}", r"\begin{tabular}{lllrrrrrrrr}"]
    assert all(line.startswith("% ") for line in parts[2].splitlines())
    _, output, error = run(capsys, "compare", "old.csv", "new.csv", "--format", "csv")
    means = pd.read_csv(io.StringIO(output.split("\n\n")[0]), index_col="model")
    assert means.loc["new", "majorscore_average"] == pytest.approx(0.65, abs=1e-9)
    assert f"signature: {SIGNATURE}" in error
    _, output, _ = run(capsys, "compare", "old.csv")
    assert "**" not in output
    assert "wilcoxon" not in output


def test_rank_gives_the_best_and_says_what_has_no_rank(tmp_path, capsys):
    nothing = (float("nan"), float("nan"), "broken")
    rows = {"a": (0.5, 0.3), "b": (0.5, 0.1), "c": nothing, "d": (0.2, 0.0), "e": nothing}
    write_table(tmp_path / "s.csv", rows)
    (tmp_path / "m.csv").write_text(
        "id,video,scene\na,a.mp4,one\nb,b.mp4,one\nc,c.mp4,one\nd,d.mp4,two\ne,e.mp4,three\n"
    )
    arguments = ["rank", "s.csv", "--manifest", "m.csv", "--prompt", "scene", "--best", "1"]
    code, output, _ = run(capsys, *arguments)
    assert code == 0
    assert output.splitlines()[2:4] == ["| one | a | 0.5000 | 1 |", "| two | d | 0.2000 | 1 |"]
    assert output.splitlines()[5:8] == [
        "score: majorscore_average",
        "2 of 5 candidates have no score and no rank.",
        "No candidate has a score: three",
    ]
    _, output, _ = run(capsys, *arguments, "--penalty", "0.5", "--format", "csv")
    assert list(csv.reader(io.StringIO(output)))[1] == ["one", "b", "0.45", "1"]


def test_filter_writes_two_manifests_and_says_where_paths_start(tmp_path, capsys):
    tables(tmp_path)
    (tmp_path / "m.csv").write_text("id,video\n" + "".join(f"p/{i},{i}.mp4\n" for i in range(6)))
    code, output, _ = run(capsys, "filter", "m.csv", "new.csv", "--threshold", "0.7")
    assert code == 0
    assert output.splitlines()[:2] == ["kept 2: m.kept.csv", "rejected 4: m.rejected.csv"]
    assert (tmp_path / "m.kept.csv").read_text() == "id,video,score,reason\np/2,2.mp4,0.7,\np/3,3.mp4,0.8,\n"
    with (tmp_path / "m.rejected.csv").open(newline="") as file:
        reasons = {row["id"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons["p/0"] == "majorscore_average below 0.7"
    assert (reasons["p/4"], reasons["p/5"]) == ("no picture", "not scored")
    _, output, _ = run(capsys, "filter", "m.csv", "old.csv", "--quantile", "0.5", "-o", "refined")
    assert "score them with --folder" in output
    assert (tmp_path / "refined" / "m.rejected.csv").is_file()


def test_a_quantile_is_that_of_the_clips_in_the_manifest(tmp_path, capsys):
    write_table(tmp_path / "s.csv", {f"c{i}": (float(i),) for i in range(100)})
    (tmp_path / "m.csv").write_text("id,video,kind\n" + "".join(f"c{i},{i}.mp4,{i % 2}\n" for i in range(10)))
    _, output, _ = run(capsys, "filter", "m.csv", "s.csv", "--quantile", "0.3")
    assert output.splitlines()[:2] == ["kept 7: m.kept.csv", "rejected 3: m.rejected.csv"]
    _, output, _ = run(capsys, "filter", "m.csv", "s.csv", "--quantile", "0.3", "--by-class", "kind", "--overwrite")
    assert output.splitlines()[:2] == ["kept 6: m.kept.csv", "rejected 4: m.rejected.csv"]


def test_filter_overwrites_no_list_unless_it_is_asked_to(tmp_path, capsys):
    tables(tmp_path)
    (tmp_path / "m.csv").write_text("id,video\np/0,0.mp4\n")
    for name in ("m.kept.csv", "m.rejected.csv"):
        (tmp_path / name).write_text("checked by hand")
        code, _, error = run(capsys, "filter", "m.csv", "old.csv", "--threshold", "0")
        assert (code, error.count("\n"), f"got {name}, which exists" in error) == (2, 1, True)
        assert (tmp_path / name).read_text() == "checked by hand"
        (tmp_path / name).unlink()
    assert list(tmp_path.glob("m.*.csv")) == []
    assert run(capsys, "filter", "m.csv", "old.csv", "--threshold", "0")[0] == 0
    assert run(capsys, "filter", "m.csv", "old.csv", "--threshold", "9", "--overwrite")[0] == 0
    assert (tmp_path / "m.kept.csv").read_text() == "id,video,score,reason\n"


def test_lists_of_filter_hold_no_formula_and_are_read_as_they_were(tmp_path, capsys):
    write_table(tmp_path / "s.csv", {"=1+1": (0.5,), "'=x": (0.1,)})
    (tmp_path / "m.csv").write_text("id,video,note\n=1+1,a.mp4,@SUM(1)\n''=x,b.mp4,-3\n")
    assert run(capsys, "filter", "m.csv", "s.csv", "--threshold", "0.2")[0] == 0
    assert (tmp_path / "m.kept.csv").read_text().splitlines()[1] == "'=1+1,a.mp4,'@SUM(1),0.5,"
    assert (tmp_path / "m.rejected.csv").read_text().splitlines()[1].startswith("''=x,b.mp4,-3,0.1,")
    for name, clip in (("m.kept.csv", "=1+1"), ("m.rejected.csv", "'=x")):
        assert list(read_rows(tmp_path / name)) == [clip]
    _, output, _ = run(capsys, "compare", "s.csv", "--format", "csv")
    assert output.startswith("model,")
    (tmp_path / "p.csv").write_text("id,video,prompt\n=1+1,a.mp4,=p\n''=x,b.mp4,=p\n")
    _, output, _ = run(capsys, "rank", "s.csv", "--manifest", "p.csv", "--format", "csv")
    assert [line.split(",")[:2] for line in output.splitlines()[1:]] == [["'=p", "'=1+1"], ["'=p", "''=x"]]


def test_a_study_from_sheet_to_agreement(tmp_path, capsys):
    tables(tmp_path)
    code, output, _ = run(capsys, "ratings", "sheet", "old.csv", "new.csv", "--clips", "3")
    assert code == 0
    assert output.startswith("sheet.csv: 3 clips of 2 models, to be rated from 1 (worst) to 5.")
    with (tmp_path / "key.csv").open(newline="") as file:
        key = list(csv.DictReader(file))
    lines = [f"{row['item']},ann,{1 + int(row['id'][-1]) / 10 + 2 * (row['model'] == 'new')}\n" for row in key]
    (tmp_path / "ann.csv").write_text("item,rater,rating\n" + "".join(lines))
    agree = ["ratings", "agree", "old.csv", "new.csv", "--ratings", "ann.csv", "--key", "key.csv", "--format", "csv"]
    code, output, error = run(capsys, *agree, "--columns", "majorscore_average")
    assert code == 0
    found = pd.read_csv(io.StringIO(output), index_col="level")
    assert found["spearman"].tolist() == pytest.approx([1, 1])
    assert found["n"].to_dict() == {"clip": 6, "model": 2}
    assert error.startswith("6 ratings of 1 raters.")
    _, output, error = run(capsys, *agree, "--opinions")
    assert len(pd.read_csv(io.StringIO(output))) == 6
    assert "Student's t" in error
    code, _, error = run(capsys, "ratings", "sheet", "old.csv", "new.csv")
    assert (code, "which exists" in error) == (2, True)


def test_report_passes_its_options_on(tmp_path, monkeypatch, capsys):
    calls = []
    fake = ModuleType("report")
    fake.write_report = lambda *args, **kwargs: calls.append((args, kwargs))
    monkeypatch.setitem(sys.modules, "torchmetrics_majorscore.report.page", fake)
    more = {"manifest": "m.csv", "mispaired": "w.csv", "folder": "f"}
    arguments = [word for name, value in more.items() for word in (f"--{name}", value)]
    assert run(capsys, "report", "a.csv", "b.csv", "-o", "r.html", *arguments) == (0, "written: r.html\n", "")
    (((paths, output), options),) = calls
    assert ({name: str(path) for name, path in paths.items()}, str(output)) == ({"a": "a.csv", "b": "b.csv"}, "r.html")
    assert list(map(str, options.pop("manifests"))) == [more.pop("manifest")]
    assert {name: str(path) for name, path in options.items()} == more


def test_commands_on_tables_never_import_torch(tmp_path):
    tables(tmp_path)
    (tmp_path / "m.csv").write_text("id,video,kind\n" + "".join(f"p/{i},{i}.mp4,k\n" for i in range(6)))
    (tmp_path / "r.csv").write_text("id,model,rater,rating\np/0,old,ann,3\np/1,new,ann,4\n")
    commands = [
        "compare old.csv new.csv",
        "rank old.csv --manifest m.csv --prompt kind",
        "filter m.csv old.csv --quantile 0.5 --by-class kind",
        "ratings sheet old.csv new.csv",
        "ratings agree old.csv new.csv --ratings r.csv",
        "overlap --test m.csv --train m.csv",
    ]
    probe = (
        f"import sys; from torchmetrics_majorscore.cli.main import main\n"
        f"for command in {commands}: assert main(command.split()) == 0, command\n"
        f"assert 'torch' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_seeded_scores_are_said_to_mean_nothing(tmp_path, capsys):
    write_table(tmp_path / "s.csv", {"p/a": (0.5,)}, signature="majorscore|enc:c-mcr-seeded@1")
    assert run(capsys, "rank", "s.csv")[1].endswith(f"{MEANINGLESS}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "nowhere.csv"], "got no nowhere.csv"),
        (["compare", "old.csv", "other.csv"], "Expected tables of one signature"),
        (["compare", "old.csv", "apart.csv"], "Expected clips with values in all of old, apart"),
        (["compare", "old.csv", "old.csv"], "Expected different tables"),
        (["compare", "old.csv", "--columns", "clipscore"], "got clipscore"),
        (["rank", "old.csv", "--best", "0"], "got 0"),
        (["rank", "apart.csv"], "got none for 'x'"),
        (["filter", "m.csv", "old.csv", "--threshold", "nan"], "Expected a finite threshold"),
        (["filter", "m.csv", "old.csv", "--threshold", "1", "--by-class", "kind"], "classes only with a quantile"),
        (["filter", "m.csv", "old.csv", "--quantile", "0.5", "--by-class", "color"], "got color"),
        (["filter", ".", "old.csv", "--threshold", "0"], "got the folder"),
        (["filter", "m.csv", "apart.csv", "--threshold", "0"], "got one that has none of its 1 clips"),
        (["ratings", "agree", "old.csv", "--ratings", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, tmp_path, capsys):
    tables(tmp_path)
    write_table(tmp_path / "other.csv", {"p/0": (1,)}, signature="another")
    write_table(tmp_path / "apart.csv", {"x": (1,)})
    (tmp_path / "m.csv").write_text("id,video,kind\np/0,0.mp4,dog\n")
    code, output, error = run(capsys, *arguments)
    assert (code, output) == (2, "")
    assert error.startswith("majorscore: ")
    assert message in error
    assert error.count("\n") == 1


def test_jsonl_keeps_its_values(tmp_path, capsys):
    tables(tmp_path)
    row = {"id": "p/1", "video": "é.mp4", "tags": [1, None], "score": "old"}
    (tmp_path / "m.jsonl").write_text(json.dumps(row) + "\n\n")
    run(capsys, "filter", "m.jsonl", "old.csv", "--threshold", "0")
    assert json.loads((tmp_path / "m.kept.jsonl").read_text()) == {**row, "score": 0.1, "reason": ""}
    assert (tmp_path / "m.rejected.jsonl").read_text() == ""
