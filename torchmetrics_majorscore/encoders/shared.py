"""The handle on a joint encoder, and who gets which."""

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from torchmetrics_majorscore.encoders.base import JointEncoder, Shape, clean_build, content_key, exact_float32
from torchmetrics_majorscore.encoders.first_use import FirstUse
from torchmetrics_majorscore.encoders.handle import Asker, ContentKey, Handle, freeze, refuse_class, share
from torchmetrics_majorscore.encoders.precision import use_bf16, warn_if_slow
from torchmetrics_majorscore.encoders.table import ENCODERS, Pool, Precision, find_encoder

Batch = Sequence[Tensor | str] | Callable[[], Sequence[Tensor | str]]
PUBLIC = ("video", "image", "text", "audio")
"""Modalities whose samples look the same to every encoder; an encoder declares the shape of those of any other."""


class SharedEncoder(Handle[JointEncoder]):
    """A handle on a joint encoder.

    Args:
        key: see :class:`.Handle`.
        portable_key: see :class:`.Handle`.
        modalities: the names of the encoder's modalities.
        sample_rate: rate of its waveforms in Hz.
        build: makes the encoder, on the CPU.
        recipe: arguments of :func:`load_encoder` that give this object again.
        pool: how frames are pooled, for the signature; None where the encoder says nothing.
        precision: of its networks, for the signature.
        frame_size: see :class:`.NamedEncoder`.
        shapes: see :class:`.JointEncoder`.
        fps: see :class:`.JointEncoder`.
        per_pair: see :class:`.JointEncoder`.
        first_use: checks what a module of the user's returns; None for any other encoder.
    """

    remembers = 2  # as a network does, see :class:`.networks.SharedNetwork`

    def __init__(
        self,
        key: str,
        portable_key: str,
        modalities: tuple[str, ...],
        sample_rate: int,
        build: Callable[[], JointEncoder],
        recipe: tuple[Any, ...],
        pool: Pool | None = None,
        precision: Precision = "float32",
        frame_size: int | None = None,
        shapes: Mapping[str, Shape] | None = None,
        fps: float = 1.0,
        per_pair: Mapping[str, tuple[str, ...]] | None = None,
        first_use: FirstUse | None = None,
    ) -> None:
        super().__init__(key, portable_key, sample_rate, build, recipe)
        self.modalities = modalities
        self.pool = pool
        self.precision = precision
        self.frame_size = frame_size
        self.shapes = shapes or {}
        self.fps = fps
        self.per_pair = per_pair or {}
        self.first_use = first_use

    def views(self, modality: str) -> list[str]:
        """Name the embeddings of a modality: itself, or one like ``text_for_audio`` for each partner."""
        return [f"{modality}_for_{partner}" for partner in self.per_pair.get(modality, ())] or [modality]

    def split(self, modality: str, rows: Tensor) -> dict[str, Tensor]:
        """Give what :meth:`encode` gave of a modality by the names of :meth:`views`, each (B, D)."""
        views = self.views(modality)
        return dict(zip(views, rows.chunk(len(views), dim=-1), strict=True))

    def encode(
        self,
        modality: str,
        batch: Batch,
        device: torch.device,
        asker: Asker = None,
        key: ContentKey | None = None,
    ) -> Tensor:
        """Encode a batch of one modality, or give the embeddings of one of the last two batches of the same content.

        The metrics of a collection see the same batch one after the other, see :meth:`.Handle._once`.

        Args:
            modality: one of ``modalities``.
            batch: as ``encode_<modality>`` takes it, on ``device``; not empty. Or a function that gives it, which is
                called only if it is encoded.
            device: where to encode.
            asker: ``id()`` of the metric that asks; None to encode in any case.
            key: what the batch follows from, see :func:`.content_key`; None for that of the batch itself.

        Returns:
            Embeddings, float32, (B, D); side by side, (B, P D), where there is one for each of P partners, see
            :meth:`split`.

        Raises:
            ValueError: the encoder returned something else than B rows.
        """
        key = _key(batch, asker, key)
        return self._once(modality, (), asker, lambda: self._encode(modality, batch, device, asker, key), key)

    def encode_both(
        self,
        modality: str,
        batch: Batch,
        device: torch.device,
        asker: Asker = None,
        key: ContentKey | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Give what the encoder has in front of its head, see :class:`.JointEncoder`, and the embeddings behind it.

        Args and errors are those of :meth:`encode`, which finds what was made here, and the other way round. Without a
        head both are the embeddings.
        """
        key = _key(batch, asker, key)
        behind = self.encode(modality, batch, device, asker, key)
        headed = hasattr(self.on(device), f"embed_{modality}")
        return (self._embed(modality, batch, device, asker, key) if headed else behind), behind

    def _embed(self, modality: str, batch: Batch, device: torch.device, asker: Asker, key: ContentKey | None) -> Tensor:
        method = f"embed_{modality}"
        return self._once(method, (), asker, lambda: self._run(method, batch, device), key)

    def _encode(
        self, modality: str, batch: Batch, device: torch.device, asker: Asker, key: ContentKey | None
    ) -> Tensor:
        if not hasattr(self.on(device), f"project_{modality}"):
            return self._run(f"encode_{modality}", batch, device)
        # Another asker, for who wants both asks twice of one batch.
        embedded = self._embed(modality, batch, device, asker and (asker, "encode"), key)
        return self._run(f"project_{modality}", embedded, device)

    def _run(self, method: str, batch: Batch | Tensor, device: torch.device, *, gradients: bool = False) -> Tensor:
        encoder = self.on(device)
        given = batch() if callable(batch) else batch
        with exact_float32(device, gradients=gradients):
            embeddings: Tensor = getattr(encoder, method)(given)
        self._check(encoder, method, given, embeddings, device)
        return embeddings.float() if gradients else embeddings.detach().float()

    def _check(self, encoder: Any, method: str, given: Any, embeddings: Any, device: torch.device) -> None:
        if not isinstance(embeddings, Tensor) or embeddings.ndim != 2 or len(embeddings) != len(given):
            got = tuple(embeddings.shape) if isinstance(embeddings, Tensor) else type(embeddings).__name__
            raise ValueError(f"Expected {method} of {encoder.name} to return ({len(given)}, D), got {got}.")
        if self.first_use and method.startswith("encode_"):
            views = len(self.views(method.removeprefix("encode_")))
            with exact_float32(device):
                self.first_use.check(f"{method} of {encoder.name}", given, embeddings, views, getattr(encoder, method))

    def differentiate(self, modality: str, batch: Sequence[Any], device: torch.device) -> Tensor:
        """Encode as :meth:`encode`, with gradients to the batch; nothing is kept."""
        return self._run(f"encode_{modality}", batch, device, gradients=True)

    def remark(self, modality: str, batch: Sequence[Any], device: torch.device) -> dict[int, str]:
        """Give the encoder's remarks on samples, place in the batch to remark, as ``encode`` takes the batch."""
        found: dict[int, str] = getattr(self.on(device), f"remark_{modality}", lambda _: {})(batch)
        return found

    def remarks(self, modality: str, device: torch.device) -> bool:
        """Tell whether the encoder ever remarks a sample of a modality."""
        return hasattr(self.on(device), f"remark_{modality}")

    def streams(self, device: torch.device) -> bool:
        """Tell whether the encoder takes pieces of frames or of a waveform in place of one tensor."""
        return bool(getattr(self.on(device), "streams", False))

    def forward(self, *inputs: Any) -> Tensor:
        """Encode; only here for :class:`torchmetrics.wrappers.FeatureShare`, which wraps it and finds it unused."""
        return self.encode(*inputs)

    def baseline(self, clap: str | None = None) -> "list[SharedEncoder]":
        """Give the encoders of CLIPCLAP beside a named joint encoder: CLIP, and CLAP or another one by name.

        Weights come from the folder of the joint encoder.
        """
        name, weights, _, precision = (*self._recipe, None, None, None)[:4]
        entry = find_encoder(name) if isinstance(name, str) else None
        if entry is None or not entry.baseline:
            able = ", ".join(known for known, other in ENCODERS.items() if other.baseline)
            raise ValueError(f"Expected one of {able} by name for the baseline, got {self.portable_key}.")
        clip, own = entry.baseline
        return [load_encoder(other, weights=weights, precision=precision) for other in (clip, clap or own)]

    def _before_build(self, device: torch.device) -> None:
        if self.precision == "bf16":
            warn_if_slow(device)

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, self._recipe


Encoder = str | JointEncoder | SharedEncoder
"""What a metric takes as its encoder: a name, an encoder object, or what :func:`load_encoder` gives."""


def _key(batch: Batch, asker: Asker, key: ContentKey | None) -> ContentKey | None:
    return key if key or asker is None else content_key(batch() if callable(batch) else batch)


def load_encoder(
    encoder: Encoder,
    *,
    weights: str | Path | None = None,
    pool: Pool = "after_head",
    precision: Precision = "float32",
) -> SharedEncoder:
    """Give the process-wide handle of an encoder.

    Args:
        encoder: a name, see :func:`.find_encoder`, an object as :class:`JointEncoder` describes it, or a handle, which
            is given back. Of an ``nn.Module`` a frozen copy is taken (eval mode, no gradients), so its later training
            changes no score.
        weights: for a name, the folder with the checkpoints (see :mod:`.checkpoints`), ``"seeded"`` for random
            weights whose scores mean nothing, or None for the environment variable MAJORSCORE_WEIGHTS, else download.
        pool: for a name, see :class:`.clip.CLIP`.
        precision: for a name, ``"bf16"`` multiplies matrices in bfloat16: faster where the processor knows it, and
            single similarities change in the third digit. Preparation, heads and cosines stay in float32.

    Returns:
        The handle; equal arguments give the same object.

    Raises:
        ValueError: an unknown name, or options of a named encoder given for an object.
        TypeError: an object that lacks a part of the protocol.
        FileNotFoundError: the weights folder or a file in it is missing.
    """
    if isinstance(encoder, str):
        shared = _by_name(encoder, weights, pool, precision)
    elif (weights, pool, precision) != (None, "after_head", "float32"):
        raise ValueError(
            f"Expected weights, pool and precision only with an encoder's name, got them with {type(encoder)}."
        )
    elif isinstance(encoder, SharedEncoder):
        return encoder
    else:
        shared = _by_object(encoder)
    return share(shared)


def _check_declared(encoder: Any) -> None:
    """Raise TypeError for what an encoder says of itself in another form than :class:`JointEncoder` has it."""
    names = getattr(encoder, "modalities", ())
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"Expected modalities as a tuple of names, like ('video', 'audio'), got {names!r}.")
    rate = getattr(encoder, "sample_rate", None)
    whole = isinstance(rate, (Integral, float)) and rate == int(rate) > 0
    if "audio" in names and hasattr(encoder, "sample_rate") and not whole:
        raise TypeError(f"Expected sample_rate as a whole number of Hz, like 16_000, got {rate!r}.")
    for name, shape in getattr(encoder, "shapes", {}).items():
        if not isinstance(shape, (tuple, list)) or not all(size is None or isinstance(size, int) for size in shape):
            raise TypeError(f"Expected shapes[{name!r}] as a tuple of sizes, like (1, None), got {shape!r}.")
    for name, partners in getattr(encoder, "per_pair", {}).items():
        if strange := [one for one in (name, *partners) if one not in names]:
            raise TypeError(f"Expected per_pair of {', '.join(names)}, got {strange[0]!r}.")


