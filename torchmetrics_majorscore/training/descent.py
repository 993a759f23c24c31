"""The descent of the small recipes: AdamW under a cosine schedule that warms up over a tenth of the steps."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from tqdm import tqdm


def descend(
    parameters: Iterable[nn.Parameter],
    loss_of: Callable[[int], Tensor],
    label: str,
    *,
    steps: int,
    learning_rate: float,
    weight_decay: float,
    clip: float | None = None,
) -> None:
    """Train parameters in place.

    Args:
        parameters: what is trained.
        loss_of: makes the loss of a step.
        label: of the progress bar.
        steps: batches.
        learning_rate: highest one of the schedule.
        weight_decay: of AdamW.
        clip: largest norm of the gradients; None for any.
    """
    learned = list(parameters)
    optimizer = torch.optim.AdamW(learned, learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, steps, pct_start=0.1)
    with tqdm(range(steps), label) as bar:
        for step in bar:
            loss = loss_of(step)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if clip is not None:
                nn.utils.clip_grad_norm_(learned, clip)
            optimizer.step()
            schedule.step()
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
