"""What a module of the user's returns, checked when it is first used: unit vectors of one width, one a sample."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

OFF = 1e-3
"""How far from 1 a vector's length may be: float16 rounds to half of it."""
APART = 1e-2
"""How far apart a sample's embeddings may be, alone and in a batch: bfloat16 rounds to less."""


class FirstUse:
    """Checks a modality with its first batch, and whether neighbours matter with the first that has two samples."""

    def __init__(self) -> None:
        self._widths: dict[str, int] = {}
        self._in_company: set[str] = set()

    def check(
        self, what: str, given: Sequence[Any], embeddings: Tensor, views: int, encode: Callable[[Sequence[Any]], Tensor]
    ) -> None:
        """Check what a method returned.

        Args:
            what: the method, and whose it is.
            given: what it was given.
            embeddings: what it returned, (B, views * D).
            views: how many embeddings it has for a sample.
            encode: calls it.

        Raises:
            ValueError: vectors of another length than 1, or of another width than those of another modality, or a
                sample with another embedding when it is alone.
        """
        if what not in self._widths:
            self._check_vectors(what, embeddings, views)
        pending = what not in self._in_company
        if pending and len(given) > 1 and isinstance(given[0], (Tensor, str)):  # pieces are read once
            apart = (encode(given[:1])[0].float() - embeddings[0].float()).norm().item()
            if apart > APART:
                raise ValueError(
                    f"Expected {what} to give a sample one embedding, got another one in a batch of {len(given)}, "
                    f"{apart:.2g} apart: is something normalised over the batch, or drawn at random?"
                )
            self._in_company.add(what)

    def _check_vectors(self, what: str, embeddings: Tensor, views: int) -> None:
        if embeddings.shape[1] % views:
            raise ValueError(f"Expected {what} to return {views} vectors a sample, got {embeddings.shape[1]} numbers.")
        lengths = embeddings.detach().float().reshape(len(embeddings), views, -1).norm(dim=-1)
        if ((lengths - 1).abs() > OFF).any():
            low, high = lengths.min().item(), lengths.max().item()
            raise ValueError(
                f"Expected {what} to return unit vectors, got lengths from {low:.3g} to {high:.3g}: "
                "torch.nn.functional.normalize them."
            )
        width = embeddings.shape[1] // views
        for other, known in self._widths.items():
            if known != width:
                raise ValueError(f"Expected {what} to return {known} numbers as {other} does, got {width}.")
        self._widths[what] = width