def _load(
    encoder: Encoder, weights: str | None = None, pool: Pool = "after_head", precision: Precision = "float32"
) -> SharedEncoder:
    """Give the handle that a pickle describes."""
    return load_encoder(encoder, weights=weights, pool=pool, precision=precision)


def _by_name(name: str, weights: str | Path | None, pool: Pool, precision: Precision) -> SharedEncoder:
    entry = find_encoder(name)
    if pool not in get_args(Pool):
        raise ValueError(f"Expected pool to be one of {list(get_args(Pool))}, got {pool!r}.")
    if precision not in get_args(Precision):
        raise ValueError(f"Expected precision to be one of {list(get_args(Precision))}, got {precision!r}.")
    source = entry.find_weights(weights)
    sample_rate, fps = entry.read_rates(source)
    # Nothing for float32, as in the rows and conditions that were saved before there was a choice.
    portable_key = "|".join([name, pool, source.key, *(["bf16"] if precision == "bf16" else [])])
    return SharedEncoder(
        source.local_key(portable_key),
        portable_key,
        entry.modalities,
        sample_rate,
        lambda: _in_precision(entry.build(source, pool), precision),
        (name, source.folder if source.folder and not entry.bundle else weights, pool, precision),
        pool,
        precision,
        entry.frame_size,
        fps=fps,
        per_pair=entry.per_pair,
    )


