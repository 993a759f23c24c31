"""What a manifest holds: one entry per clip, and what was left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torchmetrics_majorscore.media.far import Far


@dataclass(frozen=True)
class Entry:
    """One clip of a manifest.

    Attributes:
        id: Its name, unique in the manifest.
        video: Video or image file, or None; a far one is brought to be read.
        audio: File of the sound; None is the video's own track.
        text: Caption, or None.
        start: First moment in seconds, at least 0.
        end: Moment in seconds that the clip stops before; None is the end of the files.
        label: Its class, or None; clips of one class are never mispaired with each other.
        audio_track: Which of several sound tracks to take, counted from 0; None is the one flagged as default.
        error: Why a part of it, such as a caption in another encoding, is missing; None if nothing is. What is there
            can be scored.
        files: Of other modalities, such as ``image`` or ``depth``, by their names.
    """

    id: str
    video: Path | Far | None
    audio: Path | Far | None
    text: str | None
    start: float = 0.0
    end: float | None = None
    label: str | None = None
    audio_track: int | None = None
    error: str | None = None
    files: Mapping[str, Path | Far] = field(default_factory=dict, hash=False)


class Manifest(list[Entry]):
    """The entries of a manifest, in its order.

    Attributes:
        left_out: Files of a folder that belong to no entry, as paths within it. Empty for a manifest file.
    """

    def __init__(self, entries: Iterable[Entry] = (), left_out: Iterable[str] = ()) -> None:
        super().__init__(entries)
        self.left_out = list(left_out)

    def describe_left_out(self, most: int = 20) -> str:
        """Count and name what was left out, in one line; "" if that is nothing."""
        if not self.left_out:
            return ""
        named = [*self.left_out[:most], *(["..."] if len(self.left_out) > most else [])]
        return f"{len(self.left_out)} files of the folder belong to no clip and were left out: {', '.join(named)}"


def is_legible(text: str) -> bool:
    """Tell whether a text can be written as UTF-8; bytes in another encoding were read as lone surrogates."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def legible(text: str) -> str:
    r"""Replace what cannot be written as UTF-8, by ``\xff`` for a byte in another encoding."""
    if is_legible(text):
        return text
    return "".join(
        f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else f"\\u{ord(c):04x}" if not is_legible(c) else c
        for c in text
    )
