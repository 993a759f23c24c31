"""The number of feature vectors beside a Fréchet distance, of which only those of equal numbers may be compared."""

import torch
from torch import Tensor

from torchmetrics_majorscore.metrics.frechet import FrechetDistance


class VectorCount(FrechetDistance):
    """How many vectors of generated sounds there are, each once, as a :class:`FrechetDistance` counts them.

    In a collection it shares the rows of the distance, and is logged beside it.
    """

    higher_is_better = None
    plot_lower_bound = 0.0

    def compute(self) -> Tensor:
        """Count the vectors of generated sounds that are finite; float32, as everything that is logged."""
        self._computed_rows = not self._in_forward
        _, rows = self._unique_rows()
        own = rows[rows.isfinite().all(dim=-1)]
        return torch.tensor(float((own[:, :1] == 0).sum()), dtype=torch.float32, device=self.device)
