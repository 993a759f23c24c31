"""Fréchet distance as a torchmetrics metric."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors
from typing_extensions import Unpack

from torchmetrics_majorscore.functional.frechet import (
    Gaussian,
    distance_of_gaussians,
    gaussian,
    gaussian_of_moments,
)
from torchmetrics_majorscore.functional.moments import Moments, join_moments, moments
from torchmetrics_majorscore.metrics.canonical import by_content
from torchmetrics_majorscore.metrics.given import GivenMetric
from torchmetrics_majorscore.metrics.hearing import TARGET
from torchmetrics_majorscore.metrics.ids import ids_to_int64, int64_to_ids
from torchmetrics_majorscore.metrics.mean import say_lost
from torchmetrics_majorscore.metrics.options import GivenOptions
from torchmetrics_majorscore.metrics.statistics import FeatureStatistics, as_statistics, check_network, statistics_of
from torchmetrics_majorscore.metrics.unique import owned
from torchmetrics_majorscore.metrics.windows import window_rows

Side = Literal["preds", "target"]
Gathered = Literal["rows", "moments"]
SIDES: tuple[Side, Side] = ("preds", "target")


class FrechetDistance(GivenMetric):
    r"""How far the features of generated sounds lie from those of real ones, each set a Gaussian; lower is better.

    .. math:: |\mu_p - \mu_t|^2 + tr(C_p) + tr(C_t) - 2 tr((C_p C_t)^{1/2})

    Source and limits: :func:`.frechet_distance`; compare values of equal numbers of rows only. The sets are not paired.
    State: rows, 12 + 4 D bytes for each feature vector of either side.

    Args:
        reference: statistics of the target, or their file, see :meth:`statistics`; None if ``update`` gets targets.
        gather: what ranks exchange in ``compute``: ``"rows"``, all of which every rank then holds, for the same bits on
            any number of ranks; or ``"moments"``, 8 D (D + 2) bytes per rank and side, with the ids, for large sets:
            repeats still count once, and the distance is that of rows to 1e-9.
        options: ``network`` and so on, see :class:`.GivenOptions`.

    Raises:
        ValueError: an unknown option, or a reference of another network's features.
        FileNotFoundError: there is no such file.

    Example:
        >>> import torch
        >>> metric = FrechetDistance()
        >>> metric.update(torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [7.0]]), ids=["clip 1", "clip 2"])
        >>> metric.compute()
        tensor(18.)
    """

    plot_lower_bound = 0.0
    _row_name = "features"
    _hidden = 1  # the side

    def __init__(
        self,
        reference: FeatureStatistics | str | Path | None = None,
        *,
        gather: Gathered = "rows",
        **options: Unpack[GivenOptions],
    ) -> None:
        if gather not in get_args(Gathered):
            raise ValueError(f"Expected gather to be 'rows' or 'moments', got {gather!r}.")
        super().__init__(None, **options)
        self.gather = gather
        self._joined: list[Moments] | None = None
        self.reference = None if reference is None else as_statistics(reference)
        self._wants_target = self.reference is None
        self._where = f", in {reference}" if isinstance(reference, (str, Path)) else ""
        if self.reference is not None and self.hearing is None:
            check_network(self.reference, self.network, self._where)
        self._reference_digest = self.reference.digest if self.reference else None
        self._said_of_rank = False

    def update(
        self,
        preds: Tensor | Sequence[Tensor] | None = None,
        target: Tensor | Sequence[Tensor] | None = None,
        *,
        audio: Tensor | Sequence[Tensor | None] | None = None,
        target_audio: Tensor | Sequence[Tensor | None] | None = None,
        ids: Sequence[int | str] | Tensor | None = None,
    ) -> None:
        """Keep the features of a batch, of one side or of both, given or of raw sounds.

        Args:
            preds: features of what was generated, (B, D), any floating dtype, kept as float32; of networks that give
                several vectors per sample, (B, W, D) or a list of B tensors (W, D).
            target: features of the references, likewise. Without ids the numbers of samples may differ.
            audio: instead of features, generated sounds, see :meth:`.SimilarityMetric.update`; needs ``network``.
            target_audio: their references, likewise; may be left out for ids that were given with theirs before, see
                ``cache_conditions``.
            ids: B strings or 64-bit ints; what was seen before of a sample counts once.

        Raises:
            ValueError: an input that does not fit; nothing of the batch is kept. A vector that is not finite, or a
                sound that is missing, does not raise: it is left out, see ``nan_strategy``.
        """
        if self.reference is not None and not (target is None and target_audio is None):
            raise ValueError("Expected no target, since the metric has the statistics of a reference; got one.")
        heard = self._hear((preds, target), {"audio": audio, TARGET: target_audio}, ids)
        if heard is not None:
            preds, target = (heard[name].features if name in heard else None for name in ("audio", TARGET))
        given = [(side, x) for side, x in zip(SIDES, (preds, target), strict=True) if x is not None]
        if not given and heard is None:
            raise ValueError("Expected features of preds, target or both, got none.")
        parts = [(side, *window_rows(side, features, ids)) for side, features in given]
        parts = [part for part in parts if len(part[1])] or parts[:1]
        with torch.inference_mode(False), torch.no_grad():
            marked = [_marked(SIDES.index(side), rows.to(self.device)) for side, _, rows in parts]
            if len({rows.shape[1] for rows in marked}) > 1:
                raise ValueError(
                    f"Expected as many features in preds as in target, got {[r.shape[1] - 1 for r in marked]}."
                )
            if marked and len(marked[0]):
                self._check_reference(marked[0].shape[1] - 1)
                numbers = torch.cat([numbers for _, numbers, _ in parts])
                self.append_rows(numbers, torch.cat(marked), self._weights(heard))
        self._warn_of_union()

    def _filter_kwargs(self, **kwargs: Any) -> dict[str, Any]:
        """Take what ``update`` knows out of what a collection is given; no references beside statistics of theirs."""
        known = super()._filter_kwargs(**kwargs)
        return {name: value for name, value in known.items() if self.reference is None or "target" not in name}

    def _check_reference(self, width: int) -> None:
        if self.reference is None:
            return
        if self.hearing:  # whose name is only known once it is built
            check_network(self.reference, self.network, self._where)
        if width != len(self.reference.mean):
            raise ValueError(
                f"Expected features of {len(self.reference.mean)} numbers as the reference's, got {width}."
            )

    def compute(self) -> Tensor:
        """Compute the distance between the two sides.

        Returns:
            A float32 scalar >= 0; the same bits for any order of the samples and any number of ranks. NaN, with a
            warning, if a side has fewer than two vectors.

        Raises:
            RuntimeError: with ``nan_strategy="error"``, a vector that is not finite.
        """
        self._computed_rows = not self._in_forward
        return self.distance().float().to(self.device)

    def distance(self) -> Tensor:
        """Compute the distance over the samples of this process, or of all while synced; float64."""
        if self._joined is not None:
            own, target = (self._gaussian(side, part) for side, part in zip(SIDES, self._joined, strict=True))
        else:
            _, sides, features = self._known_rows()
            own, target = (self._gaussian(side, features[sides == place]) for place, side in enumerate(SIDES))
        return distance_of_gaussians(own, target)

    def statistics(self, side: Side = "target") -> FeatureStatistics:
        """Give the statistics of a side over the samples of this process, to be saved and used as a ``reference``.

        Args:
            side: ``"target"`` or ``"preds"``.

        Raises:
            ValueError: the metric has no name of a network, or the side fewer than two vectors.
        """
        if self.network is None:
            raise ValueError("Expected network=..., the name of what made the features, to say of whom statistics are.")
        ids, sides, features = self._known_rows()
        own = sides == SIDES.index(side)
        if own.sum() < 2:
            raise ValueError(f"Expected at least two vectors of {side} for statistics, got {int(own.sum())}.")
        known = [one for one in int64_to_ids(ids[own]) if one is not None]
        return statistics_of(by_content(features[own]), ids_to_int64(known, len(known)), self.network)

    def rows(self) -> dict[str, Any]:
        """Give the vectors seen by this process since the last reset, each once.

        Returns:
            ``"id"`` to a list of the samples' ids (None where none was given), ``"side"`` to ``"preds"`` or
            ``"target"``, ``"features"`` to float32 (N, D) on the CPU.
        """
        ids, rows = self._unique_rows()
        return {"id": int64_to_ids(ids), "side": [SIDES[int(mark)] for mark in rows[:, :1]], "features": rows[:, 1:]}

    def _known_rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """Give ids (N,), numbers of the sides (N,) and features (N, D) of the vectors that are finite."""
        ids, rows = self._unique_rows()
        known = rows.isfinite().all(dim=-1)
        say_lost(int((~known).sum()), len(known), self._row_name, self.nan_strategy)
        return ids[known], rows[known, :1].flatten(), rows[known, 1:]

    def _gaussian(self, side: Side, known: Tensor | Moments) -> Gaussian:
        """Take the rows of a side, or their moments, as a Gaussian, and say what limits it."""
        if side == "target" and self.reference is not None:
            return gaussian_of_moments(self.reference.mean, self.reference.covariance)
        count, width = (known.number, len(known.mean)) if isinstance(known, Moments) else known.shape
        if count < 2 and any(len(ids) for ids in self.ids):
            warnings.warn(f"{count} vectors of {side} have no covariance: the distance is NaN.", stacklevel=4)
        elif 0 < count <= width and not self._said_of_rank:
            self._said_of_rank = True
            warnings.warn(
                f"{count} vectors of {side} do not span {width} features: the distance is exact, but grows as vectors "
                "get fewer; compare equal numbers only.",
                stacklevel=4,
            )
        if isinstance(known, Moments):
            return gaussian_of_moments(known.mean, known.covariance)
        # On the CPU: a GPU has little float64, and the bits are to be those of any rank.
        return gaussian(by_content(known))

    def _sync_dist(self, dist_sync_fn: Any = gather_all_tensors, process_group: Any = None) -> None:
        """Gather the rows of all ranks, or who has which, and then the moments of those that count."""
        if self.gather == "rows":
            super()._sync_dist(dist_sync_fn, process_group)
            return
        ids, rows = self._unique_rows()
        lost = ~rows.isfinite().all(dim=-1)
        packed = torch.cat([ids.view(torch.int32).reshape(-1, 2), lost.int()[:, None]], dim=-1).to(self.device)
        parts = [part.cpu() for part in self._gather(packed, dist_sync_fn, process_group)]
        everyones = [part[:, 2] > 0 for part in parts]
        numbers = [part[:, :2].clone(memory_format=torch.contiguous_format).view(torch.int64)[:, 0] for part in parts]
        kept = owned(numbers, everyones)
        whole = [part[count] for part, count in zip(everyones, kept, strict=True)]
        say_lost(int(torch.cat(whole).sum()), sum(map(len, whole)), self._row_name, self.nan_strategy)
        own = rows[kept[dist.get_rank(process_group or self.process_group)] & ~lost]
        mine = [moments(by_content(own[own[:, 0] == place, 1:])) for place in range(2)] if rows.shape[1] else []
        flat = [torch.cat([m.mean.new_tensor([m.number]), m.mean, m.scatter.flatten()]) for m in mine]
        sent = torch.stack(flat).view(torch.int32) if flat else torch.empty(0, 2, dtype=torch.int32, device="cpu")
        gathered = [part.cpu() for part in self._gather(sent.to(self.device), dist_sync_fn, process_group)]
        self._joined = _joined([part.contiguous().view(torch.float64) for part in gathered if len(part)])

    def unsync(self, *args: Any, **kwargs: Any) -> None:
        """Forget what other ranks have."""
        super().unsync(*args, **kwargs)
        self._joined = None

    def _choices(self) -> list[object]:
        return [*super()._choices(), self._reference_digest, self.gather]

    def _signature_choices(self) -> list[str]:
        return [f"ref:{self._reference_digest}"] if self._reference_digest else []


def _marked(number: int, rows: Tensor) -> Tensor:
    """Put the number of their side in front of rows."""
    return torch.cat([rows.new_full((len(rows), 1), number), rows], dim=-1)


def _joined(parts: list[Tensor]) -> list[Moments]:
    """Join what the ranks sent, each (2, 1 + D + D * D), into the moments of the two sides."""
    nothing = torch.full((1, 1), torch.nan, dtype=torch.float64, device="cpu")
    none = Moments(0, nothing[0], nothing)
    sides = []
    for place in range(2):
        rows = [part[place] for part in parts]
        width = (math.isqrt(4 * len(rows[0]) - 3) - 1) // 2 if rows else 0  # of 1 + D + D * D numbers
        held = [Moments(int(row[0]), row[1 : 1 + width], row[1 + width :].reshape(width, width)) for row in rows]
        held = [part for part in held if part.number]
        sides.append(join_moments(held) if held else none)
    return sides
