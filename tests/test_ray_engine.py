"""Ray as an engine: the table of one process, bit for bit, though the command is stopped and an actor is killed."""

import csv
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

for package in ("av", "ftfy", "pyarrow", "ray"):
    pytest.importorskip(package)

import ray  # noqa: E402
from commands import run  # noqa: E402
from test_tars import write_tar  # noqa: E402

from torchmetrics_majorscore.media.tars import read_tar  # noqa: E402
from torchmetrics_majorscore.scoring import ray_engine  # noqa: E402
from torchmetrics_majorscore.scoring.ray_cluster import cluster  # noqa: E402
from torchmetrics_majorscore.scoring.read import source_of  # noqa: E402
from torchmetrics_majorscore.scoring.score import ClipScorer, ScoreOptions  # noqa: E402
from torchmetrics_majorscore.tables.source import digest  # noqa: E402

TARS, EACH = 6, 4
LONGEST = 480  # seconds; 294 were measured with 14 processes for each core
TINY = ("--encoder", "c-mcr-tiny")
pytestmark = [
    pytest.mark.usefixtures("one_thread", "in_folder"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A manifest of clips, and tars of the same clips."""
    folder = tmp_path_factory.mktemp("world")
    clips = sorted((Path(__file__).parents[1] / "docs/clips").glob("*.mp4"))
    rows = [(f"clip {number}", clips[number % len(clips)], f"{number} balls") for number in range(TARS * EACH)]
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "video", "text"), *rows])
    for number in range(TARS):
        own = rows[number * EACH : (number + 1) * EACH]
        samples = {name: {"mp4": clip.read_bytes(), "txt": text.encode()} for name, clip, text in own}
        write_tar(folder / f"{number}.tar", samples)
    return folder


def test_ray_gives_the_table_of_one_process_though_an_actor_dies_and_the_command_stops(world, tmp_path, capsys):
    tars = f"{world}/{{0..{TARS - 1}}}.tar"
    script = [sys.executable, str(Path(__file__).with_name("ray_run.py")), tars, "ray.parquet", "report.json"]
    apart = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    with subprocess.Popen(script, env=apart, start_new_session=True) as running:
        try:
            assert running.wait(LONGEST) == 0
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)  # Ray's processes end with the one that began them
    found = json.loads(Path("report.json").read_text())
    assert found["codes"] == [130, 0]
    assert 1 <= found["stopped"][0] <= found["kept"] < found["killed"][0] < found["whole"] == TARS * EACH
    assert run(capsys, "score", tars, *TINY, "-o", "one.parquet")[0] == 0
    assert Path("ray.parquet").read_bytes() == Path("one.parquet").read_bytes()


def test_rows_of_a_manifest_come_in_any_order_and_a_table_is_continued(world, monkeypatch, capsys):
    """Without Ray: what it would deal out goes to an actor here, the last clip first."""
    dealt = []

    def here(given, find, scorer, address, take):
        actor = ray_engine._Actor(scorer.options, scorer.signature, Path.cwd())
        dealt.append(len(given))
        for packed in reversed(actor(ray_engine._packed(given))["row"]):
            take(ray_engine.Scored(*pickle.loads(packed)))

    monkeypatch.setattr(ray_engine, "_run", here)
    command = ("score", world / "manifest.csv", *TINY)
    assert run(capsys, *command, "-o", "one.csv")[0] == 0
    whole = Path("one.csv").read_bytes()
    assert run(capsys, *command, "--engine", "ray", "-o", "ray.csv")[0] == 0
    assert Path("ray.csv").read_bytes() == whole
    Path("ray.csv").write_bytes(b"".join(whole.splitlines(keepends=True)[:-5]))
    assert run(capsys, *command, "--engine", "ray", "-o", "ray.csv")[0] == 0
    assert (dealt, Path("ray.csv").read_bytes()) == ([TARS * EACH, 5], whole)
    assert Path("ray.json").read_bytes() == Path("one.json").read_bytes()


def test_what_a_tar_gives_and_what_an_actor_makes_of_it(world, tmp_path):
    tar = world / "0.tar"
    first, second, *rest = read_tar(tar)
    finished = {first.id: digest("s", source_of(first)), second.id: "of another file"}
    given = {"row": [pickle.dumps((3, tar))]}
    how = {"signature": "s", "others": (), "audio_track": None, "folder": tmp_path}
    parts = list(ray_engine._find(given, finished=finished, **how))
    found = [ray_engine.Found(*pickle.loads(part["row"][0])) for part in parts]
    assert [clip.place for clip in found] == [(3, number) for number in range(EACH)]
    assert [clip.entry is None for clip in found] == [True, False, *(False for _ in rest)]

    options = ScoreOptions("c-mcr-tiny", device="cpu")
    signature = ClipScorer(options).signature
    lost = ray_engine.Found((9, 9), "lost", "", second.__class__("lost", Path("lost.mp4"), None, "a bell"))
    packed = ray_engine._packed([*found, lost])
    rows = ray_engine._Actor(options, signature, tmp_path)(packed)["row"]
    none, scored, *_, failed = (ray_engine.Scored(*pickle.loads(row)) for row in rows)
    assert (none.id, none.values, scored.error) == (first.id, None, "")
    assert 0.0 < scored.values["majorscore_average"] < 1.0
    assert "lost.mp4" in failed.error
    with pytest.raises(
        ValueError, match=r"Expected majorscore\|other on every machine of the cluster, got majorscore\|enc"
    ):
        ray_engine._Actor(options, "majorscore|other", tmp_path)(packed)


def test_what_cannot_be_is_one_line(world, monkeypatch, capsys):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = f"127.0.0.1:{closed.getsockname()[1]}"
    command = ("score", world / "0.tar", *TINY, "-o", "s.csv")
    for arguments, message in (
        (("--engine", "ray", "--address", nowhere), f"Expected a Ray cluster at {nowhere}, got ConnectionRefused"),
        (("--address", nowhere), f"Expected --engine ray beside --address, got --address {nowhere} alone."),
        (("--engine", "ray", "--shard", "0/2"), "Expected --engine or a shard, got both: ray deals the clips out"),
    ):
        code, output, error = run(capsys, *command, *arguments)
        assert (code, output, message in error.splitlines()[-1]) == (2, "", True), error
    monkeypatch.setattr("torchmetrics_majorscore.extras.find_spec", lambda name: None if name == "ray" else name)
    code, _, error = run(capsys, *command, "--engine", "ray")
    assert (code, 'pip install ".[ray]"' in error, error.count("\n")) == (2, True, 1), error


@pytest.mark.parametrize(
    ("cause", "kind", "message"),
    [
        (ValueError("Expected a whole tar, got x.tar\nFailed to apply"), ValueError, "Expected a whole tar, got x.tar"),
        (FileNotFoundError("Expected weights"), ValueError, "Expected weights"),
        (MemoryError("all"), ConnectionError, "Expected the Ray cluster to score the clips, got MemoryError: all"),
    ],
)
def test_what_the_work_on_a_cluster_meets_is_one_line(cause, kind, message, monkeypatch, capsys):
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    begun = ray.data.DataContext.get_current()

    def work():
        with cluster(None, 7) as connected:
            assert connected.data.DataContext.get_current().target_max_block_size == 7
            print("what Ray says of a worker that died")
            raise ray.exceptions.RayTaskError("f", "its traceback", cause)

    with pytest.raises(kind) as raised:
        work()
    assert str(raised.value) == message
    assert ray.data.DataContext.get_current() is begun
    assert capsys.readouterr().out == ""
