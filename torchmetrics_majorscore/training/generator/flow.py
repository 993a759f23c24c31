"""Flow matching: the loss that a velocity learns by, guidance, and the way from noise to a latent.

Source: Lipman et al., "Flow Matching for Generative Modeling", ICLR 2023; logit-normal times: Esser et al., "Scaling
Rectified Flow Transformers", ICML 2024; guidance: Ho and Salimans, "Classifier-Free Diffusion Guidance", 2022.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from torchmetrics_majorscore.training.generator.network import GeneratorNetwork
from torchmetrics_majorscore.training.generator.prompt import Prompt

STEPS = 25
GUIDANCE = 4.5
Velocity = Callable[[Tensor, Tensor], Tensor]
"""Maps latents (B, L, C) and times (B,) to velocities (B, L, C)."""


def draw_times(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw logit-normal times of the flow, (count,), in (0, 1)."""
    return torch.randn(count, generator=generator).sigmoid()


def flow_loss(velocity: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    r"""Compute the loss of each sample.

    .. math:: \frac{1}{LC} \|v(x_t, t) - (x_1 - x_0)\|^2, \quad x_t = (1 - t) x_0 + t x_1

    Args:
        velocity: v.
        x0: noise, (B, L, C).
        x1: normalised latents, (B, L, C).
        t: times, (B,).

    Returns:
        (B,).
    """
    share = t[:, None, None]
    return (velocity((1 - share) * x0 + share * x1, t) - (x1 - x0)).square().mean(dim=(1, 2))


def guided(network: GeneratorNetwork, prompt: Prompt, guidance: float) -> Velocity:
    r"""Give the velocity for a prompt, away from that for none.

    .. math:: w v(x, t, c) + (1 - w) v(x, t, \emptyset)

    Args:
        network: v.
        prompt: c, of B samples.
        guidance: w; below 1 there is no guidance, and the velocity is that for the prompt.
    """
    conditions = network.condition(prompt)
    if guidance < 1.0:
        return lambda x, t: network(x, t, conditions)
    nothing = network.without(prompt)
    return lambda x, t: guidance * network(x, t, conditions) + (1.0 - guidance) * network(x, t, nothing)


def follow(velocity: Velocity, noise: Tensor, steps: int = STEPS) -> Tensor:
    """Go from noise (B, L, C) to latents, in Euler's steps of equal length from time 0 to 1."""
    times = torch.linspace(0.0, 1.0, steps + 1, device=noise.device, dtype=noise.dtype)
    x = noise
    for now, then in pairwise(times):
        x = x + (then - now) * velocity(x, now.expand(len(x)))
    return x


@torch.no_grad()
def sample(
    network: GeneratorNetwork, prompt: Prompt, noise: Tensor, *, guidance: float = GUIDANCE, steps: int = STEPS
) -> Tensor:
    """Generate latents for a prompt.

    Args:
        network: in eval mode.
        prompt: of B samples.
        noise: standard normal, (B, L, C); its length is that of the latent.
        guidance: see :func:`guided`.
        steps: of :func:`follow`.

    Returns:
        Latents as the autoencoder takes them, (B, L, C).
    """
    return network.restore(follow(guided(network, prompt, guidance), noise, steps))
