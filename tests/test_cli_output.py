"""What commands print: results, notes, JSON, warnings, progress."""

import fcntl
import json
import logging
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import warnings

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("scipy")

from commands import run  # noqa: E402
from media_files import sine, write, write_sound  # noqa: E402
from written_tables import SIGNATURE, write_table  # noqa: E402

from torchmetrics_majorscore.cli.main import main  # noqa: E402
from torchmetrics_majorscore.cli.printing import as_json  # noqa: E402
from torchmetrics_majorscore.cli.progress import LOGGER, Progress, stage  # noqa: E402
from torchmetrics_majorscore.tables.read import MEANINGLESS  # noqa: E402

pytestmark = pytest.mark.usefixtures("in_folder")

SEEDED = SIGNATURE.replace("toy@1", "toy-seeded@1")


def tables(folder, signature=SIGNATURE):
    rows = {f"p/{i}": (i / 10, 0.1 + i / 100) for i in range(6)}
    write_table(folder / "old.csv", rows, signature)
    write_table(folder / "new.csv", {clip: (a + 0.5, f) for clip, (a, f) in rows.items() if clip != "p/5"}, signature)


def test_json_is_one_object_with_the_numbers_of_the_text(tmp_path, capsys):
    tables(tmp_path)
    code, output, error = run(capsys, "compare", "old.csv", "new.csv", "--json")
    found = json.loads(output)
    assert (code, error) == (0, "")
    assert found["signature"] == SIGNATURE
    assert [row["model"] for row in found["means"]] == ["old", "new"]
    assert found["means"][1]["majorscore_average"] == pytest.approx(0.7, abs=1e-9)
    assert found["means"][0]["majorscore_average_low"] < 0.2 < found["means"][0]["majorscore_average_high"]
    assert found["tests"][0]["a_minus_b"] == pytest.approx(-0.5, abs=1e-9)
    assert found["tests"][1]["t"] is None  # not determined: the two are equal
    assert [row["id"] for row in found["dropped"]] == ["p/5"]
    _, output, _ = run(capsys, "rank", "old.csv", "--best", "1", "--json")
    assert json.loads(output)["ranked"] == [{"prompt": "p", "id": "p/5", "score": 0.5, "rank": 1}]


def test_quiet_prints_what_was_asked_for_alone(tmp_path, capsys):
    tables(tmp_path)
    _, output, error = run(capsys, "compare", "old.csv", "--quiet")
    assert [line[:7] for line in output.splitlines()] == ["| model", "| --- |", "| old |"]
    assert error == ""
    (tmp_path / "m.csv").write_text("id,video\np/0,a.mp4\np/1,b.mp4\n")
    assert run(capsys, "filter", "m.csv", "old.csv", "--threshold", "0.05", "-o", "parts", "--quiet") == (0, "", "")
    assert (tmp_path / "parts" / "m.kept.csv").is_file()
    code, output, error = run(capsys, "compare", "nowhere.csv", "--quiet")
    assert (code, output) == (2, "")
    assert error.startswith("majorscore: ")


def test_clips_with_a_remark_are_named(tmp_path, capsys):
    picture, tone = write(tmp_path / "c.mp4"), (9000 * sine(8000, seconds=2)).astype("i2")
    for name, samples in {"tone": tone, "mute": 0 * tone, "long": np.tile(tone, 3)}.items():
        write_sound(tmp_path / f"{name}.wav", "pcm_s16le", samples, 8000)
    sounds = ["mute", "tone", "mute", "long", *["mute"] * 10]
    rows = [f"c{place},{picture},{sound}.wav,red" for place, sound in enumerate(sounds)]
    (tmp_path / "m.csv").write_text("\n".join(["id,video,audio,text", *rows]))
    _, output, _ = run(capsys, "score", "m.csv", "--encoder", "c-mcr-tiny", "-o", "s.csv")
    assert "\naudio of c0, c2, c4, c5, c6, c7, c8, c9, c10, c11 and 2 more is silent\n" in output
    assert "\nc3: picture and sound last differently (about 2 s and 6.0 s)\n" in output
    assert output.endswith(
        "14 clips have remarks, in the column remarks of s.csv\n0 of 14 clips failed, in whole or in part.\n"
    )
    assert set(json.loads((tmp_path / "s.json").read_text())["remarks"]) == {f"c{place}" for place in range(14)}


