"""The per-clip table that grows: what is kept, what is scored again, what is refused, what a spreadsheet sees."""

import csv
import json
import math
import os
import resource
import subprocess
import sys
from itertools import product

import pytest

from torchmetrics_majorscore.media.cells import neutral, original
from torchmetrics_majorscore.replace import replacing
from torchmetrics_majorscore.tables.claim import claim
from torchmetrics_majorscore.tables.write import ScoreTable, check_table

SOURCES = {"a": "12 bytes", "b": "13 bytes", "c": "14 bytes"}


def opened(path, sources=SOURCES, signature="s", **options):
    return ScoreTable(path, ["score"], signature, sources, **options)


def filled(path, sources=SOURCES):
    table = opened(path, sources)
    for number, clip_id in enumerate(sources):
        table.add(clip_id, {"score": number / 2}, remarks="silent" if clip_id == "b" else "")
    table.write_summary()
    return path


def test_reasons_stay_in_one_line_nan_is_an_empty_cell_and_remarks_are_counted(tmp_path):
    table = opened(tmp_path / "t.csv")
    table.add("a", {"score": math.nan}, 'two\nlines, "quoted"')
    table.add("b", {"score": 1 / 3}, remarks="sound is\nsilent")
    again = opened(tmp_path / "t.csv")
    row = {name: again.rows["a"][name] for name in ("id", "score", "remarks", "error")}
    assert row == {"id": "a", "score": "", "remarks": "", "error": 'two lines, "quoted"'}
    assert again.rows["b"]["remarks"] == "sound is silent"
    summary = again.write_summary()
    assert summary["columns"] == {"score": {"mean": pytest.approx(1 / 3, abs=1e-9), "count": 1}}
    assert [summary[name] for name in ("clips", "failed", "remarked", "changed")] == [2, 1, 1, 0]
    assert summary["remarks"] == {"b": "sound is silent"}
    assert json.loads((tmp_path / "t.json").read_text()) == summary
    assert (tmp_path / "t.csv").read_text().count("\n") == 3


def test_a_clip_that_has_changed_is_scored_again_and_counted(tmp_path):
    path = filled(tmp_path / "t.csv")
    before = path.read_bytes()
    assert opened(path).changed == []
    assert path.read_bytes() == before
    table = opened(path, SOURCES | {"b": "99 bytes"})
    assert (table.changed, list(table.rows)) == (["b"], ["a", "c"])
    table.add("b", {"score": 7.0})
    assert path.read_text().splitlines()[-1].startswith("b,")
    assert table.write_summary()["changed"] == 1
    assert [line[:2] for line in path.read_text().splitlines()] == ["id", "a,", "b,", "c,"]  # in the order of the clips
    assert opened(path, SOURCES | {"b": "99 bytes"}).changed == []
    assert path.read_text().count("\nb,") == 1


@pytest.mark.parametrize("broken", [None, "", '{"signature": "', "[1, 2"])
def test_without_its_summary_a_table_is_recognised_by_its_rows(broken, tmp_path):
    path = filled(tmp_path / "t.csv")
    whole, rows = json.loads((tmp_path / "t.json").read_text()), path.read_bytes()
    for sources, signature in ((SOURCES, "another"), (dict.fromkeys("abc", "else"), "s")):
        write_or_remove(tmp_path / "t.json", broken)
        with pytest.raises(ValueError, match=r"t\.json cannot be read, and .*t\.csv has no row of these clips"):
            opened(path, sources, signature)
    write_or_remove(tmp_path / "t.json", broken)
    table = opened(path)
    assert len(table.rows) == 3
    assert json.loads((tmp_path / "t.json").read_text()) == {"signature": "s"}  # also if it is killed now
    assert table.write_summary() == whole
    assert path.read_bytes() == rows


def write_or_remove(path, text):
    path.unlink(missing_ok=True)
    if text is not None:
        path.write_text(text)


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("text", ['{"mine": [1, 2, 3]}', "[1]", '{"signature": 3}'])
def test_what_is_somebody_elses_is_not_overwritten(text, beside, tmp_path):
    path = tmp_path / "t.csv"
    if beside:
        filled(path)
    (tmp_path / "t.json").write_text(text)
    for open_it in (check_table, opened):
        with pytest.raises(ValueError, match=r"t\.json exists and is no summary of this command"):
            open_it(path)
    assert (tmp_path / "t.json").read_text() == text
    (tmp_path / "t.json").unlink()
    for other in ("id,video\nx,x.mp4\n", "a note without a line's end", "\x00\x01"):
        path.write_text(other)
        with pytest.raises(ValueError, match=r"t\.csv exists and is no table of this command"):
            opened(path)
        assert path.read_text() == other
    assert not (tmp_path / "t.json").exists()


