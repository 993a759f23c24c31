"""Fréchet distance between two sets of features, each taken as a Gaussian."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


def frechet_distance(preds: Tensor, target: Tensor) -> Tensor:
    r"""Compute the Fréchet distance between two sets of feature rows; lower is better.

    .. math:: |\mu_p - \mu_t|^2 + tr(C_p) + tr(C_t) - 2 tr((C_p C_t)^{1/2})

    Source: Dowson and Landau 1982; Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", Eq. 6. The
    covariances are divided by N - 1, as NumPy's ``cov``, and with it pytorch-fid and av-benchmark, do. It depends on
    the number of rows, so compare values of equal N only. With fewer rows than features the covariance is singular;
    the value is exact all the same.

    Args:
        preds: features of what was generated, (N, D), any floating dtype; all arithmetic is in float64.
        target: features of the reference, (M, D). The two sets need not be paired.

    Returns:
        The distance, a float64 scalar >= 0; the same in both directions. NaN if a set has fewer than two rows or
        a feature is not finite.

    Raises:
        ValueError: the shapes are not (N, D) and (M, D).

    Example:
        >>> import torch
        >>> frechet_distance(torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [7.0]]))
        tensor(18., dtype=torch.float64)
    """
    if preds.ndim != 2 or target.ndim != 2 or preds.shape[1] != target.shape[1] or preds.shape[1] == 0:
        raise ValueError(
            f"Expected features of shapes (N, D) and (M, D), got {tuple(preds.shape)} and {tuple(target.shape)}."
        )
    return distance_of_gaussians(gaussian(preds), gaussian(target))


def frechet_distance_of_moments(
    mean: Tensor, covariance: Tensor, target_mean: Tensor, target_covariance: Tensor
) -> Tensor:
    r"""Compute the Fréchet distance between two Gaussians, see :func:`frechet_distance`.

    Args:
        mean: (D,).
        covariance: (D, D), symmetric and positive semi-definite.
        target_mean: (D,).
        target_covariance: (D, D).

    Returns:
        The distance, a float64 scalar >= 0. NaN if a number is not finite.

    Raises:
        ValueError: the shapes do not fit each other.

    Example:
        >>> import torch
        >>> frechet_distance_of_moments(torch.zeros(2), torch.eye(2), torch.ones(2), 4 * torch.eye(2))
        tensor(4., dtype=torch.float64)
    """
    width = mean.shape[0] if mean.ndim == 1 else -1
    shapes = [tuple(part.shape) for part in (mean, covariance, target_mean, target_covariance)]
    if width < 1 or shapes != [(width,), (width, width)] * 2:
        raise ValueError(f"Expected two means (D,) and covariances (D, D), got {', '.join(map(str, shapes))}.")
    own, other = gaussian_of_moments(mean, covariance), gaussian_of_moments(target_mean, target_covariance)
    return distance_of_gaussians(own, other)


class Gaussian(NamedTuple):
    """Mean (D,) and a factor F (R, D) of the covariance F^T F, float64; NaN if there is none."""

    mean: Tensor
    factor: Tensor


def gaussian(rows: Tensor) -> Gaussian:
    """Take the rows (N, D) as a Gaussian; NaN for fewer than two, or if one is not finite."""
    count, width = rows.shape
    wide = rows.double()
    if count < 2 or not wide.isfinite().all():
        return _no_gaussian(width, rows.device)
    mean = wide.mean(dim=0)
    centred = wide - mean
    rest = centred.mean(dim=0)  # by which rounding has put the mean wrong
    centred = (centred - rest) / math.sqrt(count - 1)
    return Gaussian(mean + rest, centred if count <= width else _factor(centred.T @ centred))


def gaussian_of_moments(mean: Tensor, covariance: Tensor) -> Gaussian:
    """Take a mean (D,) and a covariance (D, D) as a Gaussian; NaN if a number is not finite."""
    if not (mean.isfinite().all() and covariance.isfinite().all()):
        return _no_gaussian(len(mean), mean.device)
    return Gaussian(mean.double(), _factor(covariance.double()))


def _no_gaussian(width: int, device: torch.device) -> Gaussian:
    none = torch.full((1, max(width, 1)), math.nan, dtype=torch.float64, device=device)
    return Gaussian(none[0], none)


def _factor(covariance: Tensor) -> Tensor:
    """Give F, (R, D), of which F^T F is the covariance; directions that are nothing but rounding are left out."""
    lowest = len(covariance) * torch.finfo(torch.float64).eps * covariance.diagonal().max()
    factor, info = torch.linalg.cholesky_ex(covariance)
    if not info and bool((factor.diagonal() ** 2 > lowest).all()):
        whole: Tensor = factor.T
        return whole
    # Cholesky needs full rank; this takes 20 times as long and does not.
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > lowest
    some: Tensor = values[kept].sqrt()[:, None] * vectors[:, kept].T
    return some


def distance_of_gaussians(own: Gaussian, other: Gaussian) -> Tensor:
    """Compute the Fréchet distance, float64; NaN if one of the two is.

    The trace of the root of F^T F G^T G is the sum of the singular values of F G^T. These are exact to rounding, where
    the eigenvalues of the product lose half of the digits in the root, and are negative or complex for singular ones.
    """
    difference = (own.mean - other.mean).square().sum()
    if difference.isnan():
        return difference
    traces = own.factor.square().sum() + other.factor.square().sum()
    shared = torch.linalg.svdvals(own.factor @ other.factor.T).sum()
    distance: Tensor = difference + traces - 2.0 * shared
    return distance.clamp(min=0.0)
