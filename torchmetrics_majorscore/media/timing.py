"""Which picture is on screen when: of decoded pictures, or ahead of decoding from the packets' time stamps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
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


def wanted_times(fps: float, start: float, end: float | None) -> Iterator[float]:
    """Yield ``start + k / fps`` while it lies before ``end``, and ``start`` in any case."""
    for k in itertools.count():
        time = start + k / fps
        if k > 0 and end is not None and time >= end - _ROUND_OFF:
            return
        yield time


def shown_at(pictures: Iterator[Picture], times: Iterator[float], slack: float) -> Iterator[Picture]:
    """Yield the picture on screen at each wanted time, the same object again while it stays on screen."""
    time: float | None = next(times)
    on_screen: Picture | None = None
    for picture in pictures:
        while time is not None and on_screen is not None and time + slack < picture.time:
            yield on_screen
            time = next(times, None)
        if time is None:
            return
        on_screen = picture
    # The last picture is shown at its own time even if the file gives it no duration.
    while time is not None and on_screen and (time <= on_screen.time or time + slack < on_screen.until):
        yield on_screen
        time = next(times, None)


def slack_of(stream: Any) -> float:
    """Give the seconds by which a stream's stamps may be late through rounding."""
    tick = float(stream.time_base)
    return _TICKS_OF_SLACK * tick if tick <= _LARGEST_TICK else _ROUND_OFF


def plan_shown(container: InputContainer, stream: Any, times: Iterator[float], end: float | None) -> list[int]:
    """Find what is shown at each wanted time from the packets between the container's position and ``end``.

    Args:
        container: The open container; its position moves.
        stream: Its video stream, with a start time.
        times: The wanted times.
        end: Moment in seconds that the last one lies before, or None.

    Returns:
        Presentation stamp of the picture at each time, as far as the packets tell: the last picture may be shown
        longer. Empty if a packet has no stamp.
    """
    stop = None if end is None else stream.start_time + end / stream.time_base + 1
    stamps = []
    for packet in container.demux(stream):
        if packet.size == 0 or (stop is not None and packet.dts is not None and packet.dts > stop):
            break  # the stamp to decode at is at most the one to present at, so nothing before the end comes later
        if packet.pts is None:
            return []
        stamps.append(packet.pts)
    moments = [(float((stamp - stream.start_time) * stream.time_base), stamp) for stamp in sorted(stamps)]
    return [picture.frame for picture in shown_at((Picture(t, t, s) for t, s in moments), times, slack_of(stream))]
