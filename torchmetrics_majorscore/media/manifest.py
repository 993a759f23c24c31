"""Lists of clips to read: a CSV, TSV or JSONL manifest, a list of ids with labels, or a folder.

| columns | meaning |
|---|---|
| ``id`` | name of the clip, unique; without this column the video's (else the audio's) file name without its suffix |
| ``video``, ``audio`` | files; an empty ``audio`` is the video's own track |
| ``text``, ``caption`` or ``label`` | caption |
| ``class`` or ``label`` | class, for ``majorscore benchmark``; else the caption |
| ``start``, ``end`` | window in seconds |

Other columns are ignored. Without ``video`` and ``audio`` columns (VGGSound lists), each id is looked up in the folder.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi")
_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac")
_COLUMNS = ("id", "video", "audio", "text", "caption", "label", "class", "start", "end")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Entry:
    """One clip of a manifest.

    Attributes:
        id: Its name, unique in the manifest.
        video: Video or image file, or None.
        audio: File of the sound; None is the video's own track.
        text: Caption, or None.
        start: First moment in seconds, at least 0.
        end: Moment in seconds that the clip stops before; None is the end of the files.
        label: Its class, or None; clips of one class are never mispaired with each other.
    """

    id: str
    video: Path | None
    audio: Path | None
    text: str | None
    start: float = 0.0
    end: float | None = None
    label: str | None = None


def read_manifest(path: str | Path, folder: str | Path | None = None) -> list[Entry]:
    """Read a manifest, in its order; the files that it names are not opened and may be missing.

    Args:
        path: A UTF-8 ``.jsonl``, ``.csv`` or ``.tsv`` file, the last two with a header, or with two columns id and
            label without one; or a folder, whose media files are taken in sorted order: ``a.mp4`` is the clip ``a``,
            ``a.wav`` its sound, ``a.txt`` its caption.
        folder: What relative paths start from, and where ids are looked up; None is the manifest's own folder.

    Returns:
        One entry per clip. An id without a file keeps the path ``<folder>/<id>.mp4``.

    Raises:
        FileNotFoundError: If the manifest or the folder does not exist.
        ValueError: If the manifest is empty, has another extension, no usable column, or a line that cannot be used;
            one line with the file and the line.
    """
    path = Path(path)
    base = path.parent if folder is None else Path(folder)
    if not path.exists() or not base.is_dir():
        raise FileNotFoundError(f"Expected a manifest and its folder, got no {path if base.is_dir() else base}")
    if path.is_dir():
        if folder is not None:
            raise ValueError(f"Expected a manifest file together with folder={folder}, got the folder {path}")
        entries = _list_folder(path)
    else:
        rows = _read_rows(path)
        lookup = _index(base) if not any({"video", "audio"} & row.keys() for _, row in rows) else None
        entries = [(f"line {line}", _entry(row, base, lookup, f"{path}, line {line}")) for line, row in rows]
    if not entries:
        raise ValueError(f"Expected at least one clip, got none in {path}")
    seen: dict[str, str] = {}
    for place, entry in entries:
        if entry.id in seen:
            raise ValueError(f"Expected unique ids in {path}, got {entry.id!r} at {seen[entry.id]} and at {place}")
        seen[entry.id] = place
    return [entry for _, entry in entries]


def _read_rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Return the known, non-empty columns of each row with its line number."""
    suffix = path.suffix.lower()
    if suffix not in (*_DELIMITERS, ".jsonl"):
        raise ValueError(f"Expected a .csv, .tsv or .jsonl manifest or a folder, got {path}")
    try:
        return list(_json_rows(path) if suffix == ".jsonl" else _table_rows(path, _DELIMITERS[suffix]))
    except UnicodeDecodeError as error:
        raise ValueError(f"Expected UTF-8 text in {path}, got {error.reason} at byte {error.start}") from error


