"""Decoded samples, each at its place in time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmetrics_majorscore.media.timing import seconds_of

TOLERANCE = 0.1  # seconds by which stamps and the count of samples may differ, as in ffmpeg's aresample=async=1
_LONGEST_JUMP = 3600  # seconds of zeros, or of dropped samples, that a jump of the stamps may cost
_RATES = (1_000, 1_000_000)  # Hz; what claims another rate is no sound


class Placed(NamedTuple):
    """A decoded frame of sound at its place.

    Attributes:
        position: Number of its first sample that counts, from time 0 on; it may be negative.
        skip: Samples before that one, which overlap with what came earlier.
        frame: The frame.
    """

    position: int
    skip: int
    frame: Any

    @property
    def until(self) -> int:
        """Position after its last sample."""
        return int(self.position + self.frame.samples - self.skip)


class Jump(NamedTuple):
    """Where time stamps leave the count of samples: seconds at which, and by how many, below 0 for an overlap."""

    time: float
    seconds: float


class Places:
    """Gives decoded frames their places: one after the other, unless their time stamps say something else.

    Args:
        path: The file, for messages.
        base: Time stamp in seconds that position 0 stands for, None for that of the first frame.
        stamped: Whether the container has stamps that are more than a count of what it holds.

    Attributes:
        rate: Sample rate in Hz, once a frame came.
        jumps: What was filled with zeros or dropped so far.
    """

    def __init__(self, path: Path, base: float | None, *, stamped: bool) -> None:
        self.path, self.base, self.stamped = path, base, stamped
        self.rate = 0
        self.jumps: list[Jump] = []
        self._form: tuple[int, int] | None = None

    def place(self, frames: Iterator[Any], position: int | None = None) -> Iterator[Placed]:
        """Place frames.

        Args:
            frames: Consecutive frames.
            position: Where the first one belongs; None to take its stamp, if that is far from the base.

        Yields:
            Frames in order, without overlap.

        Raises:
            ValueError: If rate or channels change, the rate is none of sound, or stamps jump by more than an hour.
        """
        for frame in frames:
            self._check_form(frame)
            stamp = None if frame.pts is None or not self.stamped else seconds_of(frame.pts, frame.time_base)
            if position is None:
                position = self._begin(stamp)
            due = position if stamp is None or self.base is None else round((stamp - self.base) * self.rate)
            if abs(due - position) <= TOLERANCE * self.rate:
                due = position
            if due != position:
                self._note(position, due, frame)
            placed = Placed(max(due, position), max(0, position - due), frame)
            if placed.skip < frame.samples:
                yield placed
                position = placed.until

    def _begin(self, stamp: float | None) -> int:
        """Set the base, and give the position of the first sample: 0 unless it is far from the base."""
        if stamp is None:
            self.base = None
            return 0
        if self.base is None or abs(stamp - self.base) <= TOLERANCE:
            self.base = stamp
        if stamp > self.base:
            self.jumps.append(Jump(0.0, stamp - self.base))
        return round((stamp - self.base) * self.rate)

    def _check_form(self, frame: Any) -> None:
        form = (frame.sample_rate, frame.layout.nb_channels)
        if self._form is None:
            self._form, self.rate = form, frame.sample_rate
            if not _RATES[0] <= self.rate <= _RATES[1]:
                raise ValueError(f"Expected sound at {_RATES[0]} to {_RATES[1]} Hz, got {self.rate} Hz in {self.path}")
        if form != self._form:
            raise ValueError(
                f"Expected one sample rate and channel count in {self.path}, got {self._form}, then {form}"
            )

    def _note(self, position: int, due: int, frame: Any) -> None:
        if abs(due - position) > _LONGEST_JUMP * self.rate:
            jump = (due - position) / self.rate
            raise ValueError(
                f"Expected time stamps without jumps, got {jump:.0f} s at {position / self.rate:.3f} s in {self.path}"
            )
        size = due - position if due > position else -min(frame.samples, position - due)
        self.jumps.append(Jump(position / self.rate, size / self.rate))


def to_float(frame: Any) -> NDArray[np.float32]:
    """Convert a decoded frame to samples (C, S), float32; integers of b bits are divided by 2^(b-1)."""
    samples: NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    values: NDArray[np.float32] = samples.astype(np.float32, copy=False)
    if samples.dtype.kind != "f":
        if samples.dtype == np.uint8:
            values -= 128
        values /= 2.0 ** (8 * samples.dtype.itemsize - 1)
    return values
