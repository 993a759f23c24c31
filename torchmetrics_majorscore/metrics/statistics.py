"""Mean and covariance of a reference's features as a file: computed once, and of one network only."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.replace import replacing

FORMAT = "majorscore feature statistics 1"


@dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """What a Fréchet distance needs to know of a set of features, (8 D + 8) D bytes.

    Args:
        mean: (D,), float64.
        covariance: (D, D), float64, divided by N - 1.
        count: N, the number of feature rows.
        ids: of the samples, int64, sorted; a string's is its hash, and samples without an id have none.
        network: name of what made the features, with a digest of its weights.
    """

    mean: Tensor
    covariance: Tensor
    count: int
    ids: Tensor
    network: str

    def save(self, path: str | Path) -> None:
        """Write a safetensors file.

        Args:
            path: of the file; an older one is replaced, and never left half written.

        Raises:
            ModuleNotFoundError: safetensors is missing.
            OSError: it cannot be written.
        """
        needs_extra("safetensors", "evaluation")
        from safetensors.torch import save

        tensors = {"mean": self.mean, "covariance": self.covariance, "ids": self.ids}
        about = {"format": FORMAT, "count": str(self.count), "network": self.network}
        with replacing(Path(path)) as unfinished:
            unfinished.write_bytes(save({name: part.contiguous() for name, part in tensors.items()}, about))

    @classmethod
    def load(cls, path: str | Path) -> "FeatureStatistics":
        """Read what :meth:`save` wrote.

        Args:
            path: of the file.

        Raises:
            ModuleNotFoundError: safetensors is missing.
            ValueError: it is another kind of file.
            FileNotFoundError: there is none.
        """
        needs_extra("safetensors", "evaluation")
        from safetensors import SafetensorError, safe_open

        if not Path(path).is_file():
            raise FileNotFoundError(f"Expected a file of feature statistics, got no file at {path}.")
        try:
            with safe_open(str(path), "pt") as file:
                about = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
        except SafetensorError as error:
            raise ValueError(f"Expected a file of feature statistics, got {path}: {error}.") from error
        if about.get("format") != FORMAT or tensors.keys() != {"mean", "covariance", "ids"}:
            raise ValueError(f"Expected a file of feature statistics, got another safetensors file, {path}.")
        return cls(count=int(about["count"]), network=about["network"], **tensors)

    @property
    def digest(self) -> str:
        """8 hexadecimal digits that tell statistics apart."""
        whole = hashlib.blake2b(f"{self.network} {self.count}".encode(), digest_size=4)
        for part in (self.mean, self.covariance):
            whole.update(part.contiguous().numpy().tobytes())
        return whole.hexdigest()


def as_statistics(reference: "FeatureStatistics | str | Path") -> FeatureStatistics:
    """Give the statistics of a file, or those given."""
    return reference if isinstance(reference, FeatureStatistics) else FeatureStatistics.load(reference)


def check_network(reference: FeatureStatistics, network: str | None, where: str = "") -> None:
    """Raise ValueError if statistics are those of another network's features; ``where`` ends the message."""
    if reference.network != network:
        raise ValueError(f"Expected statistics of network={network!r}, got those of {reference.network!r}{where}.")


def statistics_of(rows: Tensor, ids: Tensor, network: str) -> FeatureStatistics:
    """Take the statistics of feature rows, float32 (N, D); ids int64 (M,), where a sample may have several rows."""
    wide = rows.double()
    return FeatureStatistics(wide.mean(dim=0).cpu(), wide.T.cov().cpu(), len(rows), torch.unique(ids.cpu()), network)
