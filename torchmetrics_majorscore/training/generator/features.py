"""What the generator learns from, computed beforehand: latents of sounds, and features of their frames and captions."""

from dataclasses import dataclass
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
        clip: vectors of frames, float, (N, Tc, Dc); (N, 0, Dc) for samples without video.
        sync: synchronisation features, float, (N, Ts, Ds); (N, 0, Ds) for samples without video.
        text: states of the text tower, token by token, float, (N, Tt, Dt).
        empty_text: the same of the empty string, (Tt, Dt).
        ids: one for each sample.
        digest: of all that the features depend on; "" where nobody says.

    Raises:
        ValueError: they do not fit together.
    """

    latent_mean: Tensor
    latent_std: Tensor
    clip: Tensor
    sync: Tensor
    text: Tensor
    empty_text: Tensor
    ids: tuple[str, ...]
    digest: str = ""

    def __post_init__(self) -> None:
        count = len(self.ids)
        for name in COLUMNS:
            value = getattr(self, name)
            if value.ndim != 3 or len(value) != count:
                raise ValueError(f"Expected {name} of {count} samples, (N, T, D), got {tuple(value.shape)}.")
        if self.latent_mean.shape != self.latent_std.shape:
            shapes = f"{tuple(self.latent_mean.shape)} and {tuple(self.latent_std.shape)}"
            raise ValueError(f"Expected latent_mean and latent_std of one shape, got {shapes}.")
        if bool(self.clip.shape[1]) != bool(self.sync.shape[1]):
            raise ValueError("Expected clip and sync together, got one of them: both come from the video.")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def seen(self) -> bool:
        """Whether these samples have a video."""
        return self.clip.shape[1] > 0

    def write(self, path: Path) -> None:
        """Write a safetensors file."""
        metadata = {"ids": "\n".join(self.ids), "digest": self.digest}
        write_tensors(path, {name: getattr(self, name) for name in (*COLUMNS, "empty_text")}, metadata)


def read_features(path: Path) -> Features:
    """Read what :meth:`Features.write` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it lacks something.
    """
    from safetensors import safe_open

    tensors = read_tensors(path)
    missing = [name for name in (*COLUMNS, "empty_text") if name not in tensors]
    if missing:
        raise ValueError(f"Expected {path} to hold features of the generator, got no {', '.join(missing)}.")
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
    ids, digest = tuple(metadata.get("ids", "").split("\n")), metadata.get("digest", "")
    return Features(**{name: tensors[name] for name in (*COLUMNS, "empty_text")}, ids=ids, digest=digest)
