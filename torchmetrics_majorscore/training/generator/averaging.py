"""The average of the weights over training that validation and sampling use.

Source: Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models", CVPR 2024, section 3: an
average with a power function as its profile, whose width is a share of the training so far. Reconstructing averages of
other widths afterwards, which gave post-hoc EMA its name, is left out: the one width is averaged directly.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def power_of(width: float) -> float:
    r"""Find the power of the profile with a relative width.

    .. math:: \sigma_{rel} = (\gamma + 1)^{1/2} (\gamma + 2)^{-1} (\gamma + 3)^{-1/2}

    Args:
        width: sigma_rel, in (0, 0.28].

    Returns:
        gamma.

    Raises:
        ValueError: no profile is so wide.
    """
    if not 0.0 < width <= 0.28:
        raise ValueError(f"Expected a relative width in (0, 0.28], got {width!r}.")
    low, high = 0.0, 1e6
    for _ in range(100):
        power = (low + high) / 2
        wide = math.sqrt(power + 1) / ((power + 2) * math.sqrt(power + 3))
        low, high = (power, high) if wide > width else (low, power)
    return low


class PowerAverage(nn.Module):
    r"""Averaged copies of a network's trained parameters.

    .. math:: \bar\theta_t = \beta_t \bar\theta_{t-1} + (1 - \beta_t) \theta_t, \quad \beta_t = (1 - 1/t)^{\gamma + 1}

    Args:
        network: whose parameters.
        width: see :func:`power_of`.
    """

    steps: Tensor

    def __init__(self, network: nn.Module, width: float) -> None:
        super().__init__()
        self.power = power_of(width)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        for name, value in _trained(network):
            self.register_buffer(_buffer(name), value.detach().clone())

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the parameters after a step."""
        self.steps += 1
        share = 1.0 - (1.0 - 1.0 / int(self.steps)) ** (self.power + 1)
        values = dict(_trained(network))
        torch._foreach_lerp_([self.get_buffer(_buffer(name)) for name in values], list(values.values()), share)

    @contextmanager
    def inside(self, network: nn.Module) -> Iterator[None]:
        """Let the network have the averages; then it has its own parameters again."""
        self._swap(network)
        try:
            yield
        finally:
            self._swap(network)

    @torch.no_grad()
    def _swap(self, network: nn.Module) -> None:
        for name, value in _trained(network):
            average = self.get_buffer(_buffer(name))
            own = value.clone()
            value.copy_(average)
            average.copy_(own)


def _trained(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, value) for name, value in network.named_parameters() if value.requires_grad)


def _buffer(name: str) -> str:
    return name.replace(".", "/")
