"""The handle on a network, and who gets which."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchmetrics_majorscore.encoders.base import exact_float32
from torchmetrics_majorscore.encoders.handle import AnyHandle, Handle, freeze, refuse_class, share
from torchmetrics_majorscore.networks.base import Encoded, FeatureNetwork
from torchmetrics_majorscore.networks.prepare import Profile, check_seconds, describe, prepare
from torchmetrics_majorscore.networks.table import NETWORKS


class SharedNetwork(Handle[FeatureNetwork]):
    """A handle on a network, with how waveforms come to it.

    Args:
        key: see :class:`.Handle`.
        portable_key: see :class:`.Handle`.
        sample_rate: at which the network takes waveforms, in Hz.
        build: makes the network, on the CPU.
        recipe: arguments of :func:`load_network` that give this object again.
        profile: see :func:`.prepare`.
        seconds: see :func:`.prepare`.
    """

    logit_choices: tuple[str, ...] = ()
    """What moves the logits beside the network's weights, for the signature."""
    remembers = 2  # a metric asks for what was generated and for its reference before the next metric does

    def __init__(
        self,
        key: str,
        portable_key: str,
        sample_rate: int,
        build: Callable[[], FeatureNetwork],
        recipe: tuple[Any, ...],
        profile: Profile = "default",
        seconds: float | None = None,
    ) -> None:
        super().__init__(key, portable_key, sample_rate, build, recipe)
        self.profile = profile
        self.seconds = seconds

    @property
    def name(self) -> str:
        """The network's name with the digest of its weights and how waveforms come to it; builds the network."""
        return super().name + describe(self.profile, self.seconds)

    def encode(
        self, batch: Sequence[Tensor], sample_rate: int, device: torch.device, asker: int | None = None
    ) -> Encoded:
        """Hear a batch, or give what was made of one of the last two if its content is the same.

        Args:
            batch: mono waveforms (S,), float32 in [-1, 1], S >= 1; not empty.
            sample_rate: their rate in Hz.
            device: where to run.
            asker: ``id()`` of the metric that asks; None to run in any case.

        Returns:
            ``"features"``, float32, (B, D) or a list of B tensors (W_i, D), and ``"logits"``, (B, C), where the network
            classifies; NaN for a sound that is shorter than it takes, see :meth:`remark`.

        Raises:
            ValueError: the network returned something else.
        """
        return self._once(str(sample_rate), batch, asker, lambda: self._encode(batch, sample_rate, device))

    def remark(self, batch: Sequence[Tensor], sample_rate: int, device: torch.device) -> dict[int, str]:
        """Say which sounds are shorter than the network takes, place in the batch to remark."""
        shortest, own = self._shortest(device), self.sample_rate
        lengths = {place: self._length(len(waveform), sample_rate) for place, waveform in enumerate(batch)}
        return {
            place: f"is too short for {self.portable_key.partition('|')[0]} (takes {shortest / own:g} s and more, got "
            f"{length / own:.3g} s), so it has no features"
            for place, length in lengths.items()
            if length < shortest
        }

    def _encode(self, batch: Sequence[Tensor], sample_rate: int, device: torch.device) -> Encoded:
        network, shortest = self.on(device), self._shortest(device)
        with exact_float32(device):
            waveforms = [
                prepare(waveform.detach().to(device), sample_rate, self.sample_rate, self.profile, self.seconds)
                for waveform in batch
            ]
            short = [place for place, waveform in enumerate(waveforms) if len(waveform) < shortest]
            for place in short:
                waveforms[place] = waveforms[place].new_zeros(shortest)  # for the shape of its NaN
            encoded = _check(network.encode_audio(waveforms), len(batch), network.name)
        for rows in encoded.values():
            for place in short:
                rows[place].fill_(math.nan)
        return encoded

    def _shortest(self, device: torch.device) -> int:
        return int(getattr(self.on(device), "shortest", 1))

    def _length(self, samples: int, sample_rate: int) -> int:
        """Count the samples that the network gets of so many."""
        length = math.ceil(samples * self.sample_rate / sample_rate)
        return length if self.seconds is None else min(length, int(self.sample_rate * self.seconds))

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, self._recipe


