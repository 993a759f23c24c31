"""The path of a sample through every metric: check, encode once, keep a row of similarities, reduce the rows.

All metrics over the same rows share this class; they differ by ``_score``, the function of ``functional/`` that
``compute`` applies to the rows.
"""

import math
import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from torchmetrics_majorscore.encoders import SharedEncoder
from torchmetrics_majorscore.encoders.base import exact_float32
from torchmetrics_majorscore.encoders.resample import resample
from torchmetrics_majorscore.functional.similarity import Pairs, pair_similarities, select_pairs
from torchmetrics_majorscore.metrics.conditions import CONDITIONS, Conditions, as_conditions
from torchmetrics_majorscore.metrics.ids import ids_to_int64
from torchmetrics_majorscore.metrics.inputs import Audio, Text, Video, check_embeddings, check_inputs
from torchmetrics_majorscore.metrics.rows import RowMetric
from torchmetrics_majorscore.metrics.spaces import Space, fingerprint

NanStrategy = Literal["warn", "ignore", "error"]


class SimilarityMetric(RowMetric):
    """Base of the metrics: a row per sample with the similarities of all pairs.

    Args:
        spaces: where cosines are taken.
        pairs: the pairs that ``compute`` uses.
        sample_rate: rate of raw audio in Hz; needed only for raw audio.
        fps: frames per second of raw video; needed only for raw video.
        nan_strategy: what ``compute`` does with samples that have no value (missing or not finite): ``"warn"`` and
            ``"ignore"`` leave them out of the mean, ``"error"`` raises.
        cache_conditions: remember videos and captions beyond ``reset``: True or a file, see :class:`.Conditions`.
        kwargs: those of :class:`torchmetrics.Metric`.
    """

    is_differentiable = False
    higher_is_better: bool | None = None
    full_state_update = False
    feature_network = "encoder"
    _own_properties = ("signature", "encoder", "_pair_names")
    __jit_unused_properties__: ClassVar[list[str]] = [*Metric.__jit_unused_properties__, *_own_properties]

    def __init__(
        self,
        spaces: Sequence[Space],
        pairs: Pairs,
        sample_rate: int | None,
        fps: float | None,
        nan_strategy: NanStrategy,
        cache_conditions: bool | str | Path | Conditions = False,
        **kwargs: Any,
    ) -> None:
        if nan_strategy not in ("warn", "ignore", "error"):
            raise ValueError(f"Expected nan_strategy to be 'warn', 'ignore' or 'error', got {nan_strategy!r}.")
        every = [pair for space in spaces for pair in space.pairs]
        super().__init__(every, fingerprint(spaces, sample_rate, fps), **kwargs)
        self.sample_rate = sample_rate
        self.fps = fps
        self.nan_strategy = nan_strategy
        self.conditions = as_conditions(cache_conditions)
        self._spaces = tuple(spaces)
        self._pairs = select_pairs(list(dict.fromkeys(m for space in spaces for m in space.modalities)), pairs)
        if apart := [pair for pair in self._pairs if pair not in every]:
            names = ", ".join("-".join(pair) for pair in every)
            raise ValueError(f"Expected pairs out of {names}, got {'-'.join(apart[0])}, which share no space.")
        self._columns = [self.all_pairs.index(pair) for pair in self._pairs]

    def update(
        self,
        video: Video | None = None,
        text: Text | None = None,
        audio: Audio | None = None,
        ids: Sequence[int | str] | Tensor | None = None,
        embeddings: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Score a batch of samples and keep their rows.

        Args:
            video: (B, T, 3, H, W) or a list of (T, 3, H, W); uint8 RGB or float in [0, 1], at ``fps``.
            text: B captions.
            audio: (B, S), (B, C, S) or a list of (S,) or (C, S); float in [-1, 1] or int16, at ``sample_rate``.
            ids: B strings or 64-bit ints. A sample whose id was seen before counts once, as the padding of a
                ``DistributedSampler`` needs it.
            embeddings: instead of raw inputs, modality to (B, D), floating, any scale.

        Raises:
            ValueError: an input that does not fit; nothing of the batch is kept. Samples that are None, empty or not
                finite do not raise: their pairs have no value, and a warning names them, for given embeddings in
                ``compute``.
        """
        if embeddings is None:
            embeddings = self.encode(video, text, audio, ids)
            count = next(len(batch) for batch in (audio, text, video) if batch is not None)
        elif video is text is audio is None:
            count = check_embeddings(embeddings, [space.names for space in self._spaces])
        else:
            raise ValueError("Expected either raw inputs or embeddings, got both.")
        self.ids.append(ids_to_int64(ids, count).to(self.device))
        self.similarities.append(self._similarities(embeddings, count))

    def encode(
        self,
        video: Video | None = None,
        text: Text | None = None,
        audio: Audio | None = None,
        ids: Sequence[int | str] | Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Encode a batch given as :meth:`update` takes it, each modality once per space, and keep nothing of it.

        Returns:
            What ``update(embeddings=...)`` takes: unit-norm embeddings, float32, (B, D), on the metric's device; NaN
            for a sample without a value, and no entry for a modality of which no sample has one.

        Raises:
            ValueError: as :meth:`update`.
        """
        encoders = [space.encoder for space in self._spaces if space.encoder]
        if len(encoders) < len(self._spaces):
            raise ValueError("Expected update(embeddings=...), since the metric has no encoder; got raw inputs.")
        needed = list(dict.fromkeys(modality for pair in self._pairs for modality in pair))
        inputs = {"video": video, "text": text, "audio": audio}
        absent = [modality for modality in needed if inputs.get(modality) is None]
        known = CONDITIONS if self.conditions and ids is not None else ()
        if unknown := [modality for modality in absent if modality not in known]:
            raise ValueError(f"Expected {', '.join(needed)} for the pairs {self._pair_names}, got no {unknown[0]}.")
        with exact_float32(self.device):
            given: dict[str, Any] = {modality: batch for modality, batch in inputs.items() if batch is not None}
            samples = check_inputs(given, ids, self.fps, self.sample_rate, quiet=self.nan_strategy == "ignore")
            if self.conditions:
                samples |= self.conditions.take_in(samples, absent, ids)
            return {
                space.prefix + modality: embedding
                for space, encoder in zip(self._spaces, encoders, strict=True)
                for modality, embedding in self._embed(encoder, space.modalities, samples).items()
            }

    def _embed(
        self, encoder: SharedEncoder, modalities: Sequence[str], samples: Mapping[str, list[Any]]
    ) -> dict[str, Tensor]:
        """Encode the samples of a space's modalities; NaN stands for a sample without a value."""
        embeddings: dict[str, Tensor] = {}
        for modality in (m for m in modalities if m in samples):
            present = [row for row, item in enumerate(samples[modality]) if item is not None]
            if not present:
                continue
            batch = [samples[modality][row] for row in present]
            if self.conditions and modality in CONDITIONS:
                encoded = self.conditions.encode(encoder, modality, batch, self.device)
            else:
                encoded = self._encode(encoder, modality, batch)
            embeddings[modality] = encoded.new_full((len(samples[modality]), encoded.shape[1]), math.nan)
            embeddings[modality][present] = encoded
        return embeddings

    def _encode(self, encoder: SharedEncoder, modality: str, batch: list[Any]) -> Tensor:
        if modality == "audio":
            source = self.sample_rate or encoder.sample_rate  # check_audio has refused None
            batch = [resample(waveform.to(self.device), source, encoder.sample_rate) for waveform in batch]
        elif modality == "video":
            batch = [frames.to(self.device) for frames in batch]
        return encoder.encode(modality, batch, self.device).to(self.device)

    def _similarities(self, embeddings: Mapping[str, Tensor], count: int) -> Tensor:
        """Take the cosines of all pairs, (count, K); NaN in the columns of a modality that has no embeddings."""
        columns = []
        with torch.inference_mode(False), torch.no_grad():
            for space in self._spaces:
                named = [pair for pair in zip(space.modalities, space.names, strict=True) if pair[1] in embeddings]
                own = {modality: embeddings[name].detach().to(self.device) for modality, name in named}
                known = [column for column, pair in enumerate(space.pairs) if set(pair) <= own.keys()]
                block = pair_similarities(own, [space.pairs[column] for column in known]).float() if known else None
                if block is None or len(known) < len(space.pairs):
                    every = torch.full((count, len(space.pairs)), math.nan, device=self.device)
                    block = every if block is None else every.index_copy(1, torch.tensor(known).to(self.device), block)
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
        _, similarities = self._unique_rows()
        scores = self._score(similarities[:, self._columns].double())
        values = scores[~scores.isnan()].tolist()
        if len(values) < len(scores) and self.nan_strategy != "ignore":
            message = (
                f"{len(scores) - len(values)} of {len(scores)} samples have no value for {self._pair_names} "
                "(missing or not finite)"
            )
            if self.nan_strategy == "error":
                raise RuntimeError(f"{message}.")
            warnings.warn(f"{message} and are left out of the mean.", stacklevel=2)
        # fsum rounds the exact sum once, so the order of the rows cannot change a bit.
        mean = math.fsum(values) / len(values) if values else math.nan
        return torch.tensor(mean, dtype=torch.float32, device=self.device)

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
        return "|".join([type(self).__name__.lower(), *self._signature()])

    def _signature(self) -> list[str]:
        from torchmetrics_majorscore import __version__

        encoders = [space.encoder for space in self._spaces if space.encoder]
        names = "+".join(encoder.name for encoder in encoders) or "given"
        pairs = "+".join(map("-".join, self._pairs))
        pools = {encoder.pool for encoder in encoders if encoder.pool}
        frames = [*(["fps:1"] if encoders else []), *(f"pool:{pool.removesuffix('_head')}" for pool in pools)]
        frames += ["precision:bf16"] if any(encoder.precision == "bf16" for encoder in encoders) else []
        return [f"enc:{names}", f"pairs:{pairs}", *frames, f"v:{__version__}"]
