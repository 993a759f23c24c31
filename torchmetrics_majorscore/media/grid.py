"""Where frames of sound begin, so that decoding from the middle of a file puts every sample where it belongs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchmetrics_majorscore.media.places import Placed


class Grid:
    """The places at which frames can begin, learned from the first ones.

    In many containers a stamp is rounded to a millisecond, 48 samples. But frames of one size only begin at multiples
    of it, counted from the second frame on since codecs cut the first, and the stamp tells which.

    Args:
        placed: The first frames of the stream, without gaps.
        base: Stamp in seconds of position 0.
        pcm: Whether sound is not coded, so that frames begin wherever the container lets them.
    """

    def __init__(self, placed: Sequence[Placed], base: float, *, pcm: bool) -> None:
        self.base, self.pcm = base, pcm
        self.first = placed[1].position
        sizes = {item.frame.samples for item in placed[1:]}
        self.size = sizes.pop() if len(sizes) == 1 else None

    def locate(self, frame: Any) -> int | None:
        """Find the position of a frame in the middle.

        Args:
            frame: The frame.

        Returns:
            Position of its first sample, None if it cannot be told to the sample.
        """
        if frame.pts is None:
            return None
        tick = float(frame.time_base) * frame.sample_rate
        exact = float(frame.pts * frame.time_base) * frame.sample_rate - self.base * frame.sample_rate
        position = round(exact)
        if self.size is not None and not (self.pcm and tick <= 1):
            position = self.first + self.size * round((exact - self.first) / self.size)
            # Two stamps are rounded, the base and this one; frames that are off by more are shifted by a gap before.
            return position if abs(position - exact) <= 1.1 * tick + 1 and 4 * tick < self.size else None
        return position if tick <= 1 else None
