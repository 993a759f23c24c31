"""Whether a file ends as its format asks: what a cut leaves behind where no header counts what should be there."""

from __future__ import annotations

from pathlib import Path

from torchmetrics_majorscore.media.packets import Packets
from torchmetrics_majorscore.media.structure import TS_PACKETS, is_name
from torchmetrics_majorscore.media.tags import is_tag

_FRAMED = ("aac", "ac3", "dts", "eac3", "mp3")  # every frame names its size, and that is all
_CHUNKED = ("wav", "aiff", "caf")
_SEGMENT = bytes.fromhex("18538067")
# Of MPEG audio by the number in the header: MPEG-2 layer 1, layers 2 and 3; MPEG-1 layers 1, 2 and 3.
_KILOBITS = {
    1: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    3: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    4: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    5: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_TAIL = 2**16  # bytes; the largest page of ogg


def find_fault(packets: Packets, path: Path) -> str:
    """Look at the end of a file.

    Args:
        packets: Its packets, read to the end.
        path: The file.

    Returns:
        What is wrong with it, "" if nothing is.
    """
    size, name, until = path.stat().st_size, packets.format, packets.until
    if name == "mpegts" and all(size % packet for packet in TS_PACKETS):
        return "incomplete packet"
    if name == "asf" and packets.container.duration is None:  # which it is if the header names another size
        return "the header does not fit the file"
    if name == "mov":
        return _check_boxes(path, size)
    if name == "ogg":
        return _check_last_page(_read(path, max(0, size - _TAIL)))
    if name == "gif":
        return "" if _read(path, max(0, size - 1)) == b";" else "the last block is missing"
    if name == "matroska":
        return _check_segment(_read(path, 0), size)
    if name == "mpeg":
        return _check_last_packet(_read(path, max(0, size - _TAIL)))
    if name in _CHUNKED and until is not None:
        return _check_chunk(_read(path, until + until % 2), size - until)
    if name in _FRAMED and until is not None:
        tail = _read(path, until)
        if name == "mp3" and packets.last.size < _frame_size(bytes(packets.last)):
            return "incomplete frame"
        return "" if not tail.strip(b"\0") or is_tag(tail) else "incomplete frame"
    return ""


def _check_boxes(path: Path, size: int) -> str:
    """Walk over the boxes of an MP4."""
    place = 0
    while place + 8 <= size:
        head = _read(path, place, 16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length == 0:  # up to the end of the file
            return ""
        if length < 8 or not is_name(head[4:8]):
            return f"what follows byte {place} is no box"
        place += length
    return "incomplete box" if place > size else ""


def _check_last_page(tail: bytes) -> str:
    page = tail[max(0, tail.rfind(b"OggS")) :]
    length = 27 + sum(page[26:27]) + sum(page[27 : 27 + sum(page[26:27])])
    return "" if page[5:6] >= b"\x04" and len(page) >= length else "the last page is missing"


def _check_segment(head: bytes, size: int) -> str:
    """Compare the size of a Matroska file with that of its one segment."""
    place = head.find(_SEGMENT)
    if place < 0 or place + 12 > len(head):
        return ""
    place += len(_SEGMENT)
    width = 9 - head[place].bit_length()
    length = int.from_bytes(head[place : place + width], "big") & (1 << 7 * width) - 1
    unknown = length == (1 << 7 * width) - 1
    return "" if unknown or place + width + length <= size else "incomplete segment"


def _check_last_packet(tail: bytes) -> str:
    """Compare the size of an MPEG-PS file with that of its last packet."""
    place = tail.rfind(b"\0\0\1")
    while place >= 0 and (tail[place + 3 : place + 4] or b"\0") < b"\xbd":  # within a picture, or no packet
        if tail[place + 3 : place + 4] == b"\xb9":  # the end of the program
            return ""
        place = tail.rfind(b"\0\0\1", 0, place)
    length = int.from_bytes(tail[place + 4 : place + 6], "big")
    return "incomplete packet" if place >= 0 and length and place + 6 + length > len(tail) else ""


def _frame_size(head: bytes) -> int:
    """Give the bytes of a frame of MPEG audio, 0 if it does not say."""
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bits, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or bits in (0, 15) or rate == 3:
        return 0
    hertz = (44_100, 48_000, 32_000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    kilobits = _KILOBITS[(layer if layer == 1 else 2) if version != 3 else 2 + layer][bits - 1]
    padding = head[2] >> 1 & 1
    if layer == 1:
        return (12_000 * kilobits // hertz + padding) * 4
    samples = 576 if layer == 3 and version != 3 else 1152
    return samples // 8 * 1000 * kilobits // hertz + padding


def _check_chunk(chunk: bytes, rest: int) -> str:
    """Check what follows the samples, usually a chunk of names, or tags."""
    fits = is_name(chunk[:4]) and min(int.from_bytes(chunk[4:8], order) for order in ("little", "big")) <= rest
    return "" if fits or not chunk.strip(b"\0") or is_tag(chunk) else "what follows its samples is no chunk"


def _read(path: Path, place: int, size: int = _TAIL) -> bytes:
    with path.open("rb") as file:
        file.seek(place)
        return file.read(size)
