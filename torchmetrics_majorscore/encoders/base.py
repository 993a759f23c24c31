"""What an encoder is, and how every encoder is run: frozen, in float32, the same bits for any batch split."""

import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torchmetrics_majorscore.encoders.checkpoints import Weights

Shape = tuple[int | None, ...]
"""Of a sample; None for a dimension of any size."""
STEP = 0x1E3779B97F4A7C15
WORDS_AT_ONCE = 1 << 15


class JointEncoder(Protocol):
    """A frozen network that maps each of its modalities to unit vectors of one space.

    For every name in ``modalities`` it has a method ``encode_<name>(batch) -> Tensor``, float32, (B, D), unit norm:

    - ``encode_video``: list of frames (T, 3, H, W), uint8 RGB, T >= 1, already picked at one per second, or at ``fps``
      if the encoder has that;
    - ``encode_image``: list of pictures (3, H, W), uint8 RGB;
    - ``encode_text``: list of str;
    - ``encode_audio``: list of mono waveforms (S,), float32 in [-1, 1], S >= 1, at ``sample_rate``;
    - ``encode_depth`` or any other name: list of tensors, float32, of the shape that ``shapes`` declares for it:
      ``{"depth": (1, 224, 224), "points": (None, 3)}``, None for a dimension of any size.

    One whose embedding of a modality depends on the other modality of the pair declares ``per_pair``, ``{"text":
    ("video", "audio")}``, and gives (B, 2 D): the unit vectors for each of these partners side by side.

    The batch is on the metric's device. The embedding of a sample must not depend on its neighbours. An encoder with
    ``streams = True`` also takes pieces of frames or of a waveform, any iterable of tensors, in place of one tensor, so
    that a long clip is never whole in memory. For words on samples that it encodes though they look like a mistake, it
    may have ``remark_<name>(batch) -> dict[int, str]``, place in the batch to remark. One whose ``encode_audio`` is a
    network and a head behind it may give both, ``embed_audio(batch) -> Tensor`` and ``project_audio(embedded) ->
    Tensor``: who wants the network's own vectors too then runs it once.
    """

    name: str
    """Name with the digest of the weights, for example ``c-mcr@3f2a9c1d``."""
    modalities: tuple[str, ...]
    sample_rate: int
    """Rate in Hz at which ``encode_audio`` takes waveforms."""


def in_micro_batches(network: Callable[[Tensor], Tensor], batch: Tensor | Iterable[Tensor], size: int) -> Tensor:
    """Run a network over a batch, always on exactly ``size`` rows.

    Matrix products choose their blocking by shape, so a row's last bits depend on how many rows stand beside it. With
    one constant shape they do not; the last micro-batch is filled up with copies of its last row.

    Args:
        network: maps (size, ...) to (size, D), row by row.
        batch: shape (N, ...), N >= 1, or its pieces one after the other, of which no more than needed are kept.
        size: rows per call.

    Returns:
        Outputs, shape (N, D).
    """

    def outputs() -> Iterator[Tensor]:
        waiting: Tensor | None = None
        for piece in (batch,) if isinstance(batch, Tensor) else batch:
            waiting = piece if waiting is None else torch.cat([waiting, piece])
            while len(waiting) >= size:
                yield network(waiting[:size].contiguous())
                waiting = waiting[size:]
        if waiting is not None and len(waiting):
            filler = waiting[-1:].expand(size - len(waiting), *waiting.shape[1:])
            yield network(torch.cat([waiting, filler]))[: len(waiting)]

    return join_rows(outputs()).clone()  # of the size of what it holds


def join_rows(parts: Iterable[Tensor]) -> Tensor:
    """Join rows in one buffer that doubles: thousands of parts between other allocations would scatter the memory.

    Args:
        parts: shape (N_i, ...), at least one.

    Returns:
        Shape (sum of N_i, ...).
    """
    buffer, length = torch.empty(0), 0
    for part in parts:
        reached = length + len(part)
        if reached > len(buffer):
            grown = part.new_empty(2 * reached, *part.shape[1:])
            if length:
                grown[:length] = buffer[:length]
            buffer = grown
        buffer[length:reached] = part
        length = reached
    return buffer[:length]


