"""Media files of a folder: which are clips, what belongs to them, and what is left out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from torchmetrics_majorscore.media.entry import Entry, is_legible, legible

# In the order in which an id list prefers them.
_VIDEO_SUFFIXES = [".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".vob"]
_VIDEO_SUFFIXES += [".flv", ".wmv", ".asf", ".ogv", ".3gp", ".mxf", ".gif"]
_IMAGE_SUFFIXES = [".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"]
_AUDIO_SUFFIXES = [".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".oga", ".mka", ".weba", ".m4b", ".wma"]
_AUDIO_SUFFIXES += [".aiff", ".aif", ".aifc", ".caf", ".au", ".w64", ".ac3", ".mp2", ".wv", ".tta"]
KINDS = {
    **dict.fromkeys(_VIDEO_SUFFIXES, "video"),
    **dict.fromkeys(_IMAGE_SUFFIXES, "image"),
    **dict.fromkeys(_AUDIO_SUFFIXES, "audio"),
    ".txt": "text",
}


NUMBERS = (".npy", ".safetensors")
"""Suffixes of files of numbers, behind the name of their modality: ``a.depth.npy``."""


def kind_of(name: str, others: Sequence[str] = ()) -> str | None:
    """Give what a file is by its name: video, image, audio, text, or one of ``others``; None for anything else."""
    path = PurePath(name)
    if path.suffix.lower() in NUMBERS:
        return next((other for other in others if path.stem.endswith(f".{other}")), None)
    return KINDS.get(path.suffix.lower())


def list_folder(folder: Path, others: Sequence[str] = ()) -> tuple[list[tuple[str, Entry]], list[str]]:
    """List the clips of a folder and of those below it, by file names alone.

    ``a.mp4`` is the clip ``a``, ``b/a.mp4`` the clip ``b/a``; ``a.wav`` is its sound and ``a.txt`` its caption.

    Args:
        folder: The folder.
        others: See :func:`.read_manifest`.

    Returns:
        Place and entry of each clip, sorted by id, and the paths within the folder of what belongs to no clip. Hidden
        files are only counted if they are media.
    """
    groups: dict[str, dict[str, list[Path]]] = {}
    left_out: list[str] = []
    for file in _walk(folder, left_out):
        kind, inside = kind_of(file.name, others), file.relative_to(folder)
        if file.name.startswith(".") or kind is None:
            left_out += [str(inside)] if kind in ("video", "image", "audio") or not file.name.startswith(".") else []
            continue
        name = inside.with_suffix("").as_posix()
        if file.suffix.lower() in NUMBERS:
            name = name.removesuffix(f".{kind}")
        groups.setdefault(name, {}).setdefault(kind, []).append(file)
    entries: list[tuple[str, Entry]] = []
    for name, files in groups.items():
        own, rest = _clips(name, files, others)
        entries += [(legible(place.relative_to(folder).as_posix()), entry) for place, entry in own]
        left_out += [str(file.relative_to(folder)) for file in rest]
    return sorted(entries, key=lambda entry: entry[1].id), sorted(legible(path) for path in left_out)


def index_videos(folder: Path) -> dict[str, list[Path]]:
    """Find the videos of a folder and of those below it by their names without suffix.

    Listing it once is faster than asking for each of many ids.

    Args:
        folder: The folder.

    Returns:
        The files of each name that come first by depth, then by suffix; more than one if that does not decide.
    """
    found: dict[str, tuple[tuple[int, int], list[Path]]] = {}
    for file in _walk(folder, []):
        suffix = file.suffix.lower()
        if suffix not in _VIDEO_SUFFIXES or file.name.startswith("."):
            continue
        rank = (len(file.relative_to(folder).parts), _VIDEO_SUFFIXES.index(suffix))
        for name in {file.stem, file.relative_to(folder).with_suffix("").as_posix()}:
            best, files = found.get(name, (rank, []))
            if rank <= best:
                found[name] = (rank, [*files, file] if rank == best else [file])
    return {name: files for name, (_, files) in found.items()}


def _walk(folder: Path, unread: list[str]) -> Iterator[Path]:
    """Yield the files of a folder and of those below it, in order; links are followed, but to no folder twice."""
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=lambda error: unread.append(str(error))):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(names))


def _clips(
    name: str, files: dict[str, list[Path]], others: Sequence[str]
) -> tuple[list[tuple[Path, Entry]], list[Path]]:
    """Make the clips of the files that share a name, and give those of no use; a picture beside a video is none."""
    own = {kind: files[kind][0] for kind in others if kind in files}
    seen = {kind: found for kind, found in files.items() if kind not in others}
    videos, images, sounds, texts = (seen.get(kind, []) for kind in ("video", "image", "audio", "text"))
    pictures = videos or images
    pairs: list[tuple[Path | None, Path | None]] = [(picture, next(iter(sounds), None)) for picture in pictures]
    pairs += [(None, sound) for sound in (sounds[1:] if pictures else sounds)]
    if not pairs and own:
        pairs = [(None, None)]
    if not pairs:
        return [], texts
    caption, error = _caption(texts[0]) if texts else (None, None)
    entries = [Entry(legible(name), video, audio, caption, error=error, files=own) for video, audio in pairs]
    places = [video or audio or next(iter(own.values()), None) for video, audio in pairs]
    unused = [*(images if videos else []), *texts[1:], *(path for kind in own for path in files[kind][1:])]
    return [(place, entry) for place, entry in zip(places, entries, strict=True) if place is not None], unused


def _caption(file: Path) -> tuple[str | None, str | None]:
    """Read a caption, or say why not."""
    try:
        text = file.read_bytes().decode("utf-8-sig", "surrogateescape").strip()
    except OSError as error:
        return None, f"Expected a caption in {file}, got {error.strerror}"
    if not is_legible(text):
        return None, f"Expected a caption in UTF-8, got {legible(text[:80])!r} in {file}; is it in another encoding?"
    return text or None, None