def _in_precision(encoder: Any, precision: Precision) -> JointEncoder:
    if precision == "bf16":
        use_bf16(encoder)
    built: JointEncoder = encoder
    return built


def _by_object(encoder: Any) -> SharedEncoder:
    # laion_clap's class, known by its name: importing it asks the network for tokenizers.
    if any(kind.__module__ == "laion_clap.hook" for kind in type(encoder).__mro__):
        from torchmetrics_majorscore.encoders.clap import from_clap_module

        with clean_build():
            encoder = from_clap_module(encoder)
    refuse_class(encoder, "an encoder")
    _check_declared(encoder)
    missing = [part for part in ("name", "modalities") if not hasattr(encoder, part)]
    missing += [f"encode_{m}" for m in getattr(encoder, "modalities", ()) if not hasattr(encoder, f"encode_{m}")]
    if "audio" in getattr(encoder, "modalities", ()) and not hasattr(encoder, "sample_rate"):
        missing.append("sample_rate")
    shapes = getattr(encoder, "shapes", {})
    missing += [f"shapes[{m!r}]" for m in getattr(encoder, "modalities", ()) if m not in PUBLIC and m not in shapes]
    if missing:
        raise TypeError(f"Expected an encoder with {', '.join(missing)}, got {type(encoder).__qualname__} without.")
    kept, key, portable_key = freeze(encoder)
    rate, modalities = getattr(kept, "sample_rate", 0), tuple(kept.modalities)
    fps = getattr(kept, "fps", 1.0)
    per_pair = dict(getattr(kept, "per_pair", {}))
    return SharedEncoder(
        key,
        portable_key,
        modalities,
        rate,
        lambda: kept,
        (kept,),
        shapes=dict(shapes),
        fps=fps,
        per_pair=per_pair,
        # Of a plain object, such as a stub or one whose vectors lie there already, only the cosines are taken.
        first_use=FirstUse() if isinstance(kept, nn.Module) else None,
    )