class _Settings:
    """What torch keeps for the whole process: the first thread in changes it, the last one out restores it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._restore = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._restore.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
                self._restore.callback(torch.set_default_dtype, torch.get_default_dtype())
                exact = {"enabled": True, "benchmark": False, "deterministic": True, "allow_tf32": False}
                self._restore.enter_context(torch.backends.cudnn.flags(**exact))
            self._inside += 1
            torch.set_float32_matmul_precision("highest")
            torch.set_default_dtype(torch.float32)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._restore.close()


_SETTINGS = _Settings()


@contextmanager
def exact_float32(device: torch.device, *, gradients: bool = False) -> Iterator[None]:
    """Run in true float32, without autocast, TF32, inference tensors, or gradients if not wanted; restores them."""
    # In this order: leaving inference_mode restores the gradients as they were when it was entered.
    with (
        _SETTINGS,
        torch.inference_mode(False),
        torch.set_grad_enabled(gradients),
        torch.autocast(device.type, enabled=False),
    ):
        yield


@contextmanager
def clean_build() -> Iterator[None]:
    """Build weights on the CPU in float32 whatever surrounds the call; the random states are left as they were."""
    import numpy as np

    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with _SETTINGS, torch.inference_mode(False), torch.device("cpu"), torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002


def content_key(batch: Sequence[Tensor | str]) -> tuple[object, ...]:
    """Describe a batch by its content: equal keys mean equal texts, and tensors equal but for a 64-bit hash."""
    tensors = [item for item in batch if isinstance(item, Tensor)]
    shapes = [(tensor.dtype, tuple(tensor.shape), str(tensor.device)) for tensor in tensors]
    return (*(item for item in batch if isinstance(item, str)), *shapes, *digests(tensors))


def digests(tensors: Sequence[Tensor]) -> list[int]:
    """Hash the bits of each tensor to 64 bits; shape and dtype take no part."""
    return torch.stack([_digest(tensor) for tensor in tensors]).tolist() if tensors else []


def _digest(tensor: Tensor) -> Tensor:
    """Hash a tensor on its own device: each 64-bit word mixed with its position, summed modulo 2**64."""
    raw = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    if raw.numel() % 8 or raw.storage_offset() % 8:  # no words of 64 bits as it lies
        raw = torch.cat([raw, raw.new_zeros(-raw.numel() % 8)])
    words = raw.view(torch.int64)
    # A processor's cache holds a part and what is made of it; a GPU is to get few, large calls.
    size = WORDS_AT_ONCE if tensor.device.type == "cpu" else max(1, len(words))
    places = torch.arange(1, min(size, len(words)) + 1, device=words.device).mul_(STEP)
    sums = [_mixed(words[start : start + size], places, start).sum() for start in range(0, len(words), size)]
    return torch.stack(sums).sum() if sums else words.sum()


def _mixed(words: Tensor, places: Tensor, start: int) -> Tensor:
    offset = (start * STEP + 2**63) % 2**64 - 2**63  # as an int64 wraps around
    mixed = (places[: len(words)] + offset).bitwise_xor_(words)
    for shift, factor in ((32, 0x3F58476D1CE4E5B9), (29, 0x14D049BB133111EB)):
        mixed.bitwise_xor_(mixed >> shift).mul_(factor)
    return mixed.bitwise_xor_(mixed >> 32)


def load_strictly(module: nn.Module, tensors: dict[str, Tensor], what: str) -> None:
    """Load a state dict whose keys and shapes must all fit; tensors are converted to the module's dtypes.

    Args:
        module: receives the tensors.
        tensors: name to tensor.
        what: the checkpoint's name, for the message.

    Raises:
        ValueError: a key is missing, unexpected or of another shape; the message names the first one.
    """
    expected = module.state_dict()
    for name in sorted(expected.keys() ^ tensors.keys()):
        state = "lacks" if name in expected else "has an unexpected"
        raise ValueError(f"Expected {what} to have {len(expected)} tensors, got {len(tensors)}: it {state} {name!r}.")
    for name, tensor in expected.items():
        if tensor.shape != tensors[name].shape:
            shapes = f"{tuple(tensor.shape)}, got {tuple(tensors[name].shape)}"
            raise ValueError(f"Expected {name!r} of {what} to have shape {shapes}.")
    module.load_state_dict(tensors)


def load_or_seed(
    module: nn.Module,
    weights: "Weights",
    key: str,
    load: Callable[[Any, dict[str, Tensor], str], None] = load_strictly,
) -> None:
    """Load a checkpoint into a module, or seeded random numbers where there is none.

    Args:
        module: receives the tensors.
        weights: where the checkpoint comes from.
        key: of the checkpoint, see :func:`.find_weights`.
        load: takes the module, the checkpoint's tensors and its name; for files that need more than to be loaded.

    Raises:
        ValueError: the checkpoint has other tensors.
        FileNotFoundError: there is no checkpoint.
    """
    if weights.drawn:
        seed_weights(module)
    else:
        load(module, weights.read(key), weights.path(key).name)


FIXED = ("spectrogram_extractor.", "logmel_extractor.")
"""Parts of PANNs' networks that are no weights: the matrices of Fourier transform and mel."""


def seed_weights(module: nn.Module, seed: int = 0) -> None:
    """Fill a network with seeded random numbers, BatchNorm statistics included. Its scores mean nothing."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in sorted(module.state_dict().items()):
        if not tensor.is_floating_point() or any(fixed in name for fixed in FIXED):
            continue
        noise = torch.randn(tensor.shape, generator=generator)
        if name.endswith("running_var"):
            tensor.copy_(1.0 + 0.2 * noise.abs())
        elif tensor.ndim >= 2:
            tensor.copy_(noise * tensor[0].numel() ** -0.5)
        else:
            tensor.copy_(0.02 * noise + (0.0 if name.endswith(("bias", "running_mean")) else 1.0))
