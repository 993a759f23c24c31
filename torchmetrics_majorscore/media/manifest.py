"""Lists of clips to read: a CSV, TSV, JSONL or Parquet manifest, a list of ids with labels, or a folder.

| columns | meaning |
|---|---|
| ``id`` | name of the clip, unique; without this column the video's (else the audio's) file name without its suffix |
| ``video``, ``audio`` | files; an empty ``audio`` is the video's own track |
| ``image``, ``depth``, ... | files of other modalities, if asked for: a picture, or numbers in .npy or .safetensors |
| ``text``, ``caption`` or ``label`` | caption |
| ``class`` or ``label`` | class, for ``majorscore benchmark``; else the caption |
| ``start``, ``end`` | window in seconds |
| ``audio_track`` | which of several sound tracks, counted from 0; empty is the one flagged as default |

Other columns are ignored. Without a column that names files (VGGSound lists), each id is looked up in the folder and
those below it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.media.entry import Entry, Manifest, is_legible, legible
from torchmetrics_majorscore.media.folder import index_videos, list_folder
from torchmetrics_majorscore.media.rows import COLUMNS, read_rows
from torchmetrics_majorscore.media.url import Url, is_address, to_place

_NUMBERS = ("id", "start", "end", "audio_track")


def read_manifest(
    path: str | Path | Url,
    folder: str | Path | Url | None = None,
    *,
    audio_track: int | None = None,
    others: Sequence[str] = (),
) -> Manifest:
    """Read a manifest, in its order; the files that it names are not opened and may be missing.

    Args:
        path: A ``.parquet`` file, or a UTF-8 ``.jsonl``, ``.csv`` or ``.tsv`` file, the last two with a header, or with
            two columns id and label without one; or a folder, whose media files, also those of folders below it, are
            taken in sorted order: ``b/a.mp4`` is the clip ``b/a``, ``b/a.wav`` its sound, ``b/a.txt`` its caption. A
            file, and the files that it names, may lie at an address (``https://``, ``s3://``, ...).
        folder: What relative paths start from, and where ids are looked up; None is the manifest's own folder.
        audio_track: Which of several sound tracks to take of clips for which the manifest names none, counted from 0;
            None is the one flagged as default.
        others: Modalities beside video, audio and text whose files are asked for, such as ``("image", "depth")``. In a
            folder, ``b/a.jpg`` is then the picture of ``b/a``, and ``b/a.depth.npy`` its depth.

    Returns:
        A list with one entry per clip. An id without a file keeps the path ``<folder>/<id>.mp4``. An entry whose
        caption, label or id is not in UTF-8 has an ``error``. The list's attribute ``left_out`` names the files of a
        folder that were not taken.

    Raises:
        FileNotFoundError: If the manifest or the folder does not exist.
        ValueError: If the manifest is empty, has another extension, no usable column, or a line that cannot be used;
            one line with the file and the line.
    """
    path = to_place(path)
    base = path.parent if folder is None else to_place(folder)
    for place in (path, base):
        if isinstance(place, Path) and not (place.is_dir() if place is base else place.exists()):
            raise FileNotFoundError(f"Expected a manifest and its folder, got no {place}")
    left_out: list[str] = []
    if isinstance(path, Path) and path.is_dir():
        if folder is not None:
            raise ValueError(f"Expected a manifest file together with folder={folder}, got the folder {path}")
        entries, left_out = list_folder(path, others)
    else:
        rows = read_rows(path, others)
        named = any({"video", "audio", *others} & row.keys() for _, row in rows)
        if not named and isinstance(base, Url):
            raise ValueError(f"Expected a column video or audio, got none in {path}; {base} cannot be searched")
        lookup = index_videos(base) if not named and isinstance(base, Path) else None
        entries = [(f"line {line}", _entry(row, base, lookup, f"{path}, line {line}", others)) for line, row in rows]
    if not entries:
        others = f", and {len(left_out)} other files" if left_out else ""
        raise ValueError(f"Expected at least one clip, got none in {path}{others}")
    _check_unique(((place, entry.id) for place, entry in entries), path)
    if audio_track is None:
        return Manifest((entry for _, entry in entries), left_out)
    chosen = (replace(e, audio_track=audio_track) if e.audio_track is None else e for _, e in entries)
    return Manifest(chosen, left_out)


def read_ids(path: Path) -> list[str]:
    """Read the ids alone of a manifest that is a file, as :func:`read_manifest` gives them.

    Args:
        path: of the file.

    Returns:
        The ids, in order. Nothing else of a row is looked at.

    Raises:
        FileNotFoundError, ValueError: As :func:`read_manifest`, as far as ids are concerned.
    """
    if not path.exists():
        raise FileNotFoundError(f"Expected a manifest and its folder, got no {path}")
    ids = []
    for line, row in read_rows(path, ("image",)):
        place = f"{path}, line {line}"
        found = _text(row.get("id"), "id", place)
        if not found and "id" in row:
            raise ValueError(f"Expected an id, got an empty one in {place}")
        files = [_text(row.get(kind), kind, place) for kind in ("video", "audio", "image")]
        if not (name := found or next(filter(None, files), "")):
            raise ValueError(f"{_expected(())} in {place}")
        ids.append((f"line {line}", legible(found or Path(name).stem)))
    if not ids:
        raise ValueError(f"Expected at least one clip, got none in {path}")
    _check_unique(ids, path)
    return [clip_id for _, clip_id in ids]


def _check_unique(ids: Iterable[tuple[str, str]], path: Path | Url) -> None:
    seen: dict[str, str] = {}
    for place, clip_id in ids:
        if clip_id in seen:
            raise ValueError(f"Expected unique ids in {path}, got {clip_id!r} at {seen[clip_id]} and at {place}")
        seen[clip_id] = place


def _entry(
    row: dict[str, Any], base: Path | Url, lookup: dict[str, list[Path]] | None, place: str, others: Sequence[str]
) -> Entry:
    values = {name: _text(row.get(name), name, place) for name in (*COLUMNS, *others)}
    if "id" in row and not values["id"]:
        raise ValueError(f"Expected an id, got an empty one in {place}")
    errors = [
        f"Expected {name} in UTF-8, got {legible(values[name][:80])!r} in {place}; is it in another encoding?"
        for name in ("id", "text", "caption", "label", "class")
        if not is_legible(values[name])
    ]
    video, audio = (_file(base, values[name]) if values[name] else None for name in ("video", "audio"))
    if lookup is not None and values["id"]:
        found = lookup.get(values["id"], [])
        video = found[0] if len(found) == 1 else base / f"{values['id']}.mp4"
        if len(found) > 1:
            errors.append(f"Expected one file for {values['id']!r}, got {found[0]} and {found[1]}, in {place}")
    files = {name: _file(base, values[name]) for name in others if values[name]}
    source = video or audio or next(iter(files.values()), None)
    if source is None:
        raise ValueError(f"{_expected(others)} in {place}")
    start, end = _seconds(values["start"], "start", place) or 0.0, _seconds(values["end"], "end", place)
    if end is not None and end <= start:
        raise ValueError(f"Expected start < end, got start={start} and end={end} in {place}")
    # What cannot be read is left out, and not replaced by another column's value.
    text, label = (
        next((values[name] if is_legible(values[name]) else None for name in names if values[name]), None)
        for names in (("text", "caption", "label"), ("class", "label"))
    )
    track, error = _track(values["audio_track"], place), "; ".join(errors) or None
    return Entry(legible(values["id"] or source.stem), video, audio, text, start, end, label, track, error, files)


def _expected(others: Sequence[str]) -> str:
    if others:
        return f"Expected a file of {', '.join(('video', 'audio', *others))}, got none"
    return "Expected a video or an audio file, got neither"


def _file(base: Path | Url, name: str) -> Path | Url:
    return Url(name) if is_address(name) else base / name


def _text(value: Any, name: str, place: str) -> str:
    """Return a cell without the space around it, empty if it is missing; numbers only stand for ids and times."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (int, float)) and not isinstance(value, bool) and name in _NUMBERS:
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


def _track(text: str, place: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"Expected audio_track to count sound tracks from 0, got {text!r} in {place}")
    return int(text)
