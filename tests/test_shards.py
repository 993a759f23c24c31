"""Shards: the bytes of one process whatever their number, also after a kill, and nothing merged that is not whole."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

for package in ("av", "ftfy"):
    pytest.importorskip(package)

import torch  # noqa: E402
from commands import run  # noqa: E402

from torchmetrics_majorscore.cli.main import main  # noqa: E402
from torchmetrics_majorscore.scoring import score as scoring  # noqa: E402
from torchmetrics_majorscore.scoring import shards  # noqa: E402
from torchmetrics_majorscore.tables.shard import Shard  # noqa: E402
from torchmetrics_majorscore.training.world.view import write_world  # noqa: E402

TINY = ("--encoder", "c-mcr-tiny", "--batch-size", "2")
CLIPS = 7  # of them one is missing, one has a caption like a formula, one an id of two lines


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, CLIPS - 2, 0)
    rows = [*(folder / "manifest.csv").read_text().splitlines(), "gone,gone.mp4,=1+1,bell"]
    video = rows[1].split(",")[1]
    (folder / "manifest.csv").write_text("\n".join([*rows, f'"two\nlines",{video},"a red bell, ringing",bell']) + "\n")
    return folder


@pytest.fixture(scope="module")
def alone(world, tmp_path_factory):
    """The table, and its summary, that one process writes."""
    output = tmp_path_factory.mktemp("alone") / "scores.csv"
    assert main(["score", str(world / "manifest.csv"), *TINY, "-o", str(output)]) == 1
    return output.read_bytes(), output.with_suffix(".json").read_bytes()


def score(world, folder, shard, *options):
    return main(["score", str(world / "manifest.csv"), *TINY, "--shard", shard, "-o", str(folder), *options])


def score_all(world, folder, count):
    for index in range(count):
        score(world, folder, f"{index}/{count}")
    return folder


@pytest.fixture(scope="module")
def three(world, tmp_path_factory):
    """A folder of three finished shards."""
    return score_all(world, tmp_path_factory.mktemp("three") / "scores", 3)


@pytest.fixture
def scores(three, tmp_path):
    return shutil.copytree(three, tmp_path / "scores")


def merged(folder):
    assert main(["merge", str(folder)]) == 1
    return folder.with_suffix(".csv").read_bytes(), folder.with_suffix(".json").read_bytes()


@pytest.mark.parametrize("count", [1, 2, CLIPS, CLIPS + 2])
def test_any_number_of_shards_gives_the_bytes_of_one_process(count, world, alone, tmp_path):
    assert merged(score_all(world, tmp_path / "scores", count)) == alone
    assert merged(tmp_path / "scores") == alone  # again, over what is there


def test_a_finished_shard_is_not_read_again_and_a_changed_one_is(world, scores, monkeypatch):
    read = []
    monkeypatch.setattr(scoring, "read_ahead", lambda entries, *_: (read.extend(e.id for e in entries), iter(()))[1])
    table = scores / "00000-of-00003.csv"
    before = table.read_bytes()
    table.write_bytes(b"")  # the mark alone decides
    assert score(world, scores, "0/3") == 0
    assert read == []
    table.write_bytes(before)
    assert score(world, scores, "2/3", "--retry-failed") == 0
    assert read == ["gone"]
    assert score(world, scores, "1/3", "--pairs", "all") == 2  # another signature


def test_a_shard_that_was_killed_is_continued(world, alone, tmp_path):
    folder = score_all(world, tmp_path / "scores", 2)
    table = folder / "00000-of-00002.csv"
    for path in (table, table.with_suffix(".json")):
        path.unlink()
    command = ["score", str(world / "manifest.csv"), *TINY, "--shard", "0/2", "-o", str(folder)]
    slow = "from torchmetrics_majorscore.tables import write; import time; add = write.ScoreTable.add\n"
    slow += "write.ScoreTable.add = lambda *a: (add(*a), time.sleep(1))\n"
    code = f"{slow}import sys; from torchmetrics_majorscore.cli.main import main; sys.exit(main({command!r}))"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as process:
        give_up = time.monotonic() + 120
        while not (table.exists() and table.read_bytes().count(b"\n") > 2) and time.monotonic() < give_up:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    assert 1 < table.read_bytes().count(b"\n") < CLIPS // 2 + 1
    assert main(["merge", str(folder)]) == 2  # it has no mark
    score(world, folder, "0/2")
    assert merged(folder) == alone


def test_what_is_not_whole_is_named_and_not_merged(world, scores, capsys):
    (scores / "00001-of-00003.csv").unlink()
    mark = scores / "00002-of-00003.json"
    text = mark.read_text()
    mark.write_text(json.dumps({"signature": json.loads(text)["signature"]}))
    code, _, error = run(capsys, "merge", scores)
    assert (code, "got 1: without 1/3, 2/3." in error) == (2, True), error
    score(world, scores, "1/3")
    mark.write_text(text)
    table = scores / "00001-of-00003.csv"
    rows = table.read_text().splitlines(keepends=True)
    for broken, message in (
        ("".join(rows[:-1]), "Expected 2 whole rows"),
        ("".join(rows)[:-20], "Expected 2 whole rows"),
        ("".join([*rows, rows[-1].replace(rows[-1].split(",")[0], "more")]), "Expected 2 rows"),
        ("".join([*rows[:-1], rows[1]]), "Expected unique ids"),
        ("id,error\n", "Expected tables of equal columns"),
    ):
        table.write_text(broken)
        code, _, error = run(capsys, "merge", scores)
        assert (code, message in error) == (2, True), error
    assert not scores.with_suffix(".csv").exists()


@pytest.mark.parametrize(
    ("word", "value", "message"),
    [("signature", "other", "Expected shards of one signature"), ("manifest", "0", "Expected shards of one manifest")],
)
def test_shards_of_another_run_are_refused(word, value, message, scores, capsys):
    mark = scores / "00001-of-00003.json"
    mark.write_text(json.dumps(json.loads(mark.read_text()) | {word: value}))
    code, _, error = run(capsys, "merge", scores)
    assert (code, message in error, "00001-of-00003.csv" in error) == (2, True, True), error


def test_other_divisions_tables_and_folders_are_refused(world, scores, capsys, tmp_path):
    assert "Expected tables like 00003-of-00064.csv" in run(capsys, "merge", tmp_path)[2]
    assert main(["merge", str(scores), "-o", str(tmp_path / "all.csv")]) == 1
    summary = tmp_path / "all.json"
    summary.write_text(json.dumps(json.loads(summary.read_text()) | {"signature": "other"}))
    assert "was written with signature other" in run(capsys, "merge", scores, "-o", tmp_path / "all.csv")[2]
    (scores / "00000-of-00002.csv").touch()
    assert "Expected shards of one division" in run(capsys, "merge", scores)[2]
    for shard, message in (("3/3", "from 0/3 to 2/3, got 3/3"), ("1", "like 3/64, got '1'"), ("0/0", "got 0/0")):
        assert score(world, scores, shard) == 2
        assert message in capsys.readouterr().err
    assert score(world, "scores.csv", "0/3") == 2
    assert "Expected a folder for the tables of shards" in capsys.readouterr().err


def test_a_grown_manifest_scores_what_is_new(world, scores, capsys):
    """A shard whose manifest has changed is continued, and the others are refused until they are too."""
    grown = world / "grown.csv"
    manifest = (world / "manifest.csv").read_text()
    grown.write_text(f"{manifest}more,{manifest.splitlines()[1].split(',')[1]},a bell,bell\n")
    command = ["score", grown, *TINY, "-o", scores, "--shard"]
    assert run(capsys, *command, "1/3")[0] == 0
    assert "Expected shards of one manifest" in run(capsys, "merge", scores)[2]
    for index in (0, 2):
        run(capsys, *command, f"{index}/3")
    assert run(capsys, "merge", scores)[0] == 1
    assert scores.with_suffix(".csv").read_text().splitlines()[-1].startswith("more,")


def test_under_torchrun_the_rank_is_the_shard_and_has_its_own_gpu(world, alone, tmp_path, monkeypatch, capsys):
    taken = []
    score_shard = shards.score_shard

    def watched(entries, folder, shard, options, on_row):
        taken.append((str(shard), options.device))
        return score_shard(entries, folder, shard, replace(options, device="cpu"), on_row)

    monkeypatch.setattr(shards, "score_shard", watched)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in (0, 1):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        with monkeypatch.context() as patch:
            patch.setattr(torch.cuda, "is_available", lambda: True)
            main(["score", str(world / "manifest.csv"), *TINY, "-o", str(tmp_path / "scores")])
    assert taken == [("0/2", "cuda:0"), ("1/2", "cuda:1")]
    assert score(world, tmp_path / "scores", "0/2") == 2
    assert "Expected no --shard under torchrun" in capsys.readouterr().err
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    assert merged(tmp_path / "scores") == alone
    assert Shard.of_rank({}) is None
