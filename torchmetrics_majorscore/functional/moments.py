"""Mean and scatter of feature rows, of parts that are joined."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """Number of rows, their mean (D,) and their scatter about it (D, D), float64."""

    number: int
    mean: Tensor
    scatter: Tensor

    @property
    def covariance(self) -> Tensor:
        """The scatter divided by N - 1; NaN for fewer than two rows."""
        return self.scatter / (self.number - 1) if self.number > 1 else self.scatter * torch.nan


def moments(rows: Tensor) -> Moments:
    """Take the moments of rows (N, D), any floating dtype; all arithmetic is in float64.

    Example:
        >>> import torch
        >>> moments(torch.tensor([[1.0], [3.0]])).covariance
        tensor([[2.]], dtype=torch.float64)
    """
    wide = rows.double()
    mean = wide.sum(dim=0) / max(len(wide), 1)
    centred = wide - mean
    return Moments(len(rows), mean, centred.T @ centred)


def join_moments(parts: Sequence[Moments]) -> Moments:
    r"""Join the moments of parts of a set, in their order; a large common mean costs no digits.

    .. math:: S = S_a + S_b + \frac{n_a n_b}{n_a + n_b} (\mu_b - \mu_a)(\mu_b - \mu_a)^T

    Source: Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances".

    Args:
        parts: at least one, all of the same D.

    Example:
        >>> import torch
        >>> join_moments([moments(torch.tensor([[1.0]])), moments(torch.tensor([[3.0]]))]).covariance
        tensor([[2.]], dtype=torch.float64)
    """
    count, mean, scatter = parts[0]
    for part in parts[1:]:
        if not part.number:
            continue
        total = count + part.number
        apart = part.mean - mean
        scatter = scatter + part.scatter + (count * part.number / total) * torch.outer(apart, apart)
        mean = mean + apart * (part.number / total)
        count = total
    return Moments(count, mean, scatter)
