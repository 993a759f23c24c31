"""Breaks in the structure of a file, where demuxers look for the next place that they understand and say nothing."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_OGG, _OGG_HEAD = b"OggS", 27
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_FLV_TAGS = (8, 9, 18)
TS_PACKETS = (188, 192, 204)  # bytes
_GIF_EXTENSION, _GIF_IMAGE, _GIF_END = 0x21, 0x2C, 0x3B


def find_break(name: str, path: Path) -> str:
    """Walk over a file of a format in which every part names its size.

    Args:
        name: ffmpeg's name of the format.
        path: The file.

    Returns:
        What is wrong inside, "" if nothing is, the file ends within a part, or the format is not one of these.
    """
    walk: dict[str, Callable[[BinaryIO, int], int | None]]
    walk = {
        "avi": _walk_riff,
        "ogg": _walk_pages,
        "asf": _walk_asf,
        "gif": _walk_gif,
        "flv": _walk_flv,
        "mpegts": _walk_ts,
    }
    if name not in walk:
        return ""
    with path.open("rb") as file:
        place = walk[name](file, path.stat().st_size)
    return "" if place is None else f"its parts do not follow each other at byte {place}"


def _walk_riff(file: BinaryIO, size: int) -> int | None:
    """Walk over the chunks of an AVI; lists that hold chunks are entered."""
    place, end = 0, size
    while place + 8 <= min(size, end):
        file.seek(place)
        head = file.read(12)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] == b"RIFF":
            end = place + 8 + length if length else size
        if not is_name(head[:4]):
            return place
        entered = head[:4] == b"RIFF" or (head[:4] == b"LIST" and head[8:12] in (b"movi", b"rec "))
        place += 12 if entered else 8 + length + length % 2
    return None


def _walk_pages(file: BinaryIO, size: int) -> int | None:
    """Walk over the pages of an Ogg, which are numbered within each stream; a file may be several in a row."""
    place = 0
    numbers: dict[bytes, int] = {}
    while place + _OGG_HEAD <= size:
        file.seek(place)
        head = file.read(_OGG_HEAD)
        if head[:4] != _OGG:
            return place
        serial, number = head[14:18], int.from_bytes(head[18:22], "little")
        first = bool(head[5] & 2)
        if not first and serial in numbers and number != numbers[serial] + 1:
            return place
        numbers[serial] = number
        segments = file.read(head[26])
        body = file.read(sum(segments))
        start, place = place, place + _OGG_HEAD + len(segments) + sum(segments)
        if place <= size and _ogg_sum(head[:22] + bytes(4) + head[26:] + segments + body) != head[22:26]:
            return start
    return None


def _ogg_sum(page: bytes) -> bytes:
    """Compute the CRC-32 of Ogg: zlib's with all bits in reverse, from 0, not inverted."""
    reverse = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return reverse.to_bytes(4, "big").translate(_REVERSED)


def _walk_asf(file: BinaryIO, size: int) -> int | None:
    """Look at the first byte of each packet of an ASF, which have one size and begin alike."""
    place = length = 0
    while place + 24 <= size:
        file.seek(place)
        head = file.read(24)
        if head[:16] == _ASF_DATA:
            break
        if place == 0:  # the header
            objects = file.read(int.from_bytes(head[16:24], "little") - 24)
            found = objects.find(_ASF_PROPERTIES)
            length = int.from_bytes(objects[found + 92 : found + 96], "little") if found >= 0 else 0
        place += max(24, int.from_bytes(head[16:24], "little"))
    file.seek(place)
    data = file.read(51)
    if len(data) < 51 or not length:
        return None
    last = min(size, place + max(50, int.from_bytes(data[16:24], "little")))
    for packet in range(place + 50, last - length + 1, length):
        file.seek(packet)
        if file.read(1) != data[50:51]:
            return packet
    return None


def _walk_flv(file: BinaryIO, size: int) -> int | None:
    """Walk over the tags of an FLV."""
    place = int.from_bytes(file.read(9)[5:], "big") + 4
    while place + 11 <= size:
        file.seek(place)
        head = file.read(4)
        length = 11 + int.from_bytes(head[1:], "big")
        file.seek(place + length)
        behind = int.from_bytes(file.read(4), "big")  # says it once more
        if head[0] & 0x1F not in _FLV_TAGS or (place + length + 4 <= size and behind not in (0, length)):
            return place
        place += length + 4
    return None


def _walk_ts(file: BinaryIO, size: int) -> int | None:
    """Look for the first byte of each packet of an MPEG-TS, which have one size."""
    head = file.read(16 * max(TS_PACKETS))
    starts = ((first, step) for step in TS_PACKETS for first in range(step) if set(head[first::step]) == {0x47})
    place, step = next(starts, (size, 1))
    file.seek(place)
    while block := file.read(step * 4096):
        wrong = block[::step].lstrip(b"\x47")
        if wrong:
            return place + step * (len(block[::step]) - len(wrong))
        place += len(block)
    return None


def _walk_gif(file: BinaryIO, size: int) -> int | None:
    """Walk over the blocks of a GIF."""
    place = 13 + _colours(file, 10)
    while place < size:
        file.seek(place)
        kind = file.read(1)[0]
        if kind == _GIF_END:
            return None
        if kind not in (_GIF_EXTENSION, _GIF_IMAGE):
            return place
        place += 2 if kind == _GIF_EXTENSION else 11 + _colours(file, place + 9)
        while place < size:
            file.seek(place)
            length = file.read(1)[0]
            place += 1 + length
            if length == 0:
                break
    return None


def _colours(file: BinaryIO, place: int) -> int:
    """Give the bytes of the colour table that a byte of flags announces."""
    file.seek(place)
    flags = (file.read(1) or b"\0")[0]
    return 3 * 2 ** (1 + (flags & 7)) if flags & 0x80 else 0


def is_name(name: bytes) -> bool:
    """Tell whether bytes can be the name of a chunk or box."""
    return name.isascii() and name.decode("ascii").isprintable()