def _check(encoded: Encoded, count: int, name: str) -> dict[str, Tensor | list[Tensor]]:
    """Give what a network returned as float32; raise ValueError for what is no row or list of rows per sample."""
    checked: dict[str, Tensor | list[Tensor]] = {}
    for key, rows in encoded.items():
        several = key == "features" and not isinstance(rows, Tensor)
        if len(rows) != count or any(row.ndim != 1 + several for row in rows):
            shapes = [tuple(row.shape) for row in rows]
            wanted = f"({count}, D) or {count} tensors (W, D)" if key == "features" else f"({count}, C)"
            raise ValueError(f"Expected encode_audio of {name} to return {key} {wanted}, got rows {shapes[:3]}.")
        # Copies: what a network keeps is not written into.
        copies = [row.detach().to(torch.float32, copy=True) for row in rows]
        checked[key] = copies if several else torch.stack(copies)
    if "features" not in checked:
        raise ValueError(f"Expected encode_audio of {name} to return features, got {', '.join(checked) or 'nothing'}.")
    return checked


Network = str | FeatureNetwork | SharedNetwork
"""A network by name, an object, or what :func:`load_network` gives."""


def load_network(
    network: Network,
    *,
    weights: str | Path | None = None,
    profile: Profile = "default",
    seconds: float | None = None,
) -> SharedNetwork:
    """Give the process-wide handle of a network.

    Args:
        network: a name out of :data:`.NETWORKS`, an object as :class:`.FeatureNetwork` describes it, or a handle, which
            is given back. Of an ``nn.Module`` a frozen copy is taken (eval mode, no gradients).
        weights: for a name, the folder with the checkpoints (see :mod:`.checkpoints`), ``"seeded"`` for random weights
            whose scores mean nothing, or None for the environment variable MAJORSCORE_WEIGHTS, else download.
        profile: how waveforms come to the network, see :func:`.prepare`; ``"av-benchmark"`` as in its tables.
        seconds: what of a sound is heard, from its start; None for all of it, with ``"av-benchmark"`` for 8.

    Returns:
        The handle; equal arguments give the same object.

    Raises:
        ValueError: an unknown name or profile, or options given for a handle.
        TypeError: an object that lacks a part of the protocol.
        FileNotFoundError: the weights folder or a file in it is missing.
    """
    return give_handle(SharedNetwork, network, weights, profile, seconds, _by_name, _by_object)


def give_handle(
    kind: type[AnyHandle],
    network: Any,
    weights: str | Path | None,
    profile: Profile,
    seconds: float | None,
    by_name: Callable[[str, str | Path | None, Profile, float | None], AnyHandle],
    by_object: Callable[[Any, Profile, float | None], AnyHandle],
) -> AnyHandle:
    """Give the process-wide handle of one kind, for :func:`load_network` and :func:`.load_sync`."""
    if isinstance(network, kind):
        if (weights, profile, seconds) != (None, "default", None):
            raise ValueError(f"Expected no options beside a handle, got them with {network.portable_key}.")
        return network
    seconds = check_seconds(profile, seconds)
    if isinstance(network, str):
        return share(by_name(network, weights, profile, seconds))
    if weights is not None:
        raise ValueError(f"Expected weights only with a network's name, got them with {type(network)}.")
    return share(by_object(network, profile, seconds))


def freeze_parts(network: Any, parts: Sequence[str], profile: Profile, seconds: float | None) -> tuple[Any, str, str]:
    """Take a user's network, which has all ``parts``, for good: itself, its key and its portable key."""
    refuse_class(network, "a network")
    if missing := [part for part in parts if not hasattr(network, part)]:
        raise TypeError(f"Expected a network with {', '.join(missing)}, got {type(network).__qualname__} without.")
    kept, *keys = freeze(network)
    key, portable_key = (f"{key}|{describe(profile, seconds)}" for key in keys)
    return kept, key, portable_key


def _load(network: Network, weights: str | None, profile: Profile, seconds: float | None) -> SharedNetwork:
    """Give the handle that a pickle describes."""
    return load_network(network, weights=weights, profile=profile, seconds=seconds)


def _by_name(name: str, weights: str | Path | None, profile: Profile, seconds: float | None) -> SharedNetwork:
    if name not in NETWORKS:
        known = f"one of {sorted(NETWORKS)} or a network object (for DeSync: load_sync('synchformer'))"
        raise ValueError(f"Expected network to be {known}, got {name!r}.")
    entry = NETWORKS[name]
    source = entry.find_weights(weights)
    portable_key = f"{name}|{source.key}|{describe(profile, seconds)}"
    return SharedNetwork(
        source.local_key(portable_key),
        portable_key,
        entry.sample_rate,
        lambda: entry.build(source),
        (name, source.folder or weights, profile, seconds),
        profile,
        seconds,
    )


def _by_object(network: Any, profile: Profile, seconds: float | None) -> SharedNetwork:
    kept, key, portable_key = freeze_parts(network, ("name", "sample_rate", "encode_audio"), profile, seconds)
    recipe = (kept, None, profile, seconds)
    return SharedNetwork(key, portable_key, int(kept.sample_rate), lambda: kept, recipe, profile, seconds)
