"""The mean over samples, and what becomes of those that have no value."""

import math
import warnings
from typing import get_args

from torch import Tensor

from torchmetrics_majorscore.metrics.options import NanStrategy


def check_nan_strategy(strategy: str) -> None:
    """Raise ValueError unless ``strategy`` is one of :data:`NanStrategy`."""
    if strategy not in get_args(NanStrategy):
        raise ValueError(f"Expected nan_strategy to be 'warn', 'ignore' or 'error', got {strategy!r}.")


def mean_of(scores: Tensor, name: str, strategy: NanStrategy) -> float:
    """Give the mean of the scores that are no NaN, the same bits for any order of them; NaN if none is left.

    Args:
        scores: float64, (N,), one per sample.
        name: what they are scores of, for messages.
        strategy: what to do if some are NaN: warn, ignore it, or raise.

    Raises:
        RuntimeError: with the strategy ``"error"``, a sample without a value.
    """
    values = scores[~scores.isnan()].tolist()
    say_lost(len(scores) - len(values), len(scores), name, strategy)
    # fsum rounds the exact sum once, so the order of the rows cannot change a bit.
    return math.fsum(values) / len(values) if values else math.nan


def say_lost(lost: int, count: int, name: str, strategy: NanStrategy) -> None:
    """Warn, or raise RuntimeError, that of so many samples some have no value."""
    if not lost or strategy == "ignore":
        return
    message = f"{lost} of {count} samples have no value for {name} (missing or not finite)"
    if strategy == "error":
        raise RuntimeError(f"{message}.")
    warnings.warn(f"{message} and are left out of the mean.", stacklevel=4)
