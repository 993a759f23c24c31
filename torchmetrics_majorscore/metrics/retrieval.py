"""Recall across modalities as a torchmetrics metric, exact on any number of ranks."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchmetrics_majorscore.functional.retrieval import Retrieved, any_retrieval, recall_at, retrieve
from torchmetrics_majorscore.metrics.given import GivenMetric
from torchmetrics_majorscore.metrics.ids import ids_of_parts, ids_to_int64, int64_to_ids
from torchmetrics_majorscore.metrics.inputs import check_rows
from torchmetrics_majorscore.metrics.mean import say_lost
from torchmetrics_majorscore.metrics.options import GivenOptions

ANY = "any"
SHIFTS = (44, 22, 0)  # of a label's 64 bits, to three float32 numbers that hold 22 each, exactly


class CrossModalRecall(GivenMetric):
    r"""Share of queries of one modality for which a relevant item is among the first k of another; higher is better.

    Relevant are items of the query's class, or without classes the clip's own item (instance retrieval, as the
    joint-space papers report it). Source, ties and the gallery of all modalities: :mod:`.functional.retrieval`.
    State: 24 + 4 D bytes for each item of any modality, so that the members of a collection share one.

    Args:
        query: modality of the queries.
        gallery: another modality, or ``"any"`` for all at once, the query itself left out.
        k: places that are looked at.
        share: the mean share of the relevant items that was found, in place of the hit rate.
        own_modality: with ``"any"``, items of the query's own modality are relevant too.
        modalities: names of all modalities, in one order for all metrics and ranks.
        options: ``network`` and so on, see :class:`.GivenOptions`.

    Raises:
        ValueError: an unknown modality or option.

    Example:
        >>> import torch
        >>> metric = CrossModalRecall("video", "audio", k=1)
        >>> metric.update({"video": torch.eye(3), "audio": torch.eye(3)[[0, 2, 1]]}, ids=["a", "b", "c"])
        >>> metric.compute()
        tensor(0.3333)
    """

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    _row_name = "embeddings"
    _hidden = 1 + len(SHIFTS)  # the modality and the label

    def __init__(
        self,
        query: str,
        gallery: str = ANY,
        k: int = 10,
        *,
        share: bool = False,
        own_modality: bool = False,
        modalities: Sequence[str] = ("video", "text", "audio", "image"),
        **options: Unpack[GivenOptions],
    ) -> None:
        known = list(modalities)
        if query not in known or gallery not in [*known, ANY] or gallery == query:
            raise ValueError(f"Expected query and gallery as two of {known}, or 'any', got {query!r} and {gallery!r}.")
        if own_modality and gallery != ANY:
            raise ValueError(f"Expected own_modality only with the gallery 'any', got it with {gallery!r}.")
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"Expected k as an integer >= 1, got {k!r}.")
        self.query, self.gallery, self.k = query, gallery, k
        self.share, self.own_modality, self.modalities = share, own_modality, tuple(known)
        super().__init__(None, **options)

    def update(
        self,
        embeddings: Mapping[str, Tensor],
        *,
        labels: Sequence[int | str] | Tensor | None = None,
        ids: Sequence[int | str] | Tensor | None = None,
    ) -> None:
        """Keep the items of a batch.

        Args:
            embeddings: modality to (B, D), floating, any scale, row by row of the same clips; any of the modalities.
            labels: classes of the clips, B strings or 64-bit ints; None for instance retrieval, which needs ids.
            ids: B strings or 64-bit ints; of a clip that was seen before, each modality counts once.

        Raises:
            ValueError: an input that does not fit; nothing of the batch is kept. A row that is not finite does not
                raise: it is in no gallery, and as a query has no value, see ``nan_strategy``.
        """
        if not embeddings or not set(embeddings) <= set(self.modalities):
            got = ", ".join(embeddings) or "none"
            raise ValueError(f"Expected embeddings out of {', '.join(self.modalities)}, got {got}.")
        if labels is None and ids is None:
            raise ValueError("Expected labels, or ids to tell which items are of one clip, got neither.")
        given = {name: check_rows(f"embeddings of {name}", rows, ("B", "D")) for name, rows in embeddings.items()}
        if len({rows.shape for rows in given.values()}) > 1:
            listed = ", ".join(f"{name} {tuple(rows.shape)}" for name, rows in given.items())
            raise ValueError(f"Expected embeddings of one shape (B, D), got {listed}.")
        count = len(next(iter(given.values())))
        numbers = ids_to_int64(ids, count)
        classes = _digits(numbers if labels is None else ids_to_int64(labels, count))
        parts = [ids_of_parts(numbers, name) for name in given]
        rows = [self._marked(name, classes, own.float()) for name, own in given.items()]
        with torch.inference_mode(False), torch.no_grad():
            self.append_rows(torch.cat(parts), torch.cat(rows).to(self.device), bytes(8))
        self._warn_of_union()

    def _marked(self, name: str, classes: Tensor, rows: Tensor) -> Tensor:
        """Put the number of their modality and their labels in front of embeddings."""
        place = rows.new_full((len(rows), 1), self.modalities.index(name))
        return torch.cat([place, classes.to(rows.device), rows], dim=-1)

    def compute(self) -> Tensor:
        """Rank the gallery for every query.

        Returns:
            Mean over the queries that have relevant items, a float32 scalar; the same bits for any order of the samples
            and any number of ranks. NaN if there are none.

        Raises:
            RuntimeError: with ``nan_strategy="error"``, a query without relevant items.
        """
        self._computed_rows = not self._in_forward
        values = recall_at(self.retrieved(), self.k, share=self.share)
        known = values[~values.isnan()].tolist()
        what = f"{self.query} to {self.gallery}, for nothing of the gallery is relevant, or"
        say_lost(len(values) - len(known), len(values), what, self.nan_strategy)
        mean = math.fsum(known) / len(known) if known else math.nan
        return torch.tensor(mean, dtype=torch.float32, device=self.device)

    def retrieved(self) -> Retrieved:
        """Give the counts of each query of this process, or of all while synced, in the order of a digest of rows."""
        embeddings, labels = self._items()
        if self.gallery == ANY:
            return any_retrieval(embeddings, labels, self.k, own_modality=self.own_modality)[self.query]
        one, other = self.query, self.gallery
        return retrieve(embeddings[one], embeddings[other], labels[one], labels[other], depth=self.k)

    def rows(self) -> dict[str, Any]:
        """Give the items seen by this process since the last reset, each once.

        Returns:
            ``"id"`` to a list of the clips' ids (None where none was given), ``"modality"`` to a list of names,
            ``"label"`` to a list of labels (clips' ids where there are no classes) and ``"embedding"`` to float32
            (N, D) on the CPU.
        """
        ids, rows = self._unique_rows()
        names = [self.modalities[int(mark)] for mark in rows[:, 0]]
        labels = int64_to_ids(_number(rows[:, 1 : self._hidden]))
        return {"id": int64_to_ids(ids), "modality": names, "label": labels, "embedding": rows[:, self._hidden :]}

    def _unique_rows(self) -> tuple[Tensor, Tensor]:
        ids, rows = super()._unique_rows()
        return ids, rows if rows.shape[1] else torch.empty(0, self._hidden + 1, device="cpu")

    def _items(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Give the embeddings and labels of each modality, in an order that depends on the rows alone."""
        _, rows = self._unique_rows()
        # A matrix product's last bits depend on where a row stands, and with them which of two items is nearer.
        contents = [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows.contiguous().numpy()]
        order = sorted(range(len(contents)), key=contents.__getitem__)
        rows = rows[torch.tensor(order, dtype=torch.int64, device="cpu")]
        numbers = _number(rows[:, 1 : self._hidden])
        own = {name: rows[:, 0] == place for place, name in enumerate(self.modalities)}
        vectors = rows[:, self._hidden :]
        return {name: vectors[mask] for name, mask in own.items()}, {name: numbers[mask] for name, mask in own.items()}

    def _row_choices(self) -> list[object]:
        return [self.modalities]

    def _choices(self) -> list[object]:
        return [*super()._choices(), *self._signature_choices()]

    def _signature_choices(self) -> list[str]:
        kind = [*(["share"] if self.share else []), *(["own-modality"] if self.own_modality else [])]
        return [f"{self.query}-to-{self.gallery}", f"k:{self.k}", *kind]


def _digits(numbers: Tensor) -> Tensor:
    """Write int64 as float32 digits to the base 2**22, (N, 3)."""
    return ((numbers[:, None] >> torch.tensor(SHIFTS, device="cpu")) & (2**22 - 1)).float()


def _number(digits: Tensor) -> Tensor:
    """Read what :func:`_digits` wrote."""
    return (digits.long() << torch.tensor(SHIFTS, device="cpu")).sum(dim=-1)
