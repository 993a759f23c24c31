"""One set of encoder weights per process and device, shared by every metric that asks for it."""

import copy
import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from torchmetrics_majorscore.encoders.base import JointEncoder, Shape, clean_build, content_key, exact_float32
from torchmetrics_majorscore.encoders.precision import use_bf16, warn_if_slow
from torchmetrics_majorscore.encoders.table import ENCODERS, Pool, Precision

Key = tuple[object, ...]
Asker = Hashable | None

PUBLIC = ("video", "image", "text", "audio")
_SHARED: "WeakValueDictionary[str, SharedEncoder]" = WeakValueDictionary()


class SharedEncoder:
    """A handle on a frozen encoder that is built when it is first used.

    It is a plain object and not an ``nn.Module``, so a metric that holds it adds nothing to its parent's parameters,
    buffers, modules or checkpoint, and no ``train()``, ``half()`` or ``to(dtype)`` of the parent reaches the encoder.
    A copy is the object itself; a pickle holds how to build it, not the weights.

    Args:
        key: what tells this encoder from every other one of the process.
        portable_key: the same without anything that differs between processes or machines.
        modalities: the names of the encoder's modalities.
        sample_rate: rate of its waveforms in Hz.
        build: makes the encoder, on the CPU.
        recipe: arguments of :func:`load_encoder` that give this object again.
        pool: how frames are pooled, for the signature; None where the encoder says nothing.
        precision: of its networks, for the signature.
        frame_size: see :class:`.NamedEncoder`.
        shapes: see :class:`.JointEncoder`.
    """

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
    ) -> None:
        self.key = key
        self.portable_key = portable_key
        self.modalities = modalities
        self.sample_rate = sample_rate
        self.pool = pool
        self.precision = precision
        self.frame_size = frame_size
        self.shapes = shapes or {}
        self._build = build
        self._recipe = recipe
        self._replicas: dict[torch.device, JointEncoder] = {}
        self._last: dict[str, dict[Key, tuple[Tensor, set[Hashable]]]] = {}

    def encode(self, modality: str, batch: Sequence[Tensor | str], device: torch.device, asker: Asker = None) -> Tensor:
        """Encode a batch of one modality, or give the embeddings of one of the last two batches of the same content.

        The metrics of a collection see the same batch one after the other: the first one encodes, the others find
        the result here, each once, so that a metric's next batch is encoded even if it is equal. The comparison is by
        content, so an in-place edit of an input is never missed.

        Args:
            modality: one of ``modalities``.
            batch: as ``encode_<modality>`` takes it, on ``device``; not empty.
            device: where to encode.
            asker: ``id()`` of the metric that asks; None to encode in any case.

        Returns:
            Embeddings, float32, (B, D).

        Raises:
            ValueError: the encoder returned something else than B rows.
        """
        return self._once(modality, batch, asker, lambda key: self._encode(modality, batch, device, asker, key))

    def embed(self, modality: str, batch: Sequence[Tensor | str], device: torch.device, asker: Asker = None) -> Tensor:
        """Give what the encoder has in front of its head, see :class:`.JointEncoder`; of no head, its embeddings.

        Args and errors are those of :meth:`encode`, which finds what was given here, and the other way round.
        """
        if not hasattr(self.on(device), f"embed_{modality}"):
            return self.encode(modality, batch, device, asker)
        return self._embed(modality, batch, device, asker, None)

    def _embed(
        self, modality: str, batch: Sequence[Any], device: torch.device, asker: Asker, key: Key | None
    ) -> Tensor:
        def run(_: Key) -> Tensor:
            return self._run(f"embed_{modality}", batch, device, len(batch))

        return self._once(f"{modality} in front of the head", batch, asker, run, key)

    def _encode(self, modality: str, batch: Sequence[Any], device: torch.device, asker: Asker, key: Key) -> Tensor:
        if not hasattr(self.on(device), f"project_{modality}"):
            return self._run(f"encode_{modality}", batch, device, len(batch))
        # Who asks for both gets its second answer of one batch here, hence another asker.
        embedded = self._embed(modality, batch, device, asker and (asker, "encode"), key)
        return self._run(f"project_{modality}", embedded, device, len(batch))

    def _run(self, method: str, batch: Any, device: torch.device, count: int) -> Tensor:
        encoder = self.on(device)
        with exact_float32(device):
            embeddings: Tensor = getattr(encoder, method)(batch)
        if embeddings.ndim != 2 or len(embeddings) != count:
            raise ValueError(
                f"Expected {method} of {encoder.name} to return ({count}, D), got {tuple(embeddings.shape)}."
            )
        return embeddings.detach().float()

    def _once(
        self,
        what: str,
        batch: Sequence[Any],
        asker: Asker,
        make: Callable[[Key], Tensor],
        key: Key | None = None,
    ) -> Tensor:
        """Give what was made of a batch of this content, to each asker once, or make it."""
        if asker is None:
            return make(())
        key = key or content_key(batch)
        kept = self._last.setdefault(what, {})
        made, askers = kept.get(key, (None, set()))
        if made is None or asker in askers:
            kept.pop(key, None)
            made, askers = make(key), set()
            kept[key] = made, askers
            # Two: metrics of a reference ask for the sounds of both sides in turn.
            for old in list(kept)[:-2]:
                del kept[old]
        askers.add(asker)
        return made

    def differentiate(self, modality: str, batch: Sequence[Any], device: torch.device) -> Tensor:
        """Encode as :meth:`encode`, with gradients to the batch; nothing is kept."""
        encoder = self.on(device)
        with exact_float32(device, gradients=True):
            embeddings: Tensor = getattr(encoder, f"encode_{modality}")(batch).float()
        return embeddings

    def remark(self, modality: str, batch: Sequence[Any], device: torch.device) -> dict[int, str]:
        """Give the encoder's remarks on samples, place in the batch to remark, as ``encode`` takes the batch."""
        found: dict[int, str] = getattr(self.on(device), f"remark_{modality}", lambda _: {})(batch)
        return found

    def streams(self, device: torch.device) -> bool:
        """Tell whether the encoder takes pieces of frames or of a waveform in place of one tensor."""
        return bool(getattr(self.on(device), "streams", False))

    def forward(self, *inputs: Any) -> Tensor:
        """Encode; only here for :class:`torchmetrics.wrappers.FeatureShare`, which wraps it and finds it unused."""
        return self.encode(*inputs)

    def on(self, device: torch.device) -> JointEncoder:
        """Return the encoder on a device; built at the first call."""
        if device not in self._replicas:
            if self.precision == "bf16":
                warn_if_slow(device)
            with clean_build():
                encoder = copy.deepcopy(next(iter(self._replicas.values()))) if self._replicas else self._build()
                self._replicas[device] = encoder.to(device) if isinstance(encoder, nn.Module) else encoder
        return self._replicas[device]

    def offload(self) -> None:
        """Keep the weights on the CPU alone until the next use, which frees the memory of every other device."""
        cpu = torch.device("cpu")
        with clean_build():  # moved inside inference_mode, the weights would become inference tensors
            kept = self._replicas.pop(cpu, None) or next(iter(self._replicas.values()), None)
            self._replicas.clear()
            if kept is not None:
                self._replicas[cpu] = kept.to(cpu) if isinstance(kept, nn.Module) else kept
        self._last.clear()

    @property
    def name(self) -> str:
        """The encoder's name with the digest of its weights; builds the encoder."""
        device = next(iter(self._replicas), torch.device("cpu"))
        return self.on(device).name

    def baseline(self) -> "list[SharedEncoder]":
        """Give the encoders of CLIPCLAP beside a named joint encoder, CLIP and CLAP with the same weights."""
        name, weights, _, precision = (*self._recipe, None, None, None)[:4]
        if not isinstance(name, str) or not ENCODERS[name].baseline:
            raise ValueError(f"Expected c-mcr or c-mcr-tiny by name for the baseline, got {self.portable_key}.")
        return [load_encoder(other, weights=weights, precision=precision) for other in ENCODERS[name].baseline]

    def __copy__(self) -> "SharedEncoder":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "SharedEncoder":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, self._recipe


