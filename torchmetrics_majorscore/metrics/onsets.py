"""Onset accuracy, average precision and F1 as a torchmetrics metric."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchmetrics_majorscore.functional.onset_detection import Onsets, Protocol, check_protocol
from torchmetrics_majorscore.functional.onset_scores import TOLERANCES, OnsetScore, onset_scores
from torchmetrics_majorscore.metrics.given import GivenMetric
from torchmetrics_majorscore.metrics.hearing import TARGET
from torchmetrics_majorscore.metrics.mean import mean_of, say_lost
from torchmetrics_majorscore.metrics.options import GivenOptions
from torchmetrics_majorscore.networks.onsets import HEARD, as_onsets, load_onsets


class OnsetScores(GivenMetric):
    """Do the onsets of generated sounds come when the true ones do? Means over samples; higher is better.

    Source, formulas and the faults of ``"mmaudio"``: :func:`.onset_scores`. ``rows()`` gives the scores of each sample.
    State: 20 bytes per sample.

    With ``sample_rate`` it also takes raw sounds, in which :func:`.detect_onsets` looks after resampling to 22 050 Hz:
    in all of a sound, with ``"mmaudio"`` in its first 8 s, and true onsets behind these do not count.

    Args:
        protocol: ``"strict"`` or ``"mmaudio"``.
        tolerance: in seconds; None for that of the protocol.
        options: ``sample_rate`` of raw sounds, or ``network``, the name of what detected, and so on, see
            :class:`.GivenOptions`.

    Raises:
        ValueError: an unknown protocol or option, or a tolerance that is not positive.

    Example:
        >>> import torch
        >>> from torchmetrics_majorscore.functional import Onsets
        >>> metric = OnsetScores()
        >>> found = Onsets(torch.tensor([1.0, 2.0]), torch.ones(2), torch.ones(2))
        >>> metric.update([found], [torch.tensor([1.05, 2.0, 5.0])], ids=["clip 1"])
        >>> metric.compute()["onset_f1"]
        tensor(0.8000)
    """

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    _row_name = "onset scores"
    _wants_target = True

    def __init__(
        self, protocol: Protocol = "strict", *, tolerance: float | None = None, **options: Unpack[GivenOptions]
    ) -> None:
        check_protocol(protocol)
        self.protocol: Protocol = protocol
        self.tolerance = TOLERANCES[protocol] if tolerance is None else tolerance
        if not self.tolerance > 0:
            raise ValueError(f"Expected a tolerance > 0 seconds, got {tolerance!r}.")
        if options.get("sample_rate") is not None:
            if options.get("network") is not None:
                raise ValueError("Expected no network beside sample_rate, since raw sounds have a detector; got one.")
            options["network"] = load_onsets(protocol)
        super().__init__(list(OnsetScore._fields), **options)

    def update(
        self,
        preds: Sequence[Onsets] | None = None,
        target: Sequence[Tensor] | None = None,
        *,
        audio: Tensor | Sequence[Tensor | None] | None = None,
        target_audio: Tensor | Sequence[Tensor | None] | None = None,
        ids: Sequence[int | str] | Tensor | None = None,
    ) -> None:
        """Keep the scores of each sample of a batch.

        Args:
            preds: detections in B generated sounds, see :func:`.detect_onsets`.
            target: B tensors of true onsets in seconds, (T,), sorted.
            audio: instead of detections, generated sounds, see :meth:`.SimilarityMetric.update`; needs ``sample_rate``.
            target_audio: instead of true onsets, the references, whose onsets are detected likewise; may be left out
                for ids that were given with theirs before, see ``cache_conditions``.
            ids: B strings or 64-bit ints; a sample whose id was seen before counts once.

        Raises:
            ValueError: an input that does not fit; nothing of the batch is kept. A sound that is missing does not
                raise: the sample has no value, see ``nan_strategy``.
        """
        heard = None
        if audio is not None or target_audio is not None or preds is None:
            heard = self._detect(preds, target, audio, target_audio, ids)
            preds, target = heard.get("audio", []), heard[TARGET]
        if preds is None or target is None or len(preds) != len(target):
            counts = " and ".join("none" if one is None else str(len(one)) for one in (preds, target))
            raise ValueError(f"Expected as many sounds in preds and target, got {counts}.")
        scores = [self._compare(own, true) for own, true in zip(preds, target, strict=True)]
        rows = torch.tensor(scores, dtype=torch.float32, device=self.device).reshape(-1, 3)
        self._keep(ids, rows, heard)

    def _detect(self, preds: Any, target: Any, audio: Any, target_audio: Any, ids: Any) -> dict[str, Any]:
        """Give the onsets of raw sounds, ``audio`` as :class:`.Onsets` and ``target_audio`` as times."""
        if audio is None or preds is not None:
            raise ValueError(f"Expected either preds or audio, got {'none' if preds is None else 'preds'}.")
        if self.hearing is None:
            raise ValueError("Expected OnsetScores(sample_rate=...) for raw sounds, got them without.")
        if target is not None and target_audio is not None:
            raise ValueError("Expected either target or target_audio, got both.")
        needed = ["audio"] if target is not None else ["audio", TARGET]
        heard = self._hear([preds], {"audio": audio, TARGET: target_audio}, ids, needed=needed) or {}
        onsets: dict[str, Any] = {name: list(map(as_onsets, one.features)) for name, one in heard.items()}
        if target is None:
            return onsets | {TARGET: [own and own.times for own in onsets.get(TARGET, ())]}
        end = HEARD[self.protocol] or math.inf
        return onsets | {TARGET: [true[true < end] for true in target]}

    def _compare(self, own: Onsets | None, true: Tensor | None) -> OnsetScore:
        if own is None or true is None:
            return OnsetScore(math.nan, math.nan, math.nan)
        return onset_scores(own, true, protocol=self.protocol, tolerance=self.tolerance)

    def compute(self) -> dict[str, Tensor]:
        """Give the means over samples.

        Returns:
            ``onset_accuracy``, ``onset_average_precision`` and ``onset_f1``, float32 scalars; the same bits for any
            order of the samples and any number of ranks. NaN if no sample has a value.

        Raises:
            RuntimeError: with ``nan_strategy="error"``, a sample without a value.
        """
        self._computed_rows = not self._in_forward
        _, values = self._unique_rows()
        say_lost(int(values.isnan().any(dim=-1).sum()), len(values), "some onset score", self.nan_strategy)
        means: dict[str, Any] = {
            f"onset_{name}": mean_of(column.double(), name, "ignore")
            for name, column in zip(OnsetScore._fields, values.unbind(dim=-1), strict=True)
        }
        return {name: torch.tensor(mean, dtype=torch.float32, device=self.device) for name, mean in means.items()}

    def _row_choices(self) -> list[object]:
        return [self.protocol, self.tolerance]

    def _signature_choices(self) -> list[str]:
        return [f"protocol:{self.protocol}", f"tolerance:{self.tolerance:g}"]