def test_a_cut_off_summary_alone_is_somebody_elses(tmp_path):
    (tmp_path / "t.json").write_text('{"signature": "')
    with pytest.raises(ValueError, match=r"t\.json exists and is no summary"):
        opened(tmp_path / "t.csv")


def test_no_two_tables_share_a_summary(tmp_path):
    for name in ("run.1", "t.json", "t"):
        with pytest.raises(ValueError, match=r"^Expected a table that ends in \.csv, got "):
            opened(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_ids_of_several_lines_or_of_no_encoding_survive_a_cut(tmp_path):
    sources = {"two\nlines": "", "latin \udce9": "", "=1+1": ""}
    path = filled(tmp_path / "t.csv", sources)
    whole = path.read_bytes()
    assert list(opened(path, sources).rows) == list(sources)
    for end in range(len(whole) - 1, whole.index(b"\n"), -1):
        path.write_bytes(whole[:end])
        table = opened(path, sources)
        assert whole.startswith(path.read_bytes())
        assert list(table.rows) == list(sources)[: len(table.rows)]
        assert len(table.rows) >= whole[:end].count(b"\n") - 2


def test_no_cell_is_a_formula_and_every_reader_has_the_text(tmp_path):
    for letters in product("'=-+(a", repeat=4):
        text = "".join(letters)
        assert original(neutral(text)) == text
        assert neutral(text)[0] not in "=+@"
    hostile = ["=HYPERLINK(1)", "+1+cmd|' /C calc'!A0", "@SUM(1)", "'=x", "-1+cmd|' /C calc'!A0", "-Qowmc0P9ic", "\tx"]
    path = filled(tmp_path / "t.csv", dict.fromkeys(hostile, ""))
    with path.open(newline="") as file:
        written = [row["id"] for row in csv.DictReader(file)]
    assert written == [clip_id if clip_id == "-Qowmc0P9ic" else f"'{clip_id}" for clip_id in hostile]
    assert list(opened(path, dict.fromkeys(hostile, "")).rows) == hostile
    pytest.importorskip("pandas")
    from torchmetrics_majorscore.tables.read import read_scores

    table, _ = read_scores(path)
    assert table.index.tolist() == hostile
    assert list(table) == ["score", "remarks", "error"]


def test_an_output_is_claimed_by_one_process_and_set_free_by_a_kill(tmp_path):
    path = tmp_path / "sub" / "t.csv"
    code = (
        "import sys, time; from pathlib import Path; from torchmetrics_majorscore.tables.claim import claim\n"
        "with claim(Path(sys.argv[1])): print(flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        with pytest.raises(BlockingIOError, match=r"sub/t\.csv is being written by another process"), claim(path):
            pass
        holder.kill()
    for _ in range(2):
        with claim(path):
            assert not path.exists()


def test_an_output_that_cannot_be_written_is_known_beforehand(tmp_path):
    (tmp_path / "file").write_text("x")
    for path, message in ((tmp_path, "a folder or a device"), (tmp_path / "file" / "t.csv", "got a file in its place")):
        with pytest.raises(ValueError, match=message), claim(path):
            pass


def test_a_file_is_replaced_as_a_whole_or_not_at_all_as_the_umask_says(tmp_path):
    path, link = tmp_path / "t.txt", tmp_path / "link.txt"
    path.write_text("old")
    link.symlink_to(path)
    with pytest.raises(IsADirectoryError), replacing(path) as new:
        tmp_path.write_bytes(bytes(new.write_text("half")))
    assert path.read_text() == "old"
    before = os.umask(0o027)
    try:
        with replacing(link) as new:
            new.write_text("new")
            new.chmod(0o600)  # as safetensors does
    finally:
        os.umask(before)
    assert (path.read_text(), link.is_symlink(), path.stat().st_mode & 0o777) == ("new", True, 0o640)
    assert {file.name for file in tmp_path.iterdir()} == {"t.txt", "link.txt"}
    with pytest.raises(FileNotFoundError, match=r"none/\.\./t\.txt"), replacing(tmp_path / "none" / ".." / "t.txt"):
        pass
    assert not (tmp_path / "none").exists()


def test_a_full_disk_is_named(tmp_path):
    # A limit on the length of files stands for the disk: its error names no file either.
    table = filled(tmp_path / "t.csv")
    whole = table.read_bytes()
    code = (
        "import sys; from pathlib import Path; from torchmetrics_majorscore.tables.write import ScoreTable\n"
        f"table = ScoreTable(Path(sys.argv[1]), ['score'], 's', {SOURCES} | {{'d': ''}})\n"
        "try: table.add('d', {'score': 1.0}, 100 * 'long ')\n"
        "except OSError as error: print(error.filename)"
    )

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 100, len(whole) + 100))

    command = [sys.executable, "-c", code, str(table)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, preexec_fn=limit)
    assert run.stdout.strip() == str(table)
    assert list(opened(table, SOURCES | {"d": ""}).rows) == ["a", "b", "c"]
