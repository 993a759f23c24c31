"""Time stamps that start anew within a file, as where two recordings were joined by appending."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.container import InputContainer

_DISCONTINUOUS = 0x200  # AVFMT_TS_DISCONT: MPEG-TS, MPEG-PS and others whose stamps need not go on
_BACK, _FORWARD = 0.1, 10.0  # seconds; the limits at which ffmpeg's command line takes a jump for a restart


class Restarts:
    """Shifts the stamps after a restart so that time goes on, for all streams alike.

    Attributes:
        possible: Whether the container's stamps may start anew.
    """

    def __init__(self, container: InputContainer) -> None:
        self.possible = bool(container.format.flags & _DISCONTINUOUS)
        self._shift = 0.0
        self._due: dict[int, float] = {}

    def mend(self, packet: Any) -> None:
        """Shift the stamps of the next packet of the file.

        Args:
            packet: A packet of sound or pictures; its stamps are changed.
        """
        if packet.stream.type not in ("audio", "video"):
            return
        if packet.dts is not None:
            time = float(packet.dts * packet.time_base) + self._shift
            due = self._due.get(packet.stream_index, time)
            if time < due - _BACK or time > due + _FORWARD:
                self._shift += due - time
                time = due
            self._due[packet.stream_index] = time + float((packet.duration or 0) * packet.time_base)
        if self._shift:
            ticks = round(self._shift / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
