"""Which packets of AV1 no later picture depends on.

Source: AV1 Bitstream and Decoding Process Specification, 5.3 to 5.9. Pictures, and whatever else one may take over
from another (probabilities, motion, segments, filters, film grain), are kept in eight places and nowhere else. A
picture that refreshes none of them can be left out without a change of a bit in any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

_SEQUENCE, _DELIMITER, _HEADER, _TILES, _METADATA, _FRAME, _PADDING = 1, 2, 3, 4, 5, 6, 15
_KNOWN = (_SEQUENCE, _DELIMITER, _HEADER, _TILES, _METADATA, _FRAME, _PADDING)
_SELECT = 2  # a choice that is left to each picture
_SWITCH = 3


@dataclass(frozen=True)
class Sequence:
    """What the headers of pictures depend on.

    Args:
        screen_content: whether tools for screen content are allowed, 0 or 1, or 2 if each picture says.
        integer_motion: the same of whole motion vectors.
        order_bits: bits of a picture's order hint.
    """

    screen_content: int
    integer_motion: int
    order_bits: int


class _Bits:
    """Reads numbers of some bits, the highest first; IndexError behind the end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def read(self, count: int = 1) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._place >> 3] >> (7 - (self._place & 7)) & 1
            self._place += 1
        return value


def is_av1(stream: Any) -> bool:
    """Tell whether a stream is AV1, by whichever decoder."""
    return bool(stream.codec_context.codec.canonical_name == "av1")


def read_sequence(extradata: bytes | None) -> Sequence | None:
    """Read the sequence header.

    Args:
        extradata: of the stream, as containers hold it (``av1C``).

    Returns:
        The header; None if there is none, or one with what is not followed here: timing for a decoder's model, numbers
        of pictures, still pictures.
    """
    try:
        data = (extradata or b"")[4:]
        for unit in _units(data):
            if unit.kind == _SEQUENCE:
                return _parse_sequence(_Bits(data[unit.start : unit.end]))
    except IndexError:
        pass
    return None


def without_shown(data: bytes, sequence: Sequence) -> bytes | None:
    """Take the picture that a packet shows out of it.

    Args:
        data: of the packet.
        sequence: its header.

    Returns:
        What is left, for a packet may bring pictures that are shown later before it; b"" if that is nothing. None if
        later pictures may refer to the picture, or the packet is not understood.
    """
    try:
        units = _units(data)
        pictures = [unit for unit in units if unit.kind in (_HEADER, _FRAME)]
        if not pictures or any(unit.kind not in _KNOWN for unit in units):
            return None
        if not _is_alone(_Bits(data[pictures[-1].start : pictures[-1].start + 16]), sequence):
            return None
    except IndexError:
        return None
    whole = len(pictures) > 1 or any(unit.kind == _SEQUENCE for unit in units)
    return data[: pictures[-1].head] if whole else b""


class _Unit(NamedTuple):
    kind: int
    head: int  # where it begins
    start: int  # where its content begins
    end: int


def _units(data: bytes) -> list[_Unit]:
    """Find the units of a packet; IndexError if it is cut off."""
    found: list[_Unit] = []
    place = 0
    while place < len(data):
        head, byte = place, data[place]
        place += 2 if byte & 4 else 1
        kind, size = byte >> 3 & 15, len(data) - place
        if byte & 2:
            size = shift = 0
            while True:
                size |= (data[place] & 127) << shift
                place, shift = place + 1, shift + 7
                if not data[place - 1] & 128:
                    break
        if place + size > len(data):
            raise IndexError
        found.append(_Unit(kind, head, place, place + size))
        place += size
    return found


def _parse_sequence(bits: _Bits) -> Sequence | None:
    bits.read(3)  # profile
    if bits.read(2):  # still picture, reduced header
        return None
    if bits.read():  # timing
        bits.read(64)
        if bits.read() or bits.read():  # equal intervals, a number of its own form; the model of a decoder
            return None
    delays = bits.read()
    for _ in range(bits.read(5) + 1):
        bits.read(12)
        if bits.read(5) > 7:
            bits.read()  # tier
        if delays and bits.read():
            bits.read(4)
    width, height = bits.read(4) + 1, bits.read(4) + 1
    bits.read(width + height)
    if bits.read():  # pictures have numbers
        return None
    bits.read(7)  # superblocks, intra filter and edges, inter-intra, masked and warped compounds, dual filter
    ordered = bits.read()
    bits.read(2 if ordered else 0)
    screen = _SELECT if bits.read() else bits.read()
    motion = _SELECT
    if screen and not bits.read():
        motion = bits.read()
    return Sequence(screen, motion, bits.read(3) + 1 if ordered else 0)


def _is_alone(bits: _Bits, sequence: Sequence) -> bool:
    """Tell from its header whether a picture is shown and refreshes nothing."""
    if bits.read():  # an earlier picture is shown
        return False
    kind, shown = bits.read(2), bits.read()
    if not shown or kind in (0, _SWITCH):  # 0 for a key frame
        return False
    resilient = bits.read()
    bits.read()  # whether probabilities are updated
    screen = bits.read() if sequence.screen_content == _SELECT else sequence.screen_content
    if screen and sequence.integer_motion == _SELECT:
        bits.read()
    bits.read()  # a size of its own
    bits.read(sequence.order_bits)
    if not (kind == 2 or resilient):  # 2 for an intra picture
        bits.read(3)  # whose probabilities it begins with
    return bits.read(8) == 0
