"""The path of a sample through every metric: check, encode once, keep a row of similarities, reduce the rows.

All metrics over the same rows share this class; they differ by ``_score``, the function of ``functional/`` that
``compute`` applies to the rows.
"""

import math
import sys
import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import Unpack

from torchmetrics_majorscore.encoders import SharedEncoder
from torchmetrics_majorscore.encoders.base import content_key, exact_float32
from torchmetrics_majorscore.encoders.signature import signature
from torchmetrics_majorscore.functional.similarity import Pairs, find_view, pair_similarities, select_pairs
from torchmetrics_majorscore.metrics.conditions import as_conditions
from torchmetrics_majorscore.metrics.ids import ids_to_int64
from torchmetrics_majorscore.metrics.inputs import check_embeddings, check_inputs
from torchmetrics_majorscore.metrics.mean import check_nan_strategy, mean_of
from torchmetrics_majorscore.metrics.options import MetricOptions, NanStrategy
from torchmetrics_majorscore.metrics.rows import RowMetric
from torchmetrics_majorscore.metrics.spaces import Space, fingerprint, weights_digest
from torchmetrics_majorscore.modalities import MODALITIES, Modality, find_modality

RATES = {modality.rate: modality for modality in MODALITIES.values() if modality.rate}


class SimilarityMetric(RowMetric):
    """Base of the metrics: a row per sample with the similarities of all pairs.

    Args:
        spaces: where cosines are taken.
        pairs: the pairs that ``compute`` uses.
        options: see :class:`.MetricOptions`.
    """

    is_differentiable = False
    higher_is_better: bool | None = None
    full_state_update = False
    feature_network = "encoder"
    _row_name = "similarities"
    _own_properties = ("signature", "encoder", "_modalities", "_pair_names", "sample_rate", "fps")
    __jit_unused_properties__: ClassVar[list[str]] = [*Metric.__jit_unused_properties__, *_own_properties]

    def __init__(self, spaces: Sequence[Space], pairs: Pairs, **options: Unpack[MetricOptions]) -> None:
        kwargs: dict[str, Any] = dict(options)
        rates = {name: modality.check_rate(kwargs.pop(name, None)) for name, modality in RATES.items()}
        self.nan_strategy: NanStrategy = kwargs.pop("nan_strategy", "warn")
        check_nan_strategy(self.nan_strategy)
        conditions = as_conditions(kwargs.pop("cache_conditions", False))
        every = [pair for space in spaces for pair in space.pairs]
        super().__init__(["-".join(pair) for pair in every], fingerprint(spaces, list(rates.values())), **kwargs)
        self.rates = {modality.name: rates[name] for name, modality in RATES.items()}
        self.conditions = conditions
        self._spaces = tuple(spaces)
        self._said: set[tuple[str, str]] = set()
        self.all_pairs = every
        self._pairs = select_pairs(list(dict.fromkeys(m for space in spaces for m in space.modalities)), pairs)
        if apart := [pair for pair in self._pairs if pair not in every]:
            names = ", ".join("-".join(pair) for pair in every)
            raise ValueError(f"Expected pairs out of {names}, got {'-'.join(apart[0])}, which share no space.")
        self._places = [self.all_pairs.index(pair) for pair in self._pairs]

    def update(
        self,
        *,
        ids: Sequence[int | str] | Tensor | None = None,
        embeddings: Mapping[str, Tensor] | None = None,
        **inputs: Any,
    ) -> None:
        """Score a batch of samples and keep their rows.

        Args:
            ids: B strings or 64-bit ints. A sample whose id was seen before counts once, as the padding of a
                ``DistributedSampler`` needs it.
            embeddings: instead of raw inputs, modality to (B, D), floating, any scale.
            inputs: modality to its batch, see :mod:`torchmetrics_majorscore.modalities`. ``video``: (B, T, 3, H, W) or
                a list of (T, 3, H, W), uint8 RGB or float in [0, 1], at ``fps``; ``text``: B captions; ``audio``:
                (B, S), (B, C, S) or a list of (S,) or (C, S), float in [-1, 1] or int16, at ``sample_rate``. Zeros
                behind a sound are part of it and move its score: give sounds of different lengths as a list.

        Raises:
            ValueError: an input that does not fit; nothing of the batch is kept. Samples that are None, empty or not
                finite do not raise: their pairs have no value, and a warning names them, for given embeddings in
                ``compute``.
        """
        _refuse_resampling()
        given = self._given(inputs)
        names: bytes = bytes(8)
        if embeddings is None:
            self._require_pairs(given, ids)
            embeddings = self.encode(ids=ids, **given)
            count = len(next(iter(given.values())))
            names = weights_digest(space.encoder.name for space in self._spaces if space.encoder)
        elif not given:
            count = check_embeddings(embeddings, [space.names for space in self._spaces])
        else:
            raise ValueError("Expected either raw inputs or embeddings, got both.")
        self.append_rows(ids_to_int64(ids, count), self._similarities(embeddings, count), names)
        self._warn_of_union()

    def _filter_kwargs(self, **kwargs: Any) -> dict[str, Any]:
        """Take what ``update`` knows out of what a collection is given for all of its metrics."""
        known = {"ids", "embeddings", *(modality for space in self._spaces for modality in space.modalities)}
        return {name: value for name, value in kwargs.items() if name in known}

    def encode(self, *, ids: Sequence[int | str] | Tensor | None = None, **inputs: Any) -> dict[str, Tensor]:
        """Encode a batch given as :meth:`update` takes it, each modality once per space, and keep nothing of it.

        A modality may be left out, whatever the pairs, to be encoded by itself: a caption of many sounds, say.

        Returns:
            What ``update(embeddings=...)`` takes: unit-norm embeddings, float32, (B, D), on the metric's device; NaN
            for a sample without a value, and no entry for a modality of which no sample has one.

        Raises:
            ValueError: as :meth:`update`.
        """
        return self._encode(inputs, ids)

    def _encode(self, inputs: Mapping[str, Any], ids: Any, *, gradients: bool = False) -> dict[str, Tensor]:
        encoders = [space.encoder for space in self._spaces if space.encoder]
        if len(encoders) < len(self._spaces):
            raise ValueError("Expected update(embeddings=...), since the metric has no encoder; got raw inputs.")
        given = self._given(inputs)
        with exact_float32(self.device, gradients=gradients):
            samples = check_inputs(given, self._modalities, self.rates, ids, quiet=self.nan_strategy == "ignore")
            if self.conditions:
                samples |= self.conditions.take_in(samples, self._recalled(given, ids), ids, self.rates)
            return {
                space.prefix + modality: embedding
                for space, encoder in zip(self._spaces, encoders, strict=True)
                for modality, embedding in self._embed(encoder, space.modalities, samples, gradients).items()
            }

    def score(
        self, *, embeddings: Mapping[str, Tensor] | None = None, differentiable: bool = False, **inputs: Any
    ) -> Tensor:
        """Score each sample of a batch, and keep nothing: to choose among samples, or as a reward.

        A metric that something is trained or chosen by measures nothing of it any more: report another one.

        Args:
            embeddings: see :meth:`update`.
            differentiable: let gradients through to the audio (the mel and the networks under autograd; CLAP's 16-bit
                steps count as if they were none), to given embeddings, and to any other float input that the encoder
                does not round. The values are the same.
            inputs: see :meth:`update`.

        Returns:
            Scores, float32, (B,), on the metric's device; NaN for a sample that has no value.

        Raises:
            ValueError: as :meth:`update`.
        """
        given = self._given(inputs)
        if embeddings is None:
            self._require_pairs(given, None)
            count = len(next(iter(given.values())))
            embeddings = self._encode(given, None, gradients=differentiable)
        elif given:
            raise ValueError("Expected either raw inputs or embeddings, got both.")
        else:
            count = check_embeddings(embeddings, [space.names for space in self._spaces])
        similarities = self._similarities(embeddings, count, gradients=differentiable)
        with torch.inference_mode(False), torch.set_grad_enabled(differentiable):
            return self._score(similarities[:, self._places].double()).float()

    def _given(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Leave out what is None; raise ValueError for what is no modality."""
        known = dict.fromkeys(modality for space in self._spaces for modality in space.modalities)
        given = {name: batch for name, batch in inputs.items() if batch is not None}
        if unknown := [name for name in given if name not in known]:
            raise ValueError(f"Expected inputs out of {', '.join(known)}, got {unknown[0]}.")
        return given

    def _recalled(self, given: Mapping[str, Any], ids: object) -> list[str]:
        """Give the modalities that the pairs need, the batch lacks, and the memory of conditions may have."""
        needed = dict.fromkeys(modality for pair in self._pairs for modality in pair)
        conditions = self.conditions if ids is not None else None
        return [name for name in needed if name not in given and conditions is not None and conditions.hold(name)]

    def _require_pairs(self, given: Mapping[str, Any], ids: object) -> None:
        """Raise ValueError for a modality that the pairs need, if nobody can recall it."""
        needed = dict.fromkeys(modality for pair in self._pairs for modality in pair)
        if lost := [name for name in needed if name not in [*given, *self._recalled(given, ids)]]:
            raise ValueError(f"Expected {', '.join(needed)} for the pairs {self._pair_names}, got no {lost[0]}.")

    def _embed(
        self, encoder: SharedEncoder, modalities: Sequence[str], samples: Mapping[str, list[Any]], gradients: bool
    ) -> dict[str, Tensor]:
        """Encode the samples of a space's modalities; NaN stands for a sample without a value."""
        embeddings: dict[str, Tensor] = {}
        for name in (m for m in modalities if m in samples):
            present = [row for row, item in enumerate(samples[name]) if item is not None]
            if not present:
                continue
            batch = [samples[name][row] for row in present]

            def run(items: list[Any], name: str = name) -> Tensor:
                prepare, rate, key = self._modalities[name].prepare, self.rates.get(name), None
                if name == "audio":  # which is not to be resampled for each metric
                    items = [item.to(self.device) for item in items]
                    key = (rate, *content_key(items))
                prepared = cache(lambda: [prepare(item, rate, encoder, self.device) for item in items])
                if encoder.remarks(name, self.device):
                    self._say_once(name, encoder.remark(name, prepared(), self.device))
                if gradients:
                    return encoder.differentiate(name, prepared(), self.device).to(self.device)
                return encoder.encode(name, prepared, self.device, id(self), key).to(self.device)

            if self.conditions and self.conditions.hold(name):
                encoded = self.conditions.encode(encoder, name, batch, run)
            else:
                encoded = run(batch)
            rows = encoded.new_full((len(samples[name]), encoded.shape[1]), math.nan)
            rows[present] = encoded
            embeddings |= encoder.split(name, rows)
        return embeddings

    def _say_once(self, name: str, remarks: Mapping[int, str]) -> None:
        for remark in remarks.values():
            kind = name, remark.partition(" (")[0]  # in brackets stands what one sample has
            if kind not in self._said:
                self._said.add(kind)
                warnings.warn(f"{name} {remark}.", stacklevel=6)

    def _similarities(self, embeddings: Mapping[str, Tensor], count: int, *, gradients: bool = False) -> Tensor:
        """Take the cosines of all pairs, float32 (count, K); NaN where a modality has no embeddings."""
        columns = []
        with torch.inference_mode(False), torch.set_grad_enabled(gradients):
            for space in self._spaces:
                named = [pair for pair in zip(space.views, space.names, strict=True) if pair[1] in embeddings]
                own = {view: embeddings[name].to(self.device) for view, name in named}
                known = [
                    column
                    for column, (one, other) in enumerate(space.pairs)
                    if {find_view(own, one, other), find_view(own, other, one)} <= own.keys()
                ]
                block = torch.full((count, len(space.pairs)), math.nan, dtype=torch.float32, device=self.device)
                if known:
                    block[:, known] = pair_similarities(own, [space.pairs[column] for column in known]).float()
                columns.append(block)
        return torch.cat(columns, dim=-1)

    def compute(self) -> Tensor:
        """Reduce the rows to the metric's value.

        Returns:
            Mean over samples of the per-sample score, a float32 scalar; the same bits for any order of the samples and
            any number of ranks. NaN if no sample has a value.

        Raises:
            RuntimeError: with ``nan_strategy="error"``, a sample without a value.
        """
        self._computed_rows = not self._in_forward
        _, similarities = self._unique_rows()
        scores = self._score(similarities[:, self._places].double())
        mean = mean_of(scores, self._pair_names, self.nan_strategy)
        return torch.tensor(mean, dtype=torch.float32, device=self.device)

    @property
    def _modalities(self) -> dict[str, Modality]:
        """The modalities of the encoders by their names."""
        encoders = {name: space.encoder for space in self._spaces if space.encoder for name in space.modalities}
        return {name: find_modality(name, encoder) for name, encoder in encoders.items()}

    @property
    def sample_rate(self) -> int | None:
        """Rate of raw audio in Hz."""
        rate: int | None = self.rates["audio"]
        return rate

    @property
    def fps(self) -> float | None:
        """Frames per second of raw video."""
        rate: float | None = self.rates["video"]
        return rate

    @abstractmethod
    def _score(self, similarities: Tensor) -> Tensor:
        """Map the selected similarities, float64 (N, K), to one score per sample (N,)."""

    def extra_repr(self) -> str:
        """Say in ``repr`` what tells metrics apart."""
        keys = [space.encoder.portable_key.split("|")[0] if space.encoder else "given" for space in self._spaces]
        return ", ".join([*map(str, self._choices()[1:]), f"encoder={'+'.join(keys)}"])

    def _choices(self) -> list[object]:
        return [type(self).__name__, self._pairs, self.nan_strategy]

    @property
    def _pair_names(self) -> str:
        return ", ".join("-".join(pair) for pair in self._pairs)

    @property
    def encoder(self) -> SharedEncoder | None:
        """The handle on the encoder (of the first space, if there are two); None where embeddings are given."""
        return self._spaces[0].encoder

    @property
    def signature(self) -> str:
        """Every choice that moves the value, in one line to print beside it; builds the encoder."""
        encoders = [space.encoder for space in self._spaces if space.encoder]
        return signature(type(self).__name__.lower(), encoders, self._pairs, self._signature_choices())

    def _signature_choices(self) -> list[str]:
        """Give the choices of a subclass that move its value."""
        return []


def _refuse_resampling() -> None:
    """Refuse torchmetrics' ``BootStrapper``: it draws tensors anew but leaves lists, such as captions, as they are."""
    frame = sys._getframe(2)
    for _ in range(4):  # update, torchmetrics' wrapper of it, the caller
        if frame.f_globals.get("__name__") == "torchmetrics.wrappers.bootstrapping":
            raise ValueError(
                "Expected another way to intervals, got BootStrapper, which pairs resampled tensors with captions and "
                "ids that it does not resample: resample metric.rows() instead."
            )
        if frame.f_back is None:
            return
        frame = frame.f_back
