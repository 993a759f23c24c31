"""For training runs: scores without a line in the LightningModule, and a sampler that repeats nothing."""

from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.lightning.sampler import ExactDistributedSampler

if TYPE_CHECKING:
    from torchmetrics_majorscore.lightning.callback import MAJORScoreCallback

__all__ = ["ExactDistributedSampler", "MAJORScoreCallback"]


def __getattr__(name: str) -> Any:
    """Import the callback when it is asked for: the sampler also serves those who have no Lightning."""
    if name != "MAJORScoreCallback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from torchmetrics_majorscore.extras import needs_extra

    needs_extra("lightning", "lightning")
    from torchmetrics_majorscore.lightning.callback import MAJORScoreCallback

    return MAJORScoreCallback
