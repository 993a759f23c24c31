"""How loud a sound is, as far as it makes a score doubtful: silence and clipping, of a sound that comes in pieces."""

from __future__ import annotations

import math

from torch import Tensor

STEP = 2.0**-15  # of 16-bit samples, to which CLAP rounds what it hears
LOUDEST = 1.1  # a lossy codec's own overshoot of a sound that was mastered to full scale


class Level:
    """What was seen of the samples so far."""

    def __init__(self) -> None:
        self.samples = 0
        self.peak = 0.0
        self.low, self.high = math.inf, -math.inf

    def add(self, block: Tensor) -> None:
        """Take in samples.

        Args:
            block: Consecutive samples of shape (C, S), float.
        """
        if block.shape[1] == 0:
            return
        self.samples += block.shape[1]
        low, high = block.aminmax()
        self.peak = max(self.peak, -low.item(), high.item())
        if block.shape[0] > 1:
            low, high = block.mean(dim=0).aminmax()
        self.low, self.high = min(self.low, low.item()), max(self.high, high.item())

    def remarks(self) -> list[str]:
        """Say what is noteworthy.

        Returns:
            Short remarks: one sample only; silent, where the mix of all channels stays within one step of 16 bits, as
            of zeros, a constant, or channels of opposite sign; samples beyond [-1, 1], which encoders clip.
        """
        if self.samples == 1:
            return ["sound is one sample"]
        if self.samples == 0:
            return []
        found = []
        if self.high - self.low < STEP:
            same = (
                ""
                if self.peak < STEP
                else f" (its peak of {self.peak:.3g} is constant or cancels out between channels)"
            )
            found.append(f"sound is silent{same}")
        if self.peak > LOUDEST:
            found.append(f"sound is clipped: its peak is {self.peak:.3g}, samples beyond 1 are cut")
        return found
