"""Decoded sound and its places, from shortly before the first wanted moment."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.media.container import open_media
from torchmetrics_majorscore.media.decoding import Decoding
from torchmetrics_majorscore.media.grid import Grid
from torchmetrics_majorscore.media.packets import seek
from torchmetrics_majorscore.media.places import Placed, Places
from torchmetrics_majorscore.media.promise import describe_end
from torchmetrics_majorscore.media.tracks import choose_track

if TYPE_CHECKING:
    from av.container import InputContainer

_FAR = 30.0  # seconds; to decode what comes before takes less than a tenth of a second
_BEFORE = 3.0  # seconds; codecs need some packets to settle
_SETTLED = 1.5  # seconds of these that must be left
_LEARNED = 16  # frames
# Elsewhere packets are read from the beginning, but not decoded.
_SEEKABLE = ("aac", "aiff", "au", "caf", "flac", "matroska", "mov", "mp3", "ogg", "w64", "wav")


class Sound:
    """Sound of a stream from a moment on.

    Args:
        container: The open container.
        stream: Its audio stream.
        path: The file.
        wanted: Moment in seconds after which nothing matters, or None.
        remarks: If the sound ends before it and before the end that the file promises, that is added.

    Attributes:
        places: Rate, and jumps of the time stamps.
    """

    def __init__(
        self, container: InputContainer, stream: Any, path: Path, wanted: float | None, remarks: list[str]
    ) -> None:
        self.container, self.stream, self.path = container, stream, path
        self.wanted, self.remarks = wanted, remarks
        self.places = self._new_places(container)

    def decode(self, start: float) -> Iterator[Placed]:
        """Decode sound, beginning with a frame that lies before ``start`` if there is one.

        Args:
            start: Moment in seconds.

        Yields:
            Frames at their places, in order.
        """
        if start <= _FAR:
            yield from self._placed(Decoding(self.container, self.stream, self.path))
            return
        grid = self._learn()
        if grid is not None:
            with open_media(self.path) as container:
                if (yield from self._landed(container, grid, start)):
                    return
        with open_media(self.path) as container:
            self.places = self._new_places(container)
            yield from self._placed(Decoding(container, container.streams[self.stream.index], self.path))

    def _new_places(self, container: InputContainer) -> Places:
        video, _ = choose_track(container, "video")
        known = video is not None and video.start_time is not None
        # The stamps of sound in AVI are a count of its bytes.
        return Places(
            self.path,
            float(video.start_time * video.time_base) if video is not None and known else None,
            stamped=container.format.name != "avi",
        )

    def _placed(
        self, decoding: Decoding, frames: Iterator[Any] | None = None, position: int | None = None
    ) -> Iterator[Placed]:
        end = 0
        for placed in self.places.place(decoding.frames() if frames is None else frames, position):
            end = placed.until
            yield placed
        base = self.places.base or 0.0
        wanted = None if self.wanted is None else base + self.wanted
        self.remarks += describe_end(decoding, base + end / self.places.rate, wanted)

    def _learn(self) -> Grid | None:
        """Learn from the first frames where frames begin."""
        frames = Decoding(self.container, self.stream, self.path).frames()
        placed = list(islice(self.places.place(frames), _LEARNED))
        late = any(jump.time > 0 for jump in self.places.jumps)
        if len(placed) < _LEARNED or late or self.places.base is None:
            return None
        return Grid(placed, self.places.base, pcm=self.stream.codec.name.startswith("pcm"))

    def _landed(self, container: InputContainer, grid: Grid, start: float) -> Generator[Placed, None, bool]:
        """Decode from shortly before ``start``; returns False, before the first frame, if that place is not sure."""
        stream = container.streams[self.stream.index]
        moment, stamp = grid.base + start - _BEFORE, None
        if container.format.name.split(",")[0] in _SEEKABLE:
            if not seek(container, math.floor(moment * 1e6)):
                return False
        else:
            stamp = math.floor(moment / stream.time_base)
        decoding = Decoding(container, stream, self.path, rest=_BEFORE - _SETTLED)
        frames = decoding.frames(stamp=stamp)
        try:
            next(frames)  # decoders cut the first frame that they see, wherever it lies
            first = next(frames)
        except (StopIteration, ValueError):
            return False
        position = grid.locate(first)
        if position is None or position > (start - _SETTLED) * self.places.rate:
            return False
        yield from self._placed(decoding, chain([first], frames), position)
        return True
