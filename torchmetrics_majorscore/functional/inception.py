"""Inception score of class probabilities."""

import math
from itertools import pairwise

import torch
from torch import Tensor


def inception_score(logits: Tensor, splits: int = 10, seed: int | None = None) -> tuple[Tensor, Tensor]:
    r"""Compute the inception score of a set of class logits; higher is better.

    .. math:: \exp\left(\frac{1}{N} \sum_n KL(p_n \| \bar p)\right), \qquad \bar p = \frac{1}{N} \sum_n p_n

    in each split, and the mean over splits. Source: Salimans et al., "Improved Techniques for Training GANs", section
    4. It depends on the number of rows, on the splits and, through them, on the order of the rows: compare values of
    equal N and splits only. av-benchmark has 10 splits, and shuffles the files in the order of their names with seed
    2020. The deviation over splits is no error bar: it shrinks with the number of rows and not of samples drawn.

    Args:
        logits: (N, C), any floating dtype; all arithmetic is in float64.
        splits: consecutive parts, which differ by one row at most.
        seed: of NumPy's ``RandomState``, which shuffles the rows first; None to take them as they come.

    Returns:
        Mean and population standard deviation over the splits, float64 scalars; the mean is in [1, C]. NaN with fewer
        rows than splits, or if a number is not finite.

    Raises:
        ValueError: the logits are not (N, C), or ``splits`` is no positive int.

    Example:
        >>> import torch
        >>> inception_score(100 * torch.eye(4), splits=1)
        (tensor(4., dtype=torch.float64), tensor(0., dtype=torch.float64))
    """
    scores = split_scores(logits, splits, seed)
    return scores.mean(), scores.std(correction=0)


def split_scores(logits: Tensor, splits: int = 10, seed: int | None = None) -> Tensor:
    """Compute the score of each split, float64, (splits,), see :func:`inception_score`."""
    check_splits(splits)
    if logits.ndim != 2 or logits.shape[1] == 0:
        raise ValueError(f"Expected logits of shape (N, C), got {tuple(logits.shape)}.")
    count = len(logits)
    if count < splits or not logits.isfinite().all():
        return torch.full((splits,), math.nan, dtype=torch.float64, device=logits.device)
    if seed is not None:
        logits = logits[_permutation(count, seed).to(logits.device)]
    bounds = [split * count // splits for split in range(splits + 1)]
    return torch.stack([_score(logits[start:end]) for start, end in pairwise(bounds)])


def check_splits(splits: int) -> None:
    """Raise ValueError unless ``splits`` is a positive int."""
    if isinstance(splits, bool) or not isinstance(splits, int) or splits < 1:
        raise ValueError(f"Expected splits to be an int >= 1, got {splits!r}.")


def _score(logits: Tensor) -> Tensor:
    own = logits.double().log_softmax(dim=-1)
    mean = own.logsumexp(dim=0) - math.log(len(own))
    # A class of probability 0 everywhere is left out: 0 log 0 is 0.
    terms = torch.where(own == -torch.inf, 0.0, own.exp() * (own - mean))
    return terms.sum(dim=-1).mean().exp()


def _permutation(count: int, seed: int) -> Tensor:
    """Draw the permutation that published scores are made with; torch has no generator that draws the same."""
    from numpy.random import RandomState  # torchmetrics brings NumPy

    return torch.as_tensor(RandomState(seed).permutation(count))
