"""Class-aligned tuples: a class is drawn, and of it one item of each modality; the items need not belong together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchmetrics_majorscore.training.fusion.options import Classes


@dataclass(frozen=True)
class Items:
    """Embeddings of the frozen backbones, with the class of each.

    Args:
        embeddings: modality to float32 (N_m, W_m).
        classes: modality to int64 (N_m,), numbers into ``names``.
        names: of the classes.

    Raises:
        ValueError: one class only, or a class without an item of a modality.
    """

    embeddings: Mapping[str, Tensor]
    classes: Mapping[str, Tensor]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            raise ValueError(f"Expected at least two classes, got {len(self.names)}: nothing to tell apart.")
        for modality, rows in self.embeddings.items():
            if len(self.classes[modality]) != len(rows):
                raise ValueError(f"Expected a class for each {modality}, got {len(self.classes[modality])}.")
            counts = self.classes[modality].bincount(minlength=len(self.names))
            if (counts == 0).any():
                lost = [self.names[place] for place in (counts == 0).nonzero().flatten().tolist()]
                raise ValueError(
                    f"Expected an item of every modality in each class, got no {modality} of {lost[0]!r}"
                    f"{f' and {len(lost) - 1} other classes' if lost[1:] else ''}."
                )

    @property
    def widths(self) -> dict[str, int]:
        """Width of each modality's embeddings."""
        return {name: rows.shape[1] for name, rows in self.embeddings.items()}

    def of(self, modalities: Sequence[str]) -> "Items":
        """Leave out all other modalities."""
        rows, classes = ({name: part[name] for name in modalities} for part in (self.embeddings, self.classes))
        return Items(rows, classes, self.names)


class TupleSampler:
    """Draws rows of items. The items of a class are taken in a random order that begins again at its end.

    So each item comes once before one comes twice, and a modality with few items of a class is cycled.

    Args:
        classes: modality to the class of each of its items, int64 (N_m,).
        count: of classes.
        batch_size: tuples.
        mode: see :class:`.FusionOptions`.
        seed: of all draws.

    Raises:
        ValueError: more tuples than classes with ``"unique"``.
    """

    def __init__(self, classes: Mapping[str, Tensor], count: int, batch_size: int, mode: Classes, seed: int) -> None:
        if mode == "unique" and batch_size > count:
            raise ValueError(
                f"Expected batch_size <= {count}, the number of classes, with classes: unique, got {batch_size}."
            )
        self.count, self.batch_size, self.mode = count, batch_size, mode
        self.generator = torch.Generator().manual_seed(seed)
        self.orders, self.starts, self.sizes, self.drawn = {}, {}, {}, {}
        for name, own in classes.items():
            mixed = torch.randperm(len(own), generator=self.generator)
            self.orders[name] = mixed[own[mixed].argsort(stable=True)]
            self.sizes[name] = own.bincount(minlength=count)
            self.starts[name] = self.sizes[name].cumsum(0) - self.sizes[name]
            self.drawn[name] = torch.zeros(count, dtype=torch.int64)

    def draw(self, modalities: Iterable[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """Draw a batch.

        Args:
            modalities: those whose items are needed.

        Returns:
            Classes, int64 (B,), and of each modality the rows of its items, int64 (B,).
        """
        chosen = self._classes()
        before = torch.tril(chosen[:, None] == chosen, diagonal=-1).sum(dim=-1)  # of the same class in this batch
        rows = {}
        for name in modalities:
            place = (self.drawn[name][chosen] + before) % self.sizes[name][chosen]
            rows[name] = self.orders[name][self.starts[name][chosen] + place]
            self.drawn[name] += chosen.bincount(minlength=self.count)
        return chosen, rows

    def _classes(self) -> Tensor:
        if self.mode == "literal":
            return torch.randint(self.count, (self.batch_size,), generator=self.generator)
        rounds = -(-self.batch_size // self.count)
        orders = [torch.randperm(self.count, generator=self.generator) for _ in range(rounds)]
        return torch.cat(orders)[: self.batch_size]

    def alike(self, chosen: Tensor) -> Tensor | None:
        """Say which tuples of a batch are no negatives of each other, bool (B, B); None where all are."""
        if self.mode == "literal" or self.batch_size <= self.count:
            return None
        return chosen[:, None] == chosen

    def state_dict(self) -> dict[str, Any]:
        """Give what the next draws depend on."""
        return {"generator": self.generator.get_state(), "drawn": self.drawn}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state_dict` was taken."""
        self.generator.set_state(state["generator"])
        self.drawn = {name: counts.clone() for name, counts in state["drawn"].items()}