def _table_rows(path: Path, delimiter: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        # Strict: a quotation mark out of place is an error, where csv would join the lines up to the next one.
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        header: list[str] | None = None
        try:
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if header is None:
                    header, is_header = _header(cells, path)
                    if is_header:
                        continue
                if len(cells) != len(header):
                    mistake = "is a text with the delimiter in it without quotation marks?"
                    got = f"{len(cells)} in {path}, line {reader.line_num}"
                    raise ValueError(f"Expected {len(header)} cells, got {got}; {mistake}")
                yield reader.line_num, dict(zip(header, cells, strict=True))
        except csv.Error as error:
            raise ValueError(f"Expected a table, got {path}, line {reader.line_num}: {error}") from error


def _header(cells: list[str], path: Path) -> tuple[list[str], bool]:
    """Return the names of the columns, and whether the first row gave them."""
    names = [cell.strip().lower() for cell in cells]
    if {"id", "video", "audio"} & set(names):
        return names, True
    if len(cells) == 2 and not set(_COLUMNS) & set(names):
        return ["id", "label"], False
    raise ValueError(f"Expected a column id, video or audio in {path}, line 1, got {', '.join(names)}")


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"Expected JSON, got {path}, line {number}: {error.msg}") from error
            if not isinstance(row, dict):
                raise ValueError(f"Expected a JSON object, got {type(row).__name__} in {path}, line {number}")
            yield number, row


def _index(folder: Path) -> dict[str, Path]:
    """Return the videos of a folder by id; listing it once is faster than asking for each of many ids."""
    videos = [file for file in folder.iterdir() if file.suffix in _VIDEO_SUFFIXES]
    videos.sort(key=lambda file: _VIDEO_SUFFIXES.index(file.suffix), reverse=True)
    return {file.stem: file for file in videos}


def _entry(row: dict[str, Any], base: Path, lookup: dict[str, Path] | None, place: str) -> Entry:
    values = {name: _text(row.get(name), name, place) for name in _COLUMNS}
    if "id" in row and not values["id"]:
        raise ValueError(f"Expected an id, got an empty one in {place}")
    video, audio = (base / values[name] if values[name] else None for name in ("video", "audio"))
    if lookup is not None and values["id"]:
        video = lookup.get(values["id"], base / f"{values['id']}.mp4")
    source = video or audio
    if source is None:
        raise ValueError(f"Expected a video or an audio file, got neither in {place}")
    start, end = _seconds(values["start"], "start", place) or 0.0, _seconds(values["end"], "end", place)
    if end is not None and end <= start:
        raise ValueError(f"Expected start < end, got start={start} and end={end} in {place}")
    text = values["text"] or values["caption"] or values["label"] or None
    label = values["class"] or values["label"] or None
    return Entry(values["id"] or source.stem, video, audio, text, start, end, label)


def _text(value: Any, name: str, place: str) -> str:
    """Return a cell without the space around it, empty if it is missing; numbers only stand for ids and times."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (int, float)) and not isinstance(value, bool) and name in ("id", "start", "end"):
        return str(value)
    raise ValueError(f"Expected {name} to be a string, got {value!r} in {place}")


def _seconds(text: str, name: str, place: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"Expected {name} >= 0 in seconds, got {text!r} in {place}")
    return value


def _list_folder(folder: Path) -> list[tuple[str, Entry]]:
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    pictures = [file for file in files if file.suffix.lower() in _VIDEO_SUFFIXES + _IMAGE_SUFFIXES]
    sounds = [file for file in files if file.suffix.lower() in _AUDIO_SUFFIXES]
    tracks = {file.stem: file for file in sounds}
    paired = {tracks[file.stem] for file in pictures if file.stem in tracks}
    entries = [(file.name, Entry(file.stem, file, tracks.get(file.stem), _caption(file))) for file in pictures]
    entries += [(file.name, Entry(file.stem, None, file, _caption(file))) for file in sounds if file not in paired]
    return sorted(entries, key=lambda entry: entry[1].id)


def _caption(file: Path) -> str | None:
    """Return the text of the .txt file beside a media file."""
    text = file.with_suffix(".txt")
    return (text.read_text(encoding="utf-8-sig").strip() or None) if text.is_file() else None