def test_that_scores_mean_nothing_is_said_in_any_case(tmp_path, capsys):
    tables(tmp_path, SEEDED)
    for option in ("--quiet", "--verbose"):
        assert MEANINGLESS in "".join(run(capsys, "rank", "old.csv", option)[1:])
    assert json.loads(run(capsys, "rank", "old.csv", "--json")[1])["seeded"] is True


def test_every_command_has_the_options(capsys):
    names = [
        "demo",
        "world",
        "connect",
        "train-tiny",
        "fuse",
        "retrieval",
        "score",
        "evaluate",
        "merge",
        "benchmark",
        "compare",
        "rank",
        "filter",
        "report",
    ]
    names += ["report", "encoders", "duplicates", "overlap", "ratings agree", "ratings sheet"]
    names += [f"weights {name}" for name in ("convert", "verify", "seeded", "get")]
    for name in names:
        with pytest.raises(SystemExit):
            main([*name.split(), "--help"])
        text = capsys.readouterr().out
        assert all(option in text for option in ("--quiet", "--verbose", "--json")), name
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = re.findall(r"^    (\S+)", capsys.readouterr().out, re.MULTILINE)
    assert set(listed) == {name.split()[0] for name in names}


def test_what_json_holds():
    index = pd.Index(["a", "b"], name="id")
    frame = pd.DataFrame({"x": [0.5, float("nan")], "n": pd.array([1, None], "Int64")}, index=index)
    assert as_json(frame) == [{"id": "a", "x": 0.5, "n": 1}, {"id": "b", "x": None, "n": None}]
    values = {("set", "sum"): np.float64(1.5), "list": (np.int64(2), True, None), "inf": float("inf")}
    assert as_json(values) == {"set sum": 1.5, "list": [2, True, None], "inf": None}


def test_control_characters_do_not_reach_the_terminal(tmp_path, capsys):
    hostile = "p/\x1b]0;owned\x07\x9b2J"
    write_table(tmp_path / "s.csv", {hostile: (0.5, 0.1), "p/b": (0.1, 0.1)})
    _, output, _ = run(capsys, "rank", "s.csv")
    assert "x1b" in output
    assert not {"\x1b", "\x07", "\x9b"} & set(output)
    _, output, _ = run(capsys, "rank", "s.csv", "--json")
    assert json.loads(output)["ranked"][0]["id"] == hostile


@pytest.mark.parametrize(("quiet", "verbose"), [(False, False), (False, True), (True, False)])
def test_warnings_and_records_are_lines_and_what_was_there_comes_back(quiet, verbose, capsys):
    shown, level = warnings.showwarning, LOGGER.level
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with Progress("score", quiet, verbose) as progress, progress.bar(3, "clip") as advance:
            with stage("loading c-mcr"):
                warnings.warn("two\nlines", stacklevel=1)
            advance()
            logging.getLogger("torchmetrics_majorscore.encoders").info("from below")
    error = capsys.readouterr().err
    lines = [line.split("\r")[-1].strip() for line in error.splitlines()]
    assert ("majorscore: warning: two lines" in lines) is not quiet
    assert any(line.endswith("s  loading c-mcr") for line in lines) is verbose
    assert any("loading c-mcr took" in line for line in lines) is verbose
    assert any(line.endswith("s  from below") for line in lines) is verbose
    assert ("1/3" in error) is not quiet
    assert (warnings.showwarning, LOGGER.level) == (shown, level)


SLOW = """
import time
from torchmetrics_majorscore.cli.progress import Progress, stage
with Progress("score", False, False) as progress, progress.bar(3, "clip"), stage("loading c-mcr"):
    time.sleep(2.5)
"""


def test_what_lasts_is_said_on_a_terminal_and_in_a_file():
    in_file = subprocess.run([sys.executable, "-c", SLOW], capture_output=True, text=True, check=True)
    assert "loading c-mcr ...\n" in in_file.stderr
    own, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen = b""
    with subprocess.Popen([sys.executable, "-c", SLOW], stderr=its):
        os.close(its)
        while True:
            try:
                seen += os.read(own, 4096)
            except OSError:  # the other side is closed
                break
    os.close(own)
    assert b"loading c-mcr, 2 s:   0%|" in seen
