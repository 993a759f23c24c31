"""Packets of a stream in the order of the file, and the bytes between them that belong to none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from torchmetrics_majorscore.media.container import import_av
from torchmetrics_majorscore.media.restarts import Restarts
from torchmetrics_majorscore.media.tags import is_tag
from torchmetrics_majorscore.media.timing import seconds_of

if TYPE_CHECKING:
    from av.container import InputContainer

# Bytes that a container puts between packets (headers of pages, blocks and clusters). After damage these demuxers look
# for the next place that they understand, and say nothing. Of mp4 the index says where each packet lies.
_APART = {"matroska": 64, "flv": 64, "ogg": 600}
# Here nothing lies between packets but tags.
_ADJACENT = ("aac", "ac3", "aiff", "au", "caf", "dts", "eac3", "flac", "mp3", "tta", "w64", "wav", "wv")
_REMEMBERED = 8  # packets; after a lost page of ogg, the stamps jump a few packets later
_HELD = 2**25  # bytes


class Read(NamedTuple):
    """A packet and the bytes before it that belong to none.

    Attributes:
        packet: The packet; the last one is empty and flushes the decoder.
        skipped: Bytes that were passed over shortly before it. Only next to a hole in the time stamps are they a sign
            of damage: a container may hold more than it shows.
        lost: Bytes passed over in a format in which nothing but sound and tags has a place.
    """

    packet: Any
    skipped: int
    lost: int


class Packets:
    """Iterates over the packets of one stream from the container's position on.

    Attributes:
        until: Where in the file the last packet of any stream ended, None if the format does not tell.
        largest: Size of the largest packet of any stream.
        last: The last packet of any stream whose place is known, None if there was none.
        end: Latest time in seconds at which a packet of any stream ended, in the clock of the file.
        restarts: Whether and where stamps start anew.
        broken: Why the file could not be read further, "" if it could.
    """

    def __init__(self, container: InputContainer, stream: Any, path: Path) -> None:
        self.container, self.stream, self.path = container, stream, path
        self.format = container.format.name.split(",")[0]
        self.until: int | None = None
        self.largest = 0
        self.end = float("-inf")
        self._adjacent = self.format in _ADJACENT and len(container.streams) == 1
        self._apart = 0 if self._adjacent else _APART.get(self.format)
        self.restarts = Restarts(container)
        self.broken = ""
        self._skipped = self._lost = self._age = 0
        self.last: Any = None

    def __iter__(self) -> Iterator[Read]:
        """Yield the packets of the stream."""
        followed = self._apart is not None
        every = followed or self.restarts.possible
        for packet in self._demuxed([] if every else [self.stream]):
            if packet.size and followed:
                self._follow(packet)
            if packet.size and self.restarts.possible:
                self.restarts.mend(packet)
            if packet.stream.index == self.stream.index:  # stream_index is 0 for the packet that flushes
                yield Read(packet, self._skipped, self._lost)
                self._lost, self._age = 0, self._age + 1
                if self._age > _REMEMBERED:
                    self._skipped = 0

    def _demuxed(self, streams: list[Any]) -> Iterator[Any]:
        try:
            yield from self.container.demux(*streams)
        except import_av().FFmpegError as error:
            self.broken = error.strerror or type(error).__name__

    def from_key(self, stamp: int) -> Iterator[Read]:
        """Yield the packets from the last key frame at or before a stamp on, without a seek."""
        held: list[Read] = []
        size, packets = 0, iter(self)
        for read in packets:
            packet = read.packet
            time = packet.pts if packet.dts is None else packet.dts
            if packet.size == 0 or size > _HELD or (time is not None and time > stamp):
                yield from (*held, read)
                break
            if packet.is_keyframe and packet.pts is not None and packet.pts <= stamp:
                held, size = [], 0
            held.append(read)
            size += packet.size
        yield from packets

    def _follow(self, packet: Any) -> None:
        if packet.pts is not None:
            self.end = max(self.end, seconds_of(packet.pts + (packet.duration or 0), packet.time_base))
        self.largest = max(self.largest, packet.size)
        if packet.pos is None or packet.pos < 0:
            return
        until, self.last, last = self.until, packet, self.last
        if until is not None and last.pos == packet.pos:  # several packets of one page or block
            self.until = until + packet.size
            return
        self.until = packet.pos + packet.size
        gap = packet.pos - (packet.pos if until is None else until)
        if gap <= (self._apart or 0):
            return
        if self._adjacent:
            with self.path.open("rb") as file:
                file.seek(packet.pos - gap)
                self._lost += 0 if is_tag(file.read(gap)) else gap
        elif gap - (self._apart or 0) > last.get_sidedata("matroska_block_additional").data_size:  # transparency
            self._skipped, self._age = self._skipped + gap, 0


def seek(container: InputContainer, stamp: int, stream: Any = None) -> bool:
    """Move to a key frame at or before a moment.

    Args:
        container: The open container.
        stamp: The moment, in the time base of the stream, or in microseconds without one.
        stream: The stream whose key frame is meant; None for the one that ffmpeg takes for the main one.

    Returns:
        Whether the container could; where it landed is to be checked.
    """
    try:
        container.seek(stamp, stream=stream)
    except import_av().FFmpegError:
        return False
    return True
