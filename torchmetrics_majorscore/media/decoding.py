"""Decoding one stream, with an eye on what is damaged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.media.av1 import is_av1, read_sequence, without_shown
from torchmetrics_majorscore.media.container import import_av
from torchmetrics_majorscore.media.packets import Packets, Read
from torchmetrics_majorscore.media.tags import behind_tags

if TYPE_CHECKING:
    from av.container import InputContainer

LOSSLESS = ("alac", "flac", "tta", "wavpack")
LARGEST_PICTURE = 2**26  # pixels, 8192 x 8192; a larger one would take more memory than a clip should
_REST = 0.1  # seconds; a sound cut out of a stream begins with the rest of a packet
_CHECKS = {"err_detect": "crccheck", "max_pixels": str(LARGEST_PICTURE)}


class Decoding:
    """Decodes one stream from the container's current position, up to the end that a truncated file has.

    What is cut off at the end is left out, and so are audio packets before the first that decodes. Damage in between is
    an error: pictures after it are predicted from what was lost and come out grey or smeared, samples after it in the
    wrong place. Signs of damage are packets that do not decode or that the demuxer marks, sums that do not fit, and
    holes in the time stamps where bytes were passed over.

    Args:
        container: The open container.
        stream: One of its audio or video streams.
        path: The file, for messages.
        rest: Seconds of sound at the beginning that need not decode.

    Attributes:
        packets: The packets that were read so far.
        damage: At the end, why the last packets did not decode; "" if all did.
        lost: The number of these packets and of those between them.
    """

    def __init__(self, container: InputContainer, stream: Any, path: Path, rest: float = _REST) -> None:
        self.stream, self.path, self.rest = stream, path, rest
        self.packets = Packets(container, stream, path)
        self.damage = ""
        self.lost = 0
        if not stream.codec_context.is_open:
            # These decoders only log a wrong sum unless told to refuse it; others would refuse what is merely unusual.
            explode = "+explode" if stream.codec.name in LOSSLESS else ""
            stream.codec_context.options = _CHECKS | {"err_detect": _CHECKS["err_detect"] + explode}
        self._sequence = read_sequence(stream.codec_context.extradata) if is_av1(stream) else None
        self._decoded = self._key = False
        self._lost_from: int | None = None
        self._expected: int | None = None

    def frames(self, promised: Sequence[int] = (), stamp: int | None = None) -> Iterator[Any]:
        """Decode.

        Args:
            promised: Presentation stamps of pictures in order. If there are any, then those between them to which no
                other picture refers are not decoded, and damage to them goes unnoticed.
            stamp: If given, packets before the last key frame at or before it are not decoded either.

        Yields:
            Frames in presentation order.

        Raises:
            ValueError: If nothing decodes or the stream is damaged; one line with the path and ffmpeg's reason.
        """
        kept, until = frozenset(promised), promised[-1] if promised else -math.inf
        for read in self.packets if stamp is None else self.packets.from_key(stamp):
            packet = read.packet
            self._check_place(read)
            if promised:
                unshown = packet.pts is not None and packet.pts < until and packet.pts not in kept
                packet = self._reduced(packet, unshown)
                if packet is None:
                    continue
            for frame in self._decode(packet):
                if frame.is_corrupt:
                    self._note("incomplete frame", packet)
                    continue
                # The last, empty packet only flushes frames from before the damage.
                if self.damage and packet.size > 0:
                    self._check_beginning(frame)
                self._decoded = True
                yield frame
            if packet.size and packet.is_corrupt:
                self._note("incomplete packet", packet)
            self.lost += bool(self.damage and packet.size)
        self.damage = self.damage or self.packets.broken
        if not self._decoded:
            raise ValueError(
                f"Expected {self.stream.type} that decodes, got {self.path}: {self.damage or 'the stream is empty'}"
            )

    def _reduced(self, packet: Any, unshown: bool) -> Any:
        """Give what is to be decoded of a packet whose picture may be unshown; None for nothing."""
        if self._sequence is None:  # other decoders look for themselves
            self.stream.codec_context.skip_frame = "NONREF" if unshown else "DEFAULT"
            return packet
        rest = without_shown(bytes(packet), self._sequence) if unshown and packet.size else None
        return packet if rest is None else _replaced(packet, rest) if rest else None

    def _decode(self, packet: Any) -> list[Any]:
        try:
            frames: list[Any] = packet.decode()
            error = ""
        except import_av().FFmpegError as raised:
            frames, error = [], raised.strerror or type(raised).__name__
        if not frames and packet.size and self.stream.type == "audio":
            data = bytes(packet)
            rest = behind_tags(data)
            if rest != data:  # a parser takes tags, and the frame behind them, for one packet
                return self._decode(_replaced(packet, rest)) if rest else []
        if not error:
            self._key = self._key or packet.is_keyframe
            return frames
        # What comes before the first key frame of a recording that was cut out of a broadcast cannot decode.
        early = self.stream.type == "video" and not (self._key or packet.is_keyframe or self._decoded)
        if not (early and self.packets.restarts.possible):
            self._note(error, packet)
        return []

    def _check_place(self, read: Read) -> None:
        """Note bytes that were passed over before a packet, if there is a hole in the time stamps there too."""
        packet = read.packet
        if read.lost and self._decoded:
            self._note(f"{read.lost} bytes are no {self.stream.type}", packet)
        stamp = packet.dts if self.stream.type == "video" else packet.pts
        if stamp is None:
            return
        if self._expected is not None and read.skipped and stamp > self._expected:
            self._note(f"{read.skipped} bytes do not belong to it", packet)
        # Half a packet more than is due, so that rounded stamps and rates that vary a little are no hole.
        self._expected = stamp + math.ceil(1.5 * packet.duration) if packet.duration else None

    def _note(self, damage: str, packet: Any) -> None:
        self.damage = self.damage or damage
        self._lost_from = packet.pts if self._lost_from is None else self._lost_from

    def _check_beginning(self, frame: Any) -> None:
        """Raise for damage before a frame, unless the sound begins with it."""
        if not self._decoded and self.stream.type == "audio":
            known = self._lost_from is not None and frame.pts is not None
            if not known or (frame.pts - self._lost_from) * frame.time_base <= self.rest:
                self.damage, self.lost, self._lost_from = "", 0, None
                return
        raise ValueError(f"Expected {self.stream.type} without damage, got {self.path}: {self.damage}")


def _replaced(packet: Any, data: bytes) -> Any:
    """Make a packet with other bytes at the same place in time."""
    made = import_av().Packet(data)
    made.pts, made.dts, made.time_base, made.stream = packet.pts, packet.dts, packet.time_base, packet.stream
    return made
