"""WebDataset tars: clips one after the other, read as a stream and never unpacked.

Members that share a name up to its first dot are one clip, and stand beside each other: a video or an image (``mp4``,
``jpg``, ...), a sound of its own (``wav``, ``flac``, ...), a caption (``txt``), or ``json`` with ``text``, ``caption``
or ``label``, and ``class``. Other members, and other entries of the JSON such as the window of the video that a clip
was cut from, are not looked at.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import IO, Any

from torchmetrics_majorscore.media.entry import Entry, legible
from torchmetrics_majorscore.media.far import Far
from torchmetrics_majorscore.media.folder import kind_of
from torchmetrics_majorscore.media.url import Url, to_place

SUFFIXES = (".tar", ".tar.gz", ".tgz")
_TEXTS = ("text", "caption", "label", "class")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True, eq=False)
class Held(Far):
    """A member of a tar.

    Args:
        tar: name of the tar.
        member: its name in there.
        data: its bytes.
        time: when it was changed, in seconds.
    """

    tar: str
    member: str
    data: bytes = field(repr=False)
    time: float

    def __str__(self) -> str:
        return f"{self.tar}/{self.member}"

    @property
    def name(self) -> str:
        """Its name without folders."""
        return PurePosixPath(self.member).name

    def stamp(self) -> tuple[object, ...]:
        """Give name, size and time, as of a file."""
        return self.name, len(self.data), self.time

    def bring(self, path: Path) -> None:
        """Write it to a file."""
        path.write_bytes(self.data)


def find_tars(text: str) -> list[Path | Url]:
    """Give the tars that ``shard-{00000..00063}.tar`` stands for; none if it names no tar.

    Example:
        >>> [str(place) for place in find_tars("a/{08..10}.tar")]
        ['a/08.tar', 'a/09.tar', 'a/10.tar']
    """
    if not text.lower().split("?")[0].endswith(SUFFIXES):
        return []
    if not (found := _RANGE.search(text)):
        return [to_place(text)]
    width, numbers = len(found[1]), range(int(found[1]), int(found[2]) + 1)
    parts = [f"{text[: found.start()]}{number:0{width}}{text[found.end() :]}" for number in numbers]
    return [tar for part in parts for tar in find_tars(part)]


def read_tar(place: Path | Url, audio_track: int | None = None, others: Sequence[str] = ()) -> Iterator[Entry]:
    """Read the clips of a tar; those that were read are not held.

    Args:
        place: of the tar, which may be compressed.
        audio_track: Which of several sound tracks to take, counted from 0; None is the one flagged as default.
        others: See :func:`.read_manifest`; ``key.jpg`` is then the picture of ``key``, ``key.depth.npy`` its depth.

    Yields:
        An entry for each clip, in the order of the tar. What is wrong with one stands in its ``error``.

    Raises:
        OSError, ValueError: the tar cannot be read, or not to its end; it is named.
    """
    opened: AbstractContextManager[IO[bytes]] = place.opened() if isinstance(place, Url) else place.open("rb")
    try:
        with opened as file, tarfile.open(fileobj=file, mode="r|*") as tar:
            for key, members in groupby(_members(tar, str(place), others), key=lambda member: _split(member.member)[0]):
                yield replace(_entry(key, list(members), others), audio_track=audio_track)
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"Expected a whole tar, got {place}: {error}") from error


def _members(tar: tarfile.TarFile, name: str, others: Sequence[str]) -> Iterator[Held]:
    for member in tar:
        file = tar.extractfile(member) if member.isreg() else None
        if file is not None and (kind_of(member.name, others) or member.name.lower().endswith(".json")):
            yield Held(name, member.name, file.read(), member.mtime)


def _split(member: str) -> tuple[str, str]:
    """Give the key of a member, with its folders, and its suffixes."""
    folder, slash, name = member.removeprefix("./").rpartition("/")
    stem, _, suffixes = name.partition(".")
    return f"{folder}{slash}{stem}", suffixes


def _entry(key: str, members: list[Held], others: Sequence[str]) -> Entry:
    errors: list[str] = []
    found: dict[str, Held] = {}
    for member in members:
        kind = kind_of(member.name, others) or "json"
        if kind in found:
            errors.append(f"Expected one {kind} of a clip, got {found[kind]} and {member.name}")
        found.setdefault(kind, member)
    texts = _texts(found["json"], errors) if "json" in found else {}
    if "text" in found:
        texts["text"] = _decoded(found["text"], errors).strip()
    text = next((texts[name] for name in ("text", "caption", "label") if texts.get(name)), None)
    label = next((texts[name] for name in ("class", "label") if texts.get(name)), None)
    files = {name: found.pop(name) for name in others if name in found}
    video, error = found.get("video", found.get("image")), "; ".join(errors) or None
    return Entry(legible(key), video, found.get("audio"), text, label=label, error=error, files=files)


def _texts(member: Held, errors: list[str]) -> dict[str, str]:
    try:
        row: Any = json.loads(_decoded(member, errors) or "{}")
    except json.JSONDecodeError as error:
        errors.append(f"Expected JSON, got {member}: {error}")
        return {}
    row = row if isinstance(row, dict) else {}
    return {name: row[name].strip() for name in _TEXTS if isinstance(row.get(name), str)}


def _decoded(member: Held, errors: list[str]) -> str:
    try:
        return member.data.decode("utf-8-sig")
    except UnicodeDecodeError:
        errors.append(f"Expected text in UTF-8, got {member}; is it in another encoding?")
        return ""
