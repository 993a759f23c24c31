"""The first download, rehearsed with a hub on loopback: each situation ends well or in a line that says what to do."""

import json
import logging
import os
import re
import socket
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hub import CONTENT, PROXIES, Hub, Trouble, point_at

pytest.importorskip("huggingface_hub")

import huggingface_hub
from huggingface_hub import constants

from torchmetrics_majorscore.cli.main import main
from torchmetrics_majorscore.encoders.download import download
from torchmetrics_majorscore.encoders.public import CHECKPOINTS

PAGE = (Path(__file__).parents[1] / "docs" / "first_download.md").read_text()
SHORT = [
    (r"localhost:\d+|127\.0\.0\.1:\d+", "HOST"),
    (r"(http://HOST|https://huggingface.co)/\S*/(?=[^/\s]*)", "https://.../"),
    (r"/models--\S*/(?=[^/\s]*)", "/.../"),
    (r"\b[0-9a-f]{32,64}\b", "DIGEST"),
    (r"\. Or bring \S+ here in another way, .* or MAJORSCORE_WEIGHTS\.$", ". Or ..."),
]


@pytest.fixture(scope="module")
def server():
    hub = Hub()
    yield hub
    hub.shutdown()
    hub.server_close()


@pytest.fixture
def hub(server, monkeypatch, tmp_path):
    """Serve every public file; the cache is empty."""
    yield point_at(server, monkeypatch, tmp_path)
    huggingface_hub.close_session()


@pytest.fixture
def get(hub, capsys, tmp_path):
    """Run ``majorscore weights get``: what it printed, without this machine's names, must be a row of the page."""

    def run(name, situation, expected, outcome, folder=None):
        capsys.readouterr()
        assert main(["weights", "get", name]) == expected
        said = capsys.readouterr()
        lines = said.out.splitlines() + [line for line in said.err.splitlines() if line.startswith("majorscore: ")]
        assert len(lines) == 1, said.err
        line = lines[0].replace(folder or str(tmp_path), "HF_HOME")
        for pattern, word in SHORT:
            line = re.sub(pattern, word, line)
        row = f"| {situation} | `{line}` | {outcome} |"
        assert row in PAGE, row

    return run


def left(folder):
    """Give the files that are neither whole nor known to be unfinished."""
    whole = {".lock", ".part", ".etag", ".TAG"}
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix not in whole]


@pytest.mark.parametrize("name", ["clip", "heads", "roberta-vocab", "vggish"])
def test_a_file_is_downloaded_once_and_found_again(name, hub):
    before = logging.getLogger("huggingface_hub").level
    path = download(CHECKPOINTS[name])
    assert path.read_bytes() == CONTENT
    count = len(hub.asked)
    assert logging.getLogger("huggingface_hub").level == before
    assert download(CHECKPOINTS[name]) == path
    assert len(hub.asked) == count


def test_get_downloads_what_an_encoder_and_a_network_need(hub, capsys):
    assert main(["weights", "get", "c-mcr", "synchformer", "--json"]) == 0
    got = json.loads(capsys.readouterr().out)["files"]
    assert [Path(path).name for path in got.values()] == [
        "open_clip_model.safetensors", "630k-fusion-best.pt", "clap_clip.pt", "synchformer_state_dict.pth"
    ]  # fmt: skip
    assert all(Path(path).read_bytes() == CONTENT for path in got.values())


def test_a_download_is_said(get):
    get("clip", "first `weights get clip`", 0, "downloaded, its digest verified")
    get("vggish", "the same at a plain address", 0, "downloaded")


@pytest.mark.parametrize("name", ["clip", "vggish"])
def test_a_connection_that_ends_is_taken_up_where_it_ended(name, hub, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)  # as many are kept, which are 10 MB else
    hub.trouble[Path(CHECKPOINTS[name].filename).name] = Trouble(cut=[100_000, 50_000])
    assert download(CHECKPOINTS[name]).read_bytes() == CONTENT
    assert hub.sent == ["whole", "bytes=100000-", "bytes=150000-"]


def test_a_download_that_was_stopped_goes_on_the_next_time(hub, get, tmp_path):
    hub.trouble["vggish-10086976.pth"] = Trouble(cut=[100_000, 0, 0, 0])
    get("vggish", "the connection breaks again and again", 2, "a `.part` is kept beside, and nothing uses it")
    assert not left(tmp_path)
    get("vggish", "the same command again", 0, "continued where it had stopped")
    assert hub.sent[-1] == "bytes=100000-"
    assert download(CHECKPOINTS["vggish"]).read_bytes() == CONTENT
    assert [path.suffix for path in (tmp_path / "majorscore" / "v0.1").iterdir() if path.suffix != ".lock"] == [".pth"]


def test_another_file_at_the_address_is_not_put_behind_the_first_bytes(hub):
    hub.trouble["vggish-10086976.pth"] = Trouble(cut=[100_000, 0, 0, 0])
    with pytest.raises(FileNotFoundError, match="the connection ended after 100000 of 300000 bytes"):
        download(CHECKPOINTS["vggish"])
    checkpoint = hub.serve(replace(CHECKPOINTS["vggish"], md5="pinned"), CONTENT[::-1])
    assert download(checkpoint).read_bytes() == CONTENT[::-1]
    assert hub.sent[-1] == "bytes=100000-"  # which the server, knowing the ETag, did not follow


def test_a_process_that_ended_before_the_last_check_downloads_again(hub, tmp_path):
    hub.trouble["synchformer_state_dict.pth"] = Trouble(cut=[100_000, 0, 0, 0])
    with pytest.raises(FileNotFoundError):
        download(CHECKPOINTS["synchformer"])
    (part,) = tmp_path.rglob("*.part")
    part.write_bytes(CONTENT)
    assert download(CHECKPOINTS["synchformer"]).read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["clip", "synchformer"])
