"""How commands end: exit codes, what is known beforehand, errors that name their file, Ctrl-C, a closed pipe."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

for package in ("av", "pandas", "safetensors", "scipy", "ftfy"):
    pytest.importorskip(package)

from commands import run  # noqa: E402
from written_tables import write_table  # noqa: E402

from torchmetrics_majorscore import extras  # noqa: E402
from torchmetrics_majorscore.cli import ending, main  # noqa: E402
from torchmetrics_majorscore.cli.ending import CLOSED, INTERRUPTED  # noqa: E402
from torchmetrics_majorscore.encoders import SharedEncoder  # noqa: E402
from torchmetrics_majorscore.tables.write import ScoreTable  # noqa: E402
from torchmetrics_majorscore.training.world.view import write_world  # noqa: E402

pytestmark = pytest.mark.usefixtures("in_folder")

TINY = ("--encoder", "c-mcr-tiny")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, 4, 0)
    return folder


def process(*arguments, **options):
    return subprocess.Popen([sys.executable, "-m", "torchmetrics_majorscore.cli", *map(str, arguments)], **options)


def with_a_missing_clip(world):
    path = world / "with_missing.csv"
    path.write_text((world / "manifest.csv").read_text() + "gone,gone.mp4,a red bell,bell\n")
    return path


def test_the_same_failure_has_the_same_code_in_all_commands(world, tmp_path, capsys):
    for manifest, expected in ((world / "manifest.csv", 0), (with_a_missing_clip(world), 1)):
        score = run(capsys, "score", manifest, *TINY, "-o", tmp_path / f"{expected}.csv")
        benchmark = run(capsys, "benchmark", manifest, *TINY, "-o", tmp_path / f"{expected}.safetensors")
        assert (score[0], benchmark[0]) == (expected, expected)
        assert f"{expected} of {4 + expected} clips failed, in whole or in part.\n" in score[1]
        assert f"{expected} of {4 + expected} clips failed, in whole or in part.\n" in benchmark[1]
    (tmp_path / "none.csv").write_text("id,video,text\na,a.mp4,a bell\nb,b.mp4,a drum\n")
    for command, written in (("score", "s.csv"), ("benchmark", "e.safetensors")):
        code, output, error = run(capsys, command, "none.csv", *TINY, "-o", tmp_path / written)
        assert code == 2
        assert "a: " in output + error
        assert "no file" in output + error
    code, output, _ = run(capsys, "score", world / "with_missing.csv", *TINY, "-o", tmp_path / "1.csv", "--json")
    found = json.loads(output)
    assert (code, found["failed"], list(found["failures"])) == (1, 1, ["gone"])
    assert found["columns"]["majorscore_average"]["count"] == 4


def test_every_code_is_in_the_help(capsys):
    with pytest.raises(SystemExit):
        main.main(["--help"])
    text = capsys.readouterr().out
    assert all(f"\n  {code} " in text for code in (0, 1, 2, 130, 141))
    with pytest.raises(SystemExit) as left:
        main.main(["score"])
    assert left.value.code == 2


def test_what_can_be_known_is_said_before_an_encoder_is_built(world, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(SharedEncoder, "on", lambda *_: pytest.fail("an encoder was built"))
    (tmp_path / "taken").mkdir()
    (tmp_path / "file.txt").write_text("x")
    (tmp_path / "full.csv").symlink_to("/dev/full")
    one_class = tmp_path / "one.csv"
    one_class.write_text("id,video,text,class\na,a.mp4,a,bell\nb,b.mp4,b,bell\nc,c.mp4,c,drum\n")
    manifest = world / "manifest.csv"
    seeded = (manifest, "--weights", "seeded")
    for arguments, message in (
        (("score", *seeded, "-o", "taken"), "taken: Is a directory"),
        (("score", *seeded, "-o", "file.txt/s.csv"), "file.txt: Not a directory"),
        (("score", *seeded, "-o", "full.csv"), "full.csv: Expected a file or nothing there"),
        (("score", *seeded, "--baseline"), "majorscore weights seeded FOLDER"),
        (("benchmark", *seeded), "majorscore weights seeded FOLDER"),
        (("benchmark", manifest, *TINY, "-o", "taken"), "taken: Is a directory"),
        (("benchmark", manifest, *TINY, "--tables", "file.txt"), "file.txt: Not a directory"),
        (("benchmark", one_class, *TINY), "half of the 3 rows, got 'bell' with 2"),
        (("world", "file.txt"), "file.txt: Not a directory"),
        (("demo", "-o", "file.txt"), "file.txt: Not a directory"),
        (("weights", "seeded", "file.txt"), "file.txt: Not a directory"),
    ):
        code, output, error = run(capsys, *arguments)
        assert (code, output) == (2, ""), arguments
        assert error.startswith("majorscore: ")
        assert message in error, error
        assert error.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"taken", "file.txt", "full.csv", "one.csv"}


def test_errors_of_the_system_name_their_file(tmp_path, capsys):
    write_table(tmp_path / "s.csv", {"p/a": (0.5, 0.1), "p/b": (0.1, 0.1)})
    code, _, error = run(capsys, "ratings", "sheet", "s.csv", "-o", "none/sheet.csv", "--key", "s.csv/key.csv")
    assert (code, error) == (2, "majorscore: s.csv: Not a directory\n")
    with (
        Path("/dev/full").open("w") as device,
        process("compare", "s.csv", stdout=device, stderr=subprocess.PIPE, text=True) as full,
    ):
        assert full.stderr.read() == "majorscore: standard output: No space left on device\n"
    assert full.returncode == 2


def test_a_full_disk_names_the_table(world, monkeypatch, capsys):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")  # as a file that is open says it, without a name

    monkeypatch.setattr(ScoreTable, "add", fail)
    code, _, error = run(capsys, "score", world / "manifest.csv", *TINY, "-o", "s.csv")
    assert code == 2
    assert error.splitlines()[-1] == "majorscore: s.csv: No space left on device"


@pytest.mark.parametrize("format", ["markdown", "csv"])
def test_a_closed_pipe_is_no_error_line(tmp_path, format):
    write_table(tmp_path / "s.csv", {"p/a": (0.5, 0.1), "p/b": (0.1, 0.1)})
    reading, writing = os.pipe()
    os.close(reading)
    command = ("compare", "s.csv", "--format", format)
    with process(*command, stdout=writing, stderr=subprocess.PIPE, text=True) as closed:
        os.close(writing)
        assert closed.stderr.read() == ""
    assert closed.returncode == CLOSED


ENDLESS = """
import sys, time
from torchmetrics_majorscore.cli.main import main
from torchmetrics_majorscore.scoring import read
take = read._read
read._read = lambda entry, *rest: take(entry, *rest) if entry.id != "endless" else time.sleep(600)
sys.exit(main())
"""


def test_ctrl_c_ends_at_once_and_says_how_to_go_on(world, tmp_path):
    """While a worker reads a clip that does not end, which the interpreter would wait for."""
    clip = sorted(world.glob("*.mp4"))[0]
    rows = [f"{name},{clip},a bell" for name in ("a", "b", "c", "endless")]
    (tmp_path / "m.csv").write_text("\n".join(["id,video,text", *rows]))
    arguments = ("score", "m.csv", *TINY, "-o", "s.csv", "--batch-size", "1")
    command = [sys.executable, "-c", ENDLESS, *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as score:
        begun = time.monotonic()
        while not (tmp_path / "s.csv").exists() or (tmp_path / "s.csv").read_bytes().count(b"\n") < 4:
            assert time.monotonic() - begun < 120
            time.sleep(0.05)
        score.send_signal(signal.SIGINT)
        error = score.stderr.read()
    assert "Traceback" not in error
    assert error.splitlines()[-1] == (
        "majorscore: interrupted; s.csv keeps the finished rows; the same command continues there."
    )
    assert score.returncode == INTERRUPTED


def test_lightnings_way_to_end_is_an_interruption_too(tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)

    monkeypatch.setattr(main, "end", lambda run, *rest: ending.end(interrupted, *rest))
    assert run(capsys, "world", "w") == (
        INTERRUPTED, "", "majorscore: interrupted; the same command begins anew.\n"
    )  # fmt: skip


def test_what_is_not_foreseen_says_that_it_is_a_fault_and_is_no_partial_success(monkeypatch, capsys):
    monkeypatch.setattr(main, "end", lambda run, *rest: ending.end(lambda *_: 1 / 0, *rest))
    code, _, error = run(capsys, "world", "w")
    assert code == 2
    assert "Traceback" in error
    assert error.splitlines()[-1] == "majorscore: this is a fault of majorscore, please report it: ZeroDivisionError"


def test_missing_extras_are_named_at_once_with_lines_for_a_clone(monkeypatch, capsys):
    found = extras.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name in ("av", "ftfy") else found(name))
    code, _, error = run(capsys, "score", "nowhere.csv")
    assert code == 2
    assert "got no av, ftfy;" in error
    assert 'pip install ".[cmcr,media]" (or: uv sync --extra cmcr --extra media)' in error
    assert "torchmetrics-majorscore[" not in error
