"""Which picture is on screen when: of decoded pictures, or ahead of decoding from the packets' time stamps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from av.container import InputContainer

# Rounding moves a stamp by half a tick; a whole tick would be wrong: at 29.97 fps a frame starts at 1.001 s.
_TICKS_OF_SLACK = 0.6
_LARGEST_TICK = 1e-3  # seconds; ticks above it are as coarse as frames, which start exactly on them
_ROUND_OFF = 1e-9  # seconds; start + k / fps in float64 may fall just short of an end that it should equal


class Picture(NamedTuple):
    """A decoded frame (or its stamp) and the time in seconds during which it is shown."""

    time: float
    until: float
    frame: Any


@dataclass(frozen=True)
class Times:
    """The wanted times ``start + k / fps`` that lie before ``end``, and ``start`` in any case."""

    fps: float
    start: float
    end: float | None

    def before(self, moment: float, slack: float = 0.0) -> int:
        """Count the wanted times ``t`` with ``t + slack < moment``, without going through them."""
        if math.isinf(moment):
            return int(1e18)
        count = max(0, math.ceil((moment - slack - self.start) * self.fps))
        while count > 0 and self.start + (count - 1) / self.fps + slack >= moment:
            count -= 1
        while self.start + count / self.fps + slack < moment:
            count += 1
        return count

    @property
    def count(self) -> int | None:
        """Their number, None if there is no end."""
        return None if self.end is None else max(1, self.before(self.end - _ROUND_OFF))


def shown_at(pictures: Iterator[Picture], times: Times, slack: float) -> Iterator[tuple[Picture, int]]:
    """Yield the pictures that are on screen at wanted times, each with the number of these times."""
    total, given = times.count, 0
    on_screen: Picture | None = None
    for picture in pictures:
        if on_screen is not None:
            until = times.before(picture.time, slack)
            until = until if total is None else min(until, total)
            if until > given:
                yield on_screen, until - given
                given = until
            if given == total:
                return
        on_screen = picture
    if on_screen is not None:
        # The last picture is shown at its own time even if the file gives it no duration.
        until = max(times.before(on_screen.until, slack), times.before(math.nextafter(on_screen.time, math.inf)))
        until = until if total is None else min(until, total)
        if until > given:
            yield on_screen, until - given


def seconds_of(stamp: int, tick: Fraction) -> float:
    """Give a time stamp in seconds: ``float(stamp * tick)``, without a fraction in between, which takes longer."""
    return stamp * tick.numerator / tick.denominator


def slack_of(stream: Any) -> float:
    """Give the seconds by which a stream's stamps may be late through rounding."""
    tick = float(stream.time_base)
    return _TICKS_OF_SLACK * tick if tick <= _LARGEST_TICK else _ROUND_OFF


def plan_shown(container: InputContainer, stream: Any, times: Times) -> list[tuple[int, int]]:
    """Find what is shown at the wanted times from the packets between the container's position and the end.

    Args:
        container: The open container; its position moves.
        stream: Its video stream, with a start time.
        times: The wanted times.

    Returns:
        Presentation stamp of each picture that is shown and the number of times, as far as the packets tell: the last
        picture may be shown longer. Empty if a packet has no stamp.
    """
    stop = None if times.end is None else stream.start_time + times.end / stream.time_base + 1
    stamps = []
    for packet in container.demux(stream):
        if packet.size == 0 or (stop is not None and packet.dts is not None and packet.dts > stop):
            break  # the stamp to decode at is at most the one to present at, so nothing before the end comes later
        if packet.pts is None:
            return []
        stamps.append(packet.pts)
    stamps.sort()
    origin, tick = stream.start_time, stream.time_base
    moments = ((seconds_of(stamp - origin, tick), stamp) for stamp in stamps)
    pictures = (Picture(time, time, stamp) for time, stamp in moments)
    return [(picture.frame, count) for picture, count in shown_at(pictures, times, slack_of(stream))]