def test_what_was_damaged_in_the_cache_is_refused(name, hub):
    path = download(CHECKPOINTS[name]).resolve()
    path.write_bytes(CONTENT[::-1])
    os.utime(path, (1, 1))
    with pytest.raises(ValueError, match=r"does not have the digest of the public .* delete it if it is still there"):
        download(CHECKPOINTS[name])


def test_parts_of_files_that_are_only_alike_are_not_put_together(hub):
    hub.trouble["vggish-10086976.pth"] = Trouble(cut=[100_000], weak=True)
    assert download(CHECKPOINTS["vggish"]).read_bytes() == CONTENT
    assert hub.sent == ["whole", "whole"]


def test_a_wrong_digest_is_refused_wherever_it_comes_from(hub, get, tmp_path, monkeypatch):
    wrong = {"sha256": "0" * 64, "md5": "0" * 32}
    for file, kind in (("clip", "sha256"), ("synchformer", "md5")):
        monkeypatch.setitem(CHECKPOINTS, file, replace(CHECKPOINTS[file], **{kind: wrong[kind]}))
    get("clip", "the file is not the pinned one", 2, "refused, and deleted")
    get("synchformer", "the same at a plain address", 2, "refused, and deleted")
    assert not left(tmp_path)
    assert not list(tmp_path.rglob("*.part"))
    hub.trouble["630k-fusion-best.pt"] = Trouble(stated="2" * 64)  # which is not pinned
    with pytest.raises(ValueError, match=r"digest of the public 630k-fusion-best.pt \(sha256 2222"):
        download(CHECKPOINTS["clap"])
    hub.trouble["vocab.json"] = Trouble(stated="1" * 40)
    monkeypatch.setitem(CHECKPOINTS, "clip", CHECKPOINTS["roberta-vocab"])
    get("clip", "the file is not the one that the hub states", 2, "refused, and deleted")
    assert not left(tmp_path)


def test_answers_of_the_hub_are_understood(hub, get, tmp_path):
    gated = "nothing was downloaded"
    for status, code, situation in (
        (404, "", "the file is gone (404)"),
        (404, "RevisionNotFound", "the revision is gone (404)"),
        (401, "RepoNotFound", "the repository is private, gone or renamed (401)"),
        (403, "GatedRepo", "the repository is gated (403)"),
        (503, "", "the hub is down (503)"),
    ):
        hub.trouble["open_clip_model.safetensors"] = Trouble(status, code)
        get("clip", situation, 2, gated)
    for status, situation in (
        (404, "a plain address is gone (404)"),
        (407, "the proxy asks who you are (407)"),
        (503, "its server is down (503)"),
    ):
        hub.trouble["vggish-10086976.pth"] = Trouble(status)
        hub.asked.clear()
        get("vggish", situation, 2, gated)
        assert len(hub.asked) == (4 if status == 503 else 1)  # a refusal is final
    assert not left(tmp_path)


@pytest.mark.parametrize("name", ["clip", "vggish"])
def test_without_a_network(name, hub, get, monkeypatch):
    where = {"clip": "", "vggish": ", at a plain address"}[name]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    get(name, f"HF_HUB_OFFLINE=1, nothing in the cache{where}", 2, "nothing was tried")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    download(CHECKPOINTS[name])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    get(name, f"HF_HUB_OFFLINE=1, the file in the cache{where}", 0, "used")


@pytest.mark.parametrize("name", ["clip", "vggish"])
def test_no_connection_and_a_proxy_that_fails(name, hub, get, monkeypatch):
    where = {"clip": "", "vggish": ", at a plain address"}[name]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for variable in PROXIES:
            monkeypatch.setenv(variable, nobody)
        monkeypatch.setenv("NO_PROXY", ""), monkeypatch.setenv("no_proxy", "")
        huggingface_hub.close_session()
        get(name, f"the proxy is not there{where}", 2, "nothing was downloaded")
        for variable in PROXIES:
            monkeypatch.delenv(variable)
        huggingface_hub.close_session()
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", nobody + "/{repo_id}/{revision}{filename}")
        monkeypatch.setitem(CHECKPOINTS, name, replace(CHECKPOINTS[name], repo=nobody if name == "vggish" else "a/b"))
        get(name, f"there is no network{where}", 2, "nothing was downloaded")


def test_without_its_store_of_chunks_the_hub_gives_the_file_itself(hub, get, monkeypatch):
    hub.trouble["open_clip_model.safetensors"] = Trouble(xet=True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    get("clip", "HF_HUB_DISABLE_XET=1, a file in the hub's store of chunks", 0, "downloaded over HTTP")
    assert hub.sent == ["whole"]


@pytest.fixture
def sealed(monkeypatch):
    """Give a cache of its own, and a way to have nothing written into it any more, as root too."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        monkeypatch.setattr(constants, "HF_HOME", name)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
        user = os.geteuid()

        def seal():
            for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
                path.chmod(0o555)
            if user == 0:
                os.seteuid(65_534)
            return name

        yield seal
        os.seteuid(user)
        for path in (folder, *folder.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)


def test_a_cache_that_cannot_be_written(hub, get, sealed):
    kept = [download(CHECKPOINTS[name]) for name in ("clip", "vggish")]
    folder = sealed()
    get("clip", "a read-only cache, the file in it", 0, "used", folder=folder)
    assert [download(CHECKPOINTS[name]) for name in ("clip", "vggish")] == kept
    get("passt", "a read-only cache, the file not in it", 2, "nothing was downloaded", folder=folder)
    get("clap-audioset", "the same for a file of the hub", 2, "nothing was downloaded", folder=folder)
