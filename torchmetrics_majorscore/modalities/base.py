"""What a modality is: where its files are, how a batch of it is checked, and how a sample goes to an encoder.

torch is imported where it is used: lists of clips are read with the columns that modalities name, and a command that
only looks at ids answers at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import torch


@dataclass
class Checked:
    """A batch of one modality, sample by sample.

    Args:
        samples: what the encoder is to see of each; None where a sample has no value.
        reasons: place in the batch to the reason why there is no value.
        remarks: place in the batch to what is noteworthy of a sample that is scored.
        seconds: place in the batch to how long the sample lasts, where that is known.
    """

    samples: list[Any] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)
    remarks: dict[int, str] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)

    def add(self, sample: Any, reason: str = "", remark: str = "", seconds: float | None = None) -> None:
        """Append a sample, or the reason why it has no value."""
        place = len(self.samples)
        self.samples.append(None if reason else sample)
        notes = ((self.reasons, reason), (self.remarks, "" if reason else remark))
        for kept, note in notes:
            if note:
                kept[place] = note
        if seconds is not None and not reason:
            self.seconds[place] = seconds


class Modality(ABC):
    """One modality; a fourth is one more file beside these."""

    name: ClassVar[str]
    """As encoders, pairs and ``update`` spell it."""
    columns: ClassVar[tuple[str, ...]]
    """Columns of a manifest that may hold it, preferred first."""
    suffixes: ClassVar[tuple[str, ...]] = ()
    """Of its files; none where the cell of a manifest is the value itself."""
    rate: ClassVar[str | None] = None
    """The option of a metric that says how fast a raw batch runs, for example ``"fps"``."""
    condition: ClassVar[bool] = True
    """Whether it stays the same from epoch to epoch, so that its embeddings may be remembered."""

    def check_rate(self, rate: Any) -> Any:
        """Check the metric's option :attr:`rate`, once, when the metric is made."""
        return rate

    @abstractmethod
    def check(self, batch: Any, rate: Any = None) -> Checked:
        """Check a batch as ``update`` takes it and pick what is scored of each sample.

        Args:
            batch: B samples.
            rate: what :meth:`check_rate` gave.

        Returns:
            The samples, with reasons and remarks.

        Raises:
            ValueError: a mistake in the whole batch (shape, dtype, range); one line with the likely reason.
        """

    def prepare(self, sample: Any, rate: Any, encoder: Any, device: torch.device) -> Any:
        """Bring a checked sample to a device, and to what the encoder asks for.

        Args:
            sample: out of :attr:`Checked.samples`.
            rate: what :meth:`check_rate` gave.
            encoder: see :class:`.SharedEncoder`.
            device: where it is encoded.

        Returns:
            What ``encode_<name>`` takes.
        """
        return sample

    def prepare_pieces(self, pieces: Iterable[Any], rate: Any, encoder: Any, device: torch.device) -> Iterator[Any]:
        """Bring a sample that comes in pieces to a device, as :meth:`prepare` brings it whole."""
        return (self.prepare(piece, rate, encoder, device) for piece in pieces)


def check_number(name: str, value: Any, low: float, high: float, example: str) -> float:
    """Check a rate: a number, of any numeric type, within bounds.

    Raises:
        ValueError: it is no number, or out of bounds; the line names the option.
    """
    try:
        number = float("nan") if isinstance(value, (str, bytes, bool)) else float(value)
    except (TypeError, ValueError, RuntimeError):
        number = float("nan")
    if not low <= number <= high:
        raise ValueError(f"Expected {name} as a number from {low:g} to {high:g}, e.g. {example}, got {value!r}.")
    return number
