"""Fréchet distance between two sets of features, each taken as a Gaussian."""

import math

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
    means, factors = [], []
    for rows in (preds, target):
        if len(rows) < 2 or not rows.isfinite().all():
            return torch.tensor(math.nan, dtype=torch.float64, device=preds.device)
        mean, centred = _centre(rows.double())
        means.append(mean)
        scaled = centred / math.sqrt(len(rows) - 1)
        factors.append(scaled if len(rows) <= rows.shape[1] else covariance_factor(scaled.T @ scaled))
    return _distance(means[0] - means[1], factors[0], factors[1])


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
    own, other, first, second = (part.double() for part in (mean, target_mean, covariance, target_covariance))
    if not all(part.isfinite().all() for part in (own, other, first, second)):
        return torch.tensor(math.nan, dtype=torch.float64, device=mean.device)
    return _distance(own - other, covariance_factor(first), covariance_factor(second))


def _centre(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Give the mean and the rows without it; a mean that is off by rounding is mended by a second one."""
    mean = rows.mean(dim=0)
    centred = rows - mean
    rest = centred.mean(dim=0)
    return mean + rest, centred - rest


def covariance_factor(covariance: Tensor) -> Tensor:
    """Give F, (R, D), of which F^T F is the covariance; directions that are nothing but rounding are left out."""
    lowest = len(covariance) * torch.finfo(torch.float64).eps * covariance.diagonal().max()
    factor, info = torch.linalg.cholesky_ex(covariance)
    if not info and (factor.diagonal() ** 2 > lowest).all():
        return factor.T
    # Cholesky needs full rank; this takes 20 times as long and does not.
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > lowest
    return values[kept].sqrt()[:, None] * vectors[:, kept].T


def _distance(difference: Tensor, own: Tensor, other: Tensor) -> Tensor:
    """Compute the distance from the means' difference and the factors of the covariances.

    The trace of the root of F^T F G^T G is the sum of the singular values of F G^T. These are exact to rounding, where
    the eigenvalues of the product lose half of the digits in the root, and are negative or complex for singular ones.
    """
    traces = own.square().sum() + other.square().sum()
    shared = torch.linalg.svdvals(own @ other.T).sum()
    return (difference.square().sum() + traces - 2 * shared).clamp(min=0.0)
