"""Decoded pictures and their times, from the last key frame before the first wanted one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.media.container import open_media
from torchmetrics_majorscore.media.decoding import Decoding
from torchmetrics_majorscore.media.packets import seek
from torchmetrics_majorscore.media.places import TOLERANCE
from torchmetrics_majorscore.media.promise import describe_end
from torchmetrics_majorscore.media.timing import Picture, seconds_of

if TYPE_CHECKING:
    from av.container import InputContainer

# The indices of these containers name key frames. Elsewhere a seek may land behind the key frame that it should find,
# or the stamps that follow are guessed.
_INDEXED = ("asf", "flv", "matroska", "mov")


class Pictures:
    """Pictures of a stream from a moment on.

    Args:
        container: The open container.
        stream: Its video stream.
        path: The file.
        wanted: Moment in seconds from the first picture after which none matters, or None.
        remarks: If the pictures end before it and before the end that the file promises, that is added.
    """

    def __init__(
        self, container: InputContainer, stream: Any, path: Path, wanted: float | None, remarks: list[str]
    ) -> None:
        self.container, self.stream, self.path = container, stream, path
        self.wanted, self.remarks = wanted, remarks
        # AVI stores no presentation times, and what ffmpeg gives instead is wrong for B-frames: its decoding times, one
        # per frame, are exact in steps but offset by the decoder's delay, so that time 0 is known only to the first
        # frame.
        self.ordered = container.format.name == "avi"
        self.origin: int | None = None if self.ordered else stream.start_time

    def decode(self, start: float, promised: Sequence[int] = ()) -> Iterator[Picture]:
        """Decode pictures, beginning with one that is shown at or before ``start``.

        Args:
            start: Moment in seconds from the first picture of the file.
            promised: See :meth:`.Decoding.frames`.

        Yields:
            Pictures in order.
        """
        if start <= 0 or self.origin is None:
            pictures = self._timed(promised)
            for first in pictures:
                if first.time > TOLERANCE:
                    self.remarks.append(f"picture starts {first.time:.3f} s late")
                yield first
                break
            yield from pictures
            return
        stamp = math.floor(self.origin + start / self.stream.time_base)
        indexed = self.container.format.name.split(",")[0] in _INDEXED
        if indexed and seek(self.container, stamp, self.stream):
            pictures = self._timed(promised)
            try:
                landed = next(pictures, None)
            except ValueError:  # nothing from there on, as in a truncated file: what lies before says what there is
                landed = None
            if landed is not None and landed.time <= start and landed.frame.key_frame:
                yield from chain([landed], pictures)
                return
        # A seek back to the beginning may miss it, so the file is opened anew.
        with open_media(self.path) as self.container:
            self.stream = self.container.streams[self.stream.index]
            yield from self._timed(promised, stamp)

    def _timed(self, promised: Sequence[int], key: int | None = None) -> Iterator[Picture]:
        decoding = Decoding(self.container, self.stream, self.path)
        end = 0.0
        usual = float(1 / self.stream.guessed_rate) if self.stream.guessed_rate else 0.0
        stamp: int | None = None
        for frame in decoding.frames(promised, key):
            if not self.ordered:
                stamp = frame.pts
            elif frame.dts is not None or stamp is None:
                stamp = frame.dts
            else:  # flushed from the decoder at the end of the file
                stamp += frame.duration
            if stamp is None:
                raise ValueError(
                    f"Expected a container with time stamps (mp4, mkv, ...), got {self.path}, a raw stream"
                )
            self.origin = stamp if self.origin is None else self.origin
            tick = frame.time_base
            shown = seconds_of(frame.duration, tick) or usual
            time = seconds_of(stamp - self.origin, tick)
            end = max(end, time + shown)
            yield Picture(time, time + shown, frame)
        origin = float((self.origin or 0) * self.stream.time_base)
        self.remarks += describe_end(decoding, origin + end, None if self.wanted is None else origin + self.wanted)
