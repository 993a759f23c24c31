"""Networks that say how far sound and frames of a clip are apart, and the handle on one."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import torch
from torch import Tensor

from torchmetrics_majorscore.encoders.base import exact_float32
from torchmetrics_majorscore.encoders.handle import Handle
from torchmetrics_majorscore.networks.prepare import Profile, describe, prepare
from torchmetrics_majorscore.networks.shared import freeze_parts, give_handle
from torchmetrics_majorscore.networks.table import SYNC

PARTS = ("name", "sample_rate", "fps", "shortest", "encode_audio", "encode_video", "compare")


class SyncNetwork(Protocol):
    """A frozen network that compares sound and frames. What is made of a clip must not depend on its neighbours."""

    name: str
    """Name with the digest of the weights, for example ``synchformer@1a2b3c4d``."""
    sample_rate: int
    """Rate in Hz at which ``encode_audio`` takes waveforms."""
    fps: int
    """Frames per second at which ``encode_video`` takes frames."""
    shortest: float
    """Seconds of both below which it compares nothing."""

    def encode_audio(self, batch: Sequence[Tensor]) -> list[Tensor]:
        """Hear mono waveforms (S,), float32 in [-1, 1]: for each, vectors of its segments (N, W, D), float32."""
        ...

    def encode_video(self, batch: Sequence[Tensor]) -> list[Tensor]:
        """See frames (T, 3, H, W), uint8 RGB: for each, vectors of its segments (N, W, D), float32."""
        ...

    def compare(self, video: Sequence[Tensor], audio: Sequence[Tensor]) -> Tensor:
        """Compare what both gave: logits of 21 offsets, in the first and in the last window, (B, 2, 21)."""
        ...


class SharedSync(Handle[SyncNetwork]):
    """A handle on a network that compares sound and frames, with how these come to it.

    Args:
        key: see :class:`.Handle`.
        portable_key: see :class:`.Handle`.
        sample_rate: at which the network takes waveforms, in Hz.
        fps: at which the network takes frames.
        shortest: seconds of sound and video that a clip must have.
        build: makes the network, on the CPU.
        recipe: arguments of :func:`load_sync` that give this object again.
        profile: see :func:`load_sync`.
        seconds: see :func:`load_sync`.
        slowest: frames per second below which no video is compared.
        column: of its values in a table.
    """

    def __init__(
        self,
        key: str,
        portable_key: str,
        sample_rate: int,
        fps: int,
        shortest: float,
        build: Callable[[], SyncNetwork],
        recipe: tuple[Any, ...],
        profile: Profile,
        seconds: float | None,
        slowest: float = 0.0,
        column: str = "desync",
    ) -> None:
        super().__init__(key, portable_key, sample_rate, build, recipe)
        self.slowest = slowest
        self.column = column
        self.fps = fps
        self.profile = profile
        self.seconds = seconds
        # av-benchmark leaves out what is shorter than what it takes of a clip.
        self.shortest = max(shortest, seconds or 0.0) if profile == "av-benchmark" else shortest

    @property
    def name(self) -> str:
        """The network's name with the digest of its weights and how clips come to it; builds the network."""
        return super().name + describe(self.profile, self.seconds)

    def encode_audio(self, batch: Sequence[Tensor], sample_rate: int, device: torch.device) -> list[Tensor]:
        """Hear mono waveforms (S,), float32, at ``sample_rate``, long enough: for each, (N, W, D)."""
        network = self.on(device)
        with exact_float32(device):
            waveforms = [
                prepare(
                    waveform.detach().to(device),
                    sample_rate,
                    self.sample_rate,
                    self.profile,
                    self.seconds,
                    centred=False,
                )
                for waveform in batch
            ]
            return [rows.detach().float() for rows in network.encode_audio(waveforms)]

    def encode_video(self, batch: Sequence[Tensor], device: torch.device) -> list[Tensor]:
        """See frames (T, 3, H, W), uint8 RGB, at ``fps``, long enough: for each, (N, W, D)."""
        network, most = self.on(device), None if self.seconds is None else int(self.fps * self.seconds)
        with exact_float32(device):
            return [rows.detach().float() for rows in network.encode_video([x[:most].to(device) for x in batch])]

    def compare(self, video: Sequence[Tensor], audio: Sequence[Tensor], device: torch.device) -> Tensor:
        """Compare what both gave: logits of offsets, (B, 2, 21), float32."""
        with exact_float32(device):
            return self.on(device).compare([x.to(device) for x in video], audio).detach().float()

    def hears(self, samples: int, sample_rate: int) -> bool:
        """Tell whether a waveform is long enough."""
        return math.ceil(samples * self.sample_rate / sample_rate) >= int(self.sample_rate * self.shortest)

    def sees(self, frames: int) -> bool:
        """Tell whether so many frames at ``fps`` are enough."""
        return frames >= int(self.fps * self.shortest)

    def describe_short(self, seconds: float) -> str:
        """Say of a sound or a video that it is too short."""
        return f"lasts {seconds:.3g} s, and {self.shortest:g} s are compared"

    def describe_slow(self, fps: float) -> str:
        """Say that a video has too few frames per second; "" if it has not."""
        return f"has {fps:.3g} frames per second, and {self.fps} are compared" if fps < self.slowest else ""

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, self._recipe


