"""Clips in WebDataset tars and at addresses: the rows of files, from a server on this machine too."""

import csv
import functools
import http.server
import io
import json
import tarfile
import threading
from pathlib import Path

import pytest

for package in ("av", "ftfy", "fsspec", "aiohttp"):
    pytest.importorskip(package)

from commands import run  # noqa: E402

from torchmetrics_majorscore.media import read_manifest  # noqa: E402
from torchmetrics_majorscore.media.tars import find_tars, read_tar  # noqa: E402
from torchmetrics_majorscore.media.url import Url  # noqa: E402
from torchmetrics_majorscore.scoring import read as reading  # noqa: E402
from torchmetrics_majorscore.training.world.view import write_world  # noqa: E402

pytestmark = pytest.mark.usefixtures("in_folder")
TINY = ("--encoder", "c-mcr-tiny", "--batch-size", "2")
CLIPS = 5


def add(tar, name, data, time=1):
    info = tarfile.TarInfo(name)
    info.size, info.mtime = len(data), time
    tar.addfile(info, io.BytesIO(data))


def write_tar(path, samples):
    """Write samples: key to suffix to bytes."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for key, members in samples.items():
            for suffix, data in members.items():
                add(tar, f"{key}.{suffix}", data)
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder of clips, their manifest, and three tars of the same clips."""
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, CLIPS, 0)
    with (folder / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    clips = {row["id"]: {"mp4": (folder / row["video"]).read_bytes(), "txt": row["text"].encode()} for row in rows}
    first = next(iter(clips.values()))
    first["json"] = json.dumps({"caption": first.pop("txt").decode(), "start": 3.5, "status": "success"}).encode()
    ids = list(clips)
    for number, own in enumerate((ids[:2], ids[2:3], ids[3:])):
        write_tar(folder / f"shard-{number:02}.tar", {clip: clips[clip] for clip in own})
    return folder


@pytest.fixture(scope="module")
def server(world):
    """Serve the folder at an address of this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=world)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def values(path):
    with Path(path).open(newline="") as file:
        return [{name: cell for name, cell in row.items() if name != "source"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def files(world, tmp_path_factory):
    """The rows of the clips as files."""
    from torchmetrics_majorscore.cli.main import main

    output = tmp_path_factory.mktemp("files") / "s.csv"
    assert main(["score", str(world / "manifest.csv"), *TINY, "-o", str(output)]) == 0
    return values(output)


def test_tars_give_the_rows_of_files_in_one_process_or_in_shards(world, files, server, tmp_path, capsys):
    assert run(capsys, "score", f"{world}/shard-{{00..02}}.tar", *TINY, "-o", "s.csv")[0] == 0
    assert values("s.csv") == files
    for index in range(2):
        tars = [f"{server}/shard-{number:02}.tar" for number in range(3)]
        assert run(capsys, "score", *tars, *TINY, "--shard", f"{index}/2", "-o", "shards")[0] == 0
    assert run(capsys, "merge", "shards")[0] == 0
    for name in ("csv", "json"):
        assert Path(f"shards.{name}").read_bytes() == Path(f"s.{name}").read_bytes()


def test_a_manifest_at_an_address_gives_the_rows_of_files(files, server, capsys):
    assert run(capsys, "score", f"{server}/manifest.csv", *TINY, "-o", "s.csv")[0] == 0
    assert values("s.csv") == files


def test_what_is_not_there_is_the_reason_of_its_clip_with_its_address(world, files, server, tmp_path, capsys):
    with (world / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    lines = [f'{files[0]["id"]},{server}/{rows[0]["video"]},"{rows[0]["text"]}"', f"gone,{server}/gone.mp4,a bell"]
    lines += [f"text,{server}/manifest.csv,a bell"]
    Path("m.csv").write_text("\n".join(["id,video,text", *lines]) + "\n")
    assert run(capsys, "score", "m.csv", *TINY, "-o", "s.csv")[0] == 1
    first, gone, text = values("s.csv")
    assert first == files[0]
    assert gone["error"] == f"Expected a file at {server}/gone.mp4, got none"
    assert f"got {server}/manifest.csv" in text["error"]
    assert "/majorscore-" not in text["error"]


def test_finished_clips_are_not_read_again_and_changed_ones_are(world, tmp_path, monkeypatch, capsys):
    ball, disc = (Path(__file__).parents[1] / f"docs/clips/{name}.mp4" for name in ("ball", "disc"))
    samples = {name: {"mp4": ball.read_bytes(), "txt": b"a red ball"} for name in "abc"}
    command = ("score", write_tar(tmp_path / "x.tar", samples), *TINY, "-o", "s.csv")
    assert run(capsys, *command)[0] == 0
    whole = Path("s.csv").read_bytes()
    read = []
    opened = reading.open_clip
    monkeypatch.setattr(reading, "open_clip", lambda *a, **k: (read.append(1), opened(*a, **k))[1])
    Path("s.csv").write_bytes(b"".join(whole.splitlines(keepends=True)[:3]) + b"c,0.1")
    assert run(capsys, *command)[0] == 0
    assert (len(read), Path("s.csv").read_bytes()) == (2, whole)  # picture and sound of one clip
    write_tar(tmp_path / "x.tar", samples | {"a": {"mp4": disc.read_bytes(), "txt": b"a red ball"}})
    assert run(capsys, *command)[0] == 0
    assert len(read) == 4
    assert [row["id"] for row in values("s.csv")] == ["a", "b", "c"]
    assert json.loads(Path("s.json").read_text())["changed"] == 1
    write_tar(tmp_path / "x.tar", {"a": samples["a"]})
    code, _, error = run(capsys, *command)
    assert (code, "holds 2 ids that are not to be scored, e.g. 'b'" in error) == (2, True), error


def test_samples_of_a_tar(tmp_path):
    samples = {
        "./b/1.x": {"jpg": b"picture", "flac": b"sound", "cls": b"3", "json": b'{"label": "dog", "text": 7}'},
        "2": {"mp4": b"1", "left.mp4": b"2", "txt": b"\xff"},
        "3": {"json": b"{"},
    }
    one, two, three = read_tar(write_tar(tmp_path / "t.tar.gz", samples), audio_track=1)
    assert (one.id, one.video.name, one.audio.data, one.text, one.label) == ("b/1", "1.x.jpg", b"sound", "dog", "dog")
    assert (one.error, one.audio_track) == (None, 1)
    assert "Expected one video of a clip" in two.error
    assert "Expected text in UTF-8" in two.error
    assert (two.video.data, three.video, three.audio) == (b"1", None, None)
    assert "Expected JSON, got" in three.error


def test_a_tar_that_is_cut_off_or_has_a_key_twice_ends_the_command_with_its_name(world, tmp_path, capsys):
    data = (world / "shard-00.tar").read_bytes()
    Path("cut.tar").write_bytes(data[: len(data) // 2])
    code, _, error = run(capsys, "score", "cut.tar", *TINY, "-o", "s.csv")
    assert (code, "Expected a whole tar, got cut.tar" in error) == (2, True), error
    code, _, error = run(capsys, "score", world / "shard-00.tar", world / "shard-00.tar", *TINY, "-o", "t.csv")
    assert (code, "Expected unique ids" in error) == (2, True), error
    code, _, error = run(capsys, "score", world / "shard-00.tar", world / "manifest.csv", *TINY, "-o", "u.csv")
    assert (code, "Expected one manifest, or tars alone" in error) == (2, True), error


def test_names_and_addresses(tmp_path, server):
    assert [str(tar) for tar in find_tars("s3://b/{1..2}/x-{09..10}.tar")] == [
        *("s3://b/1/x-09.tar", "s3://b/1/x-10.tar", "s3://b/2/x-09.tar", "s3://b/2/x-10.tar")
    ]
    assert find_tars("clips.csv") == []
    assert Url("https://h/a/x.mp4?token=/b").name == "x.mp4"
    with pytest.raises(FileNotFoundError, match="Expected a file at http"):
        read_manifest(f"{server}/gone.csv")
    with pytest.raises(ModuleNotFoundError, match=r"Expected what fsspec needs for gs://b/m\.csv"):
        read_manifest("gs://b/m.csv")
    with pytest.raises(ValueError, match=r"Expected nothere://b/m\.csv to be read"):
        read_manifest("nothere://b/m.csv")
    Path("m.csv").write_text("id,label\na,dog\n")
    with pytest.raises(ValueError, match="cannot be searched"):
        read_manifest("m.csv", server)
