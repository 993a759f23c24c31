"""A handle on a frozen network: one set of weights per process and device, shared by every metric that asks for it."""

import copy
import hashlib
from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from torchmetrics_majorscore.encoders.base import clean_build, content_key


class Named(Protocol):
    """What a handle holds says what it is."""

    name: str


Asker = Hashable | None
ContentKey = tuple[object, ...]
Held = TypeVar("Held", bound=Named)
Result = TypeVar("Result")
AnyHandle = TypeVar("AnyHandle", bound="Handle[Any]")
_SHARED: "WeakValueDictionary[tuple[type, str], Handle[Any]]" = WeakValueDictionary()


class Handle(Generic[Held]):
    """A frozen network that is built when it is first used.

    It is a plain object and not an ``nn.Module``, so a metric that holds it adds nothing to its parent's parameters,
    buffers, modules or checkpoint, and no ``train()``, ``half()`` or ``to(dtype)`` of the parent reaches the network.
    A copy is the object itself; a pickle holds how to build it, not the weights.

    Args:
        key: what tells this network from every other one of the process.
        portable_key: the same without anything that differs between processes or machines.
        sample_rate: rate of its waveforms in Hz.
        build: makes the network, on the CPU.
        recipe: arguments that give this object again.
    """

    remembers: ClassVar[int] = 1
    """Batches of a kind whose results are kept for the other metrics of a collection."""

    def __init__(
        self, key: str, portable_key: str, sample_rate: int, build: Callable[[], Held], recipe: tuple[Any, ...]
    ) -> None:
        self.key = key
        self.portable_key = portable_key
        self.sample_rate = sample_rate
        self._build = build
        self._recipe = recipe
        self._replicas: dict[torch.device, Held] = {}
        self._last: dict[str, list[tuple[ContentKey, Any, set[Asker]]]] = {}

    def on(self, device: torch.device) -> Held:
        """Return the network on a device; built at the first call."""
        if device not in self._replicas:
            self._before_build(device)
            with clean_build():
                held = copy.deepcopy(next(iter(self._replicas.values()))) if self._replicas else self._build()
                self._replicas[device] = held.to(device) if isinstance(held, nn.Module) else held
        return self._replicas[device]

    def _before_build(self, device: torch.device) -> None:
        """Say what is to be said before a network comes to a device."""

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
        """The network's name with the digest of its weights; builds the network."""
        device = next(iter(self._replicas), torch.device("cpu"))
        return self.on(device).name

    def _once(
        self,
        kind: str,
        batch: Sequence[Tensor | str],
        asker: Asker,
        run: Callable[[], Result],
        key: ContentKey | None = None,
    ) -> Result:
        """Run, or give the result of one of the last batches of that kind if its content is the same.

        The metrics of a collection see the same batch one after the other: the first one runs, the others find the
        result here, each once, so that a metric's next batch is run even if it is equal. The comparison is by content,
        so an in-place edit of an input is never missed.

        Args:
            kind: results of different kinds do not meet.
            batch: what the result depends on.
            asker: ``id()`` of the metric that asks; None to run in any case.
            run: makes the result.
            key: the batch's :func:`.content_key`, if it is known.
        """
        if asker is None:
            return run()
        key, kept = key or content_key(batch), self._last.setdefault(kind, [])
        for known, result, askers in kept:
            if known == key and asker not in askers:
                askers.add(asker)
                found: Result = result
                return found
        made = run()
        self._last[kind] = [*(entry for entry in kept if entry[0] != key), (key, made, {asker})][-self.remembers :]
        return made

    def __copy__(self: AnyHandle) -> AnyHandle:
        return self

    def __deepcopy__(self: AnyHandle, memo: dict[int, Any]) -> AnyHandle:
        return self


def share(handle: AnyHandle) -> AnyHandle:
    """Give the process-wide handle of that kind and key, which is this one if there was none."""
    kept: Any = _SHARED.setdefault((type(handle), handle.key), handle)
    return kept  # type: ignore[no-any-return]


def freeze(network: Any) -> tuple[Any, str, str]:
    """Take a user's object for good: of an ``nn.Module`` a frozen copy, in eval mode and without gradients.

    Returns:
        The object, its key and its portable key, see :class:`Handle`.
    """
    portable_key = f"{type(network).__qualname__}|{network.name}"
    if not isinstance(network, nn.Module):
        return network, f"{portable_key}|{id(network)}", portable_key
    with clean_build():
        frozen = copy.deepcopy(network).eval().requires_grad_(False)
    key = f"{portable_key}|{state_digest(frozen)}"
    return frozen, key, key


def refuse_class(given: Any, kind: str) -> None:
    """Raise TypeError where a class was given in place of an object."""
    if isinstance(given, type):
        name = given.__qualname__
        raise TypeError(f"Expected {kind} object, got the class {name}: pass {name}().")


def state_digest(module: nn.Module) -> str:
    """Hash a module's parameters and persistent buffers: the first 8 hexadecimal digits of a SHA-256."""
    sha = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        sha.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        sha.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return sha.hexdigest()[:8]
