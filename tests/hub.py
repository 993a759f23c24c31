"""A hub on loopback: repositories as huggingface_hub asks for them, and files at plain addresses."""

import hashlib
import json
import os
import threading
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from torchmetrics_majorscore.encoders.download import ENVIRONMENT
from torchmetrics_majorscore.encoders.public import CHECKPOINTS, Checkpoint

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
CONTENT = os.urandom(300_000)


def point_at(server: "Hub", monkeypatch: pytest.MonkeyPatch, home: Path) -> "Hub":
    """Serve random bytes for every public file, and have nothing else reached; the cache is a folder."""
    import huggingface_hub
    from huggingface_hub import constants

    server.files.clear(), server.trouble.clear(), server.asked.clear(), server.sent.clear()
    for name, checkpoint in CHECKPOINTS.items():
        monkeypatch.setitem(CHECKPOINTS, name, server.serve(checkpoint, CONTENT))
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HOME", str(home))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr("time.sleep", lambda _: None)
    for name in (*PROXIES, "ALL_PROXY", "all_proxy", "HF_HUB_OFFLINE", ENVIRONMENT):
        monkeypatch.delenv(name, raising=False)
    huggingface_hub.close_session()  # which has kept proxies
    return server


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Trouble:
    """What goes wrong with a file."""

    status: int = 0
    """Answered instead of the file; 0 for none."""
    code: str = ""
    """What the hub's header X-Error-Code says."""
    cut: list[int] = field(default_factory=list)
    """After how many bytes the connection of each of the next downloads ends."""
    stated: str = ""
    """The digest that the hub states, if another than the file's."""
    weak: bool = False
    """Whether the ETag says only that files are alike."""
    xet: bool = False
    """Whether the hub names a store of chunks, which is not there."""


class Hub(ThreadingHTTPServer):
    """The server; :meth:`serve` gives the checkpoint with its address here and the digests of what is served."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.files: dict[str, tuple[bytes, str]] = {}
        self.trouble: dict[str, Trouble] = {}
        self.asked: list[str] = []
        self.sent: list[str] = []
        """Of each download the range, or ``whole``."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def serve(self, checkpoint: Checkpoint, content: bytes) -> Checkpoint:
        own = checkpoint
        if checkpoint.plain:
            own = replace(checkpoint, repo=checkpoint.repo.replace("https:/", self.url))
            path = f"{own.repo}/{own.revision}/{own.filename}".removeprefix(self.url)
        else:
            path = f"/{own.repo}/resolve/{own.revision}/{own.filename}"
        branch = len(own.revision) < 40  # whose newest commit the hub states
        self.files[path] = content, hashlib.sha1(b"a commit").hexdigest() if branch else own.revision
        digests: dict[str, Any] = {"sha256": hashlib.sha256(content).hexdigest(), "git_blob": git_blob(content)}
        digests["md5"] = hashlib.md5(content).hexdigest()
        return replace(own, **{kind: digest for kind, digest in digests.items() if getattr(own, kind)})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub, path = self.server, self.path.split("?")[0]
        hub.asked.append(f"{self.command} {path}")
        if path.startswith("/api/models/"):
            repo, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            return self._say(200, json.dumps({"id": repo, "sha": revision, "siblings": []}).encode())
        stored = path.removeprefix("/cdn")
        trouble = hub.trouble.get(stored.rsplit("/", 1)[-1], Trouble())
        if trouble.status or stored not in hub.files:
            return self._say(trouble.status or 404, b"", {"X-Error-Code": trouble.code or "EntryNotFound"})
        content, revision = hub.files[stored]
        large = stored.endswith((".pt", ".pth", ".safetensors"))
        digest = trouble.stated or (hashlib.sha256(content).hexdigest() if large else git_blob(content))
        headers = {"ETag": f'{"W/" if trouble.weak else ""}"{digest}"', "X-Repo-Commit": revision}
        if "/resolve/" in path and path == stored and large:
            # As on the hub, a large file lies on another host.
            headers |= {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{digest}"'}
            headers["Location"] = f"http://localhost:{hub.server_port}/cdn{path}"
            if trouble.xet:
                token = f"{hub.url}/nobody"
                headers |= {"X-Xet-Hash": "0" * 64, "Link": f'<{token}>; rel="xet-auth"'}
            return self._say(302, b"", headers)
        return self._send(content, digest, headers, trouble)

    def _send(self, content: bytes, digest: str, headers: dict[str, str], trouble: Trouble) -> None:
        wanted, status, start = self.headers.get("Range"), 200, 0
        if wanted and self.headers.get("If-Range", f'"{digest}"') == f'"{digest}"':
            start, status = int(wanted.removeprefix("bytes=").split("-")[0]), 206
            if start >= len(content):
                return self._say(416, b"")
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if self.command == "GET":
            self.server.sent.append(wanted or "whole")
        self._say(status, content[start:], headers, trouble.cut.pop(0) if trouble.cut else None)

    def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True