Sync = str | SyncNetwork | SharedSync
"""A network by name, an object, or what :func:`load_sync` gives."""


def compares(network: object) -> TypeGuard[Sync]:
    """Tell whether this is for :func:`load_sync`, and not for :func:`.load_network`."""
    known = isinstance(network, str) and network in SYNC
    return known or isinstance(network, SharedSync) or hasattr(network, "compare")


def load_sync(
    network: Sync = "synchformer",
    *,
    weights: str | Path | None = None,
    profile: Profile = "default",
    seconds: float | None = None,
) -> SharedSync:
    """Give the process-wide handle of a network that compares sound and frames.

    Args:
        network: a name out of :data:`SYNC`, an object as :class:`SyncNetwork` describes it, or a handle, which is given
            back. ``"sync-tiny"``, whose weights are in this package, knows the embedded world alone.
        weights: for a name, the folder with ``synchformer_state_dict.pth``, ``"seeded"`` for random weights whose
            scores mean nothing, or None for the environment variable MAJORSCORE_WEIGHTS, else download (1 GB).
        profile: ``"av-benchmark"`` resamples sounds, picks frames and leaves out clips shorter than ``seconds`` as
            av-benchmark does; the mean of a sound is subtracted in neither.
        seconds: what of a clip is taken, from its start; None for all of it, with ``"av-benchmark"`` for 8.

    Returns:
        The handle; equal arguments give the same object.

    Raises:
        ValueError: an unknown name or profile, or options given for a handle.
        TypeError: an object that lacks a part of the protocol.
        FileNotFoundError: the weights folder or a file in it is missing.
    """
    return give_handle(SharedSync, network, weights, profile, seconds, _by_name, _by_object)


def _load(network: Sync, weights: str | None, profile: Profile, seconds: float | None) -> SharedSync:
    """Give the handle that a pickle describes."""
    return load_sync(network, weights=weights, profile=profile, seconds=seconds)


def _by_name(name: str, weights: str | Path | None, profile: Profile, seconds: float | None) -> SharedSync:
    if name not in SYNC:
        known = " or ".join(map(repr, SYNC))
        raise ValueError(f"Expected network to be {known} or a network object, got {name!r}.")
    entry = SYNC[name]
    source = entry.find_weights(weights)
    portable_key = f"{name}|{source.key}|{describe(profile, seconds)}"

    def build() -> SyncNetwork:
        network: Any = entry.build(source)
        built: SyncNetwork = network
        return built

    return SharedSync(
        source.local_key(portable_key),
        portable_key,
        entry.sample_rate,
        entry.fps,
        entry.shortest,
        build,
        (name, source.folder or weights, profile, seconds),
        profile,
        seconds,
        entry.slowest,
        entry.column,
    )


def _by_object(network: Any, profile: Profile, seconds: float | None) -> SharedSync:
    kept, key, portable_key = freeze_parts(network, PARTS, profile, seconds)
    return SharedSync(
        key,
        portable_key,
        int(kept.sample_rate),
        int(kept.fps),
        float(kept.shortest),
        lambda: kept,
        (kept, None, profile, seconds),
        profile,
        seconds,
    )
