"""Files at plain addresses: downloaded whole or not at all, and continued where an earlier try stopped."""

import time
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, build_opener

from torchmetrics_majorscore.replace import naming

TRIES = 4
PAUSE = 1.0  # seconds before the second try, then twice as many
TIMEOUT = 30.0  # seconds without a byte
BLOCK = 1 << 20


class WrongFileError(ValueError):
    """A file has another digest than the public one."""


def fetch(address: str, path: Path, verify: Callable[[Path], None]) -> Path:
    """Download a file, once for all processes of a machine.

    Args:
        address: ``https://``; proxies are those of the environment.
        path: where it is to be; its folder is made. What has arrived lies beside it, in ``NAME.part``, until it is
            whole and verified.
        verify: raises WrongFileError for a file that is not the right one, which is then deleted.

    Returns:
        The path.

    Raises:
        OSError: it cannot be downloaded or written.
        WrongFileError: what ``verify`` raised.
    """
    from filelock import FileLock  # huggingface_hub brings it
    from huggingface_hub.constants import HF_HUB_OFFLINE
    from huggingface_hub.errors import OfflineModeIsEnabled

    if HF_HUB_OFFLINE:
        raise OfflineModeIsEnabled("HF_HUB_OFFLINE is set")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):  # the ranks of a machine start together; the first one downloads
        if not path.is_file():
            part = path.with_name(f"{path.name}.part")
            _fetch_patiently(address, part)
            try:
                verify(part)
            except WrongFileError:
                part.unlink()
                raise
            part.replace(path)
    return path


def _fetch_patiently(address: str, part: Path) -> None:
    for number in range(TRIES):
        try:
            return _continue(address, part)
        except (OSError, HTTPException) as error:
            # What the system says of a file is final, as is a refusal; what it says of a connection names no file.
            final = error.code < 500 if isinstance(error, HTTPError) else getattr(error, "filename", None)
            if final or number == TRIES - 1:
                raise
        time.sleep(PAUSE * 2**number)


def _continue(address: str, part: Path) -> None:
    """Download what a part lacks, or all of it if the server has another file by now or does not say which it has."""
    tag = part.with_suffix(".etag")
    known = tag.read_text() if tag.is_file() and part.is_file() else ""
    there = part.stat().st_size if known else 0
    request = Request(address, headers={"Range": f"bytes={there}-", "If-Range": known} if known else {})
    try:
        response = build_opener().open(request, timeout=TIMEOUT)  # with the proxies of this moment
    except HTTPError as error:
        if error.code != 416:
            raise
        tag.unlink()  # it lacks nothing, but was not verified: the process had been stopped
        return _continue(address, part)
    with response:
        if response.status != 206:
            there = 0
            etag = response.headers.get("ETag", "")
            tag.write_text("" if etag.startswith("W/") else etag)  # a weak one may stand for other bytes
        _write(response, part, there)
    tag.unlink()


def _write(response: HTTPResponse, part: Path, there: int) -> None:
    """Write what a server sends behind the first bytes of a part, with a bar where someone watches."""
    from tqdm import tqdm  # huggingface_hub brings it

    length = response.headers.get("Content-Length")
    total = None if length is None else there + int(length)
    how: dict[str, Any] = {"unit": "B", "unit_scale": True, "desc": part.stem, "disable": None}
    with part.open("ab" if there else "wb") as file, tqdm(total=total, initial=there, **how) as bar:
        while block := response.read(BLOCK):
            with naming(part):
                file.write(block)
            bar.update(len(block))
        arrived = file.tell()
    if total is not None and arrived != total:
        raise ConnectionError(f"the connection ended after {arrived} of {total} bytes")
