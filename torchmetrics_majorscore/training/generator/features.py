"""What the generator learns from, computed beforehand: latents of sounds, and features of their frames and captions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from torchmetrics_majorscore.encoders.checkpoints import read_tensors, write_tensors

COLUMNS = ("latent_mean", "latent_std", "clip", "sync", "text")


@dataclass(frozen=True)
class Features:
    """Features of N samples, time before channels.

    Args:
        latent_mean: of the sound's latent, as the autoencoder gives it, float, (N, L, C).
        latent_std: its standard deviation, float, (N, L, C).
        text: states of the text tower, token by token, float, (N, Tt, Dt).
        empty_text: the same of the empty string, (Tt, Dt).
        clip: vectors of frames, float, (N, Tc, Dc); None for samples without video.
        sync: synchronisation features, float, (N, Ts, Ds); None for samples without video.
        ids: one for each sample.
    """

    latent_mean: Tensor
    latent_std: Tensor
    text: Tensor
    empty_text: Tensor
    clip: Tensor | None
    sync: Tensor | None
    ids: tuple[str, ...]

    def __post_init__(self) -> None:
        count = len(self.ids)
        for name in COLUMNS:
            value = getattr(self, name)
            if value is not None and (value.ndim != 3 or len(value) != count):
                raise ValueError(f"Expected {name} of {count} samples, (N, T, D), got {tuple(value.shape)}.")
        if self.latent_mean.shape != self.latent_std.shape:
            shapes = f"{tuple(self.latent_mean.shape)} and {tuple(self.latent_std.shape)}"
            raise ValueError(f"Expected latent_mean and latent_std of one shape, got {shapes}.")
        if (self.clip is None) != (self.sync is None):
            raise ValueError("Expected clip and sync together, got one of them: both come from the video.")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int]) -> "Features":
        """Give some of the samples."""
        own = {name: None if getattr(self, name) is None else getattr(self, name)[list(rows)] for name in COLUMNS}
        return replace(self, ids=tuple(self.ids[row] for row in rows), **own)

    def write(self, path: Path) -> None:
        """Write a safetensors file."""
        named = {name: getattr(self, name) for name in (*COLUMNS, "empty_text")}
        kept = {name: value for name, value in named.items() if value is not None}
        write_tensors(path, kept, {"ids": "\n".join(self.ids)})


def read_features(path: Path) -> Features:
    """Read what :meth:`Features.write` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it lacks something.
    """
    from safetensors import safe_open

    tensors = read_tensors(path)
    missing = [name for name in ("latent_mean", "latent_std", "text", "empty_text") if name not in tensors]
    if missing:
        raise ValueError(f"Expected {path} to hold features of the generator, got no {', '.join(missing)}.")
    with safe_open(path, "pt") as file:
        ids = tuple((file.metadata() or {}).get("ids", "").split("\n"))
    return Features(**{"clip": None, "sync": None} | tensors, ids=ids)