Encoder = str | JointEncoder | SharedEncoder
"""What a metric takes as its encoder: a name, an encoder object, or what :func:`load_encoder` gives."""


def load_encoder(
    encoder: Encoder,
    *,
    weights: str | Path | None = None,
    pool: Pool = "after_head",
    precision: Precision = "float32",
) -> SharedEncoder:
    """Give the process-wide handle of an encoder.

    Args:
        encoder: a name out of :data:`ENCODERS`, an object as :class:`JointEncoder` describes it, or a handle, which
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
    return _SHARED.setdefault(shared.key, shared)


def _load(
    encoder: Encoder, weights: str | None = None, pool: Pool = "after_head", precision: Precision = "float32"
) -> SharedEncoder:
    """Give the handle that a pickle describes."""
    return load_encoder(encoder, weights=weights, pool=pool, precision=precision)


def _by_name(name: str, weights: str | Path | None, pool: Pool, precision: Precision) -> SharedEncoder:
    if name not in ENCODERS:
        raise ValueError(f"Expected encoder to be one of {sorted(ENCODERS)} or an encoder object, got {name!r}.")
    if pool not in get_args(Pool):
        raise ValueError(f"Expected pool to be one of {list(get_args(Pool))}, got {pool!r}.")
    if precision not in get_args(Precision):
        raise ValueError(f"Expected precision to be one of {list(get_args(Precision))}, got {precision!r}.")
    entry = ENCODERS[name]
    source = entry.find_weights(weights)
    # Nothing for float32, as in the rows and conditions that were saved before there was a choice.
    portable_key = "|".join([name, pool, source.key, *(["bf16"] if precision == "bf16" else [])])
    return SharedEncoder(
        "|".join([portable_key, str(source.folder), *(str(path.stat().st_mtime_ns) for path in source.files.values())]),
        portable_key,
        entry.modalities,
        entry.sample_rate,
        lambda: _in_precision(entry.build(source, pool), precision),
        (name, source.folder if source.folder and not entry.bundle else weights, pool, precision),
        pool,
        precision,
        entry.frame_size,
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
    if isinstance(encoder, type):
        raise TypeError(
            f"Expected an encoder object, got the class {encoder.__qualname__}: pass {encoder.__qualname__}()."
        )
    missing = [part for part in ("name", "modalities") if not hasattr(encoder, part)]
    missing += [f"encode_{m}" for m in getattr(encoder, "modalities", ()) if not hasattr(encoder, f"encode_{m}")]
    if "audio" in getattr(encoder, "modalities", ()) and not hasattr(encoder, "sample_rate"):
        missing.append("sample_rate")
    shapes = getattr(encoder, "shapes", {})
    missing += [f"shapes[{m!r}]" for m in getattr(encoder, "modalities", ()) if m not in PUBLIC and m not in shapes]
    if missing:
        raise TypeError(f"Expected an encoder with {', '.join(missing)}, got {type(encoder).__qualname__} without.")
    portable_key = f"{type(encoder).__qualname__}|{encoder.name}"
    key = f"{portable_key}|{id(encoder)}"
    if isinstance(encoder, nn.Module):
        with clean_build():
            encoder = copy.deepcopy(encoder).eval().requires_grad_(False)
        key = portable_key = f"{portable_key}|{state_digest(encoder)}"
    kept = encoder
    return SharedEncoder(
        key,
        portable_key,
        tuple(kept.modalities),
        getattr(kept, "sample_rate", 0),
        lambda: kept,
        (kept,),
        shapes=dict(shapes),
    )


def state_digest(module: nn.Module) -> str:
    """Hash a module's parameters and persistent buffers: the first 8 hexadecimal digits of a SHA-256."""
    sha = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        sha.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        sha.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return sha.hexdigest()[:8]
