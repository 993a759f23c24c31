"""C-MCR: CLIP and CLAP with one small head each, which map both into one joint space.

Source: Wang et al., "Connecting Multi-modal Contrastive Representations", NeurIPS 2023. Video and text go through the
CLIP-side head, audio through the CLAP-side head; vectors have unit norm in front of a head and behind it.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from torchmetrics_majorscore.encoders import clap, clip
from torchmetrics_majorscore.encoders.base import clean_build, load_or_seed
from torchmetrics_majorscore.encoders.checkpoints import Weights, find_weights
from torchmetrics_majorscore.encoders.handle import state_digest
from torchmetrics_majorscore.encoders.table import Pool


class Head(nn.Module):
    """One head: Linear, BatchNorm, ReLU, Linear, BatchNorm; names as in the public ``clap_clip.pt``.

    Args:
        width: of its input.
        hidden: width between.
        dim: width of its output.
    """

    def __init__(self, width: int = 512, hidden: int = 1024, dim: int = 512) -> None:
        super().__init__()
        self.net1 = nn.Sequential(nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU())
        self.net2 = nn.Sequential(nn.Linear(hidden, dim), nn.BatchNorm1d(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, width) to (N, dim)."""
        out: Tensor = self.net2(self.net1(x))
        return out


class Heads(nn.Module):
    """The two heads of ``clap_clip.pt``: ``Head_A`` behind CLAP, ``Head_B`` behind CLIP.

    Args:
        clap: width of CLAP's embeddings.
        clip: width of CLIP's embeddings.
        hidden: width inside a head.
        dim: width of the joint space.
    """

    def __init__(self, clap: int = 512, clip: int = 512, hidden: int = 1024, dim: int = 512) -> None:
        super().__init__()
        self.Head_A = Head(clap, hidden, dim)
        self.Head_B = Head(clip, hidden, dim)


class CMCR(nn.Module):
    """The joint encoder of MAJORScore: video, text and audio in one space of 512 dimensions.

    Args:
        clip: CLIP with its head.
        clap: CLAP with its head; its text tower is not used.
        name: name with the digest of the weights.
    """

    modalities = ("video", "text", "audio")
    streams = True

    def __init__(self, clip: clip.CLIP, clap: clap.CLAP, name: str) -> None:
        super().__init__()
        self.clip = clip
        self.clap = clap
        self.name = name
        self.sample_rate = clap.sample_rate
        self.eval().requires_grad_(False)

    def encode_video(self, batch: Sequence[Tensor | Iterable[Tensor]]) -> Tensor:
        """Encode videos, see :meth:`.clip.CLIP.encode_video`."""
        return self.clip.encode_video(batch)

    def encode_text(self, batch: Sequence[str]) -> Tensor:
        """Encode captions, see :meth:`.clip.CLIP.encode_text`."""
        return self.clip.encode_text(batch)

    def encode_audio(self, batch: Sequence[Tensor | Iterable[Tensor]]) -> Tensor:
        """Encode waveforms, see :meth:`.clap.CLAP.encode_audio`."""
        return self.clap.encode_audio(batch)

    def embed_audio(self, batch: Sequence[Tensor | Iterable[Tensor]]) -> Tensor:
        """Encode waveforms in CLAP's own space, see :meth:`.clap.CLAP.embed_audio`."""
        return self.clap.embed_audio(batch)

    def project_audio(self, embedded: Tensor) -> Tensor:
        """Map them into the joint space, see :meth:`.clap.CLAP.project_audio`."""
        return self.clap.project_audio(embedded)

    def remark_text(self, batch: Sequence[str]) -> dict[int, str]:
        """Say which captions are cut, see :meth:`.clip.CLIP.remark_text`."""
        return self.clip.remark_text(batch)


def load_heads(weights: Weights) -> Heads:
    """Build the heads and load ``clap_clip.pt``."""
    heads = Heads()
    load_or_seed(heads, weights, "heads")
    return heads


def load(weights: Weights, pool: Pool) -> CMCR:
    """Build C-MCR from its three checkpoints."""
    return _connect(weights, pool, clap.load_network(weights))


def load_with_clap(module: Any, weights: str | Path | None = None, pool: Pool = "after_head") -> CMCR:
    """Build C-MCR around the CLAP of a loaded ``laion_clap.CLAP_Module``, which the heads should have been trained for.

    Args:
        module: its audio network is copied.
        weights: the folder with the checkpoints of CLIP and of the heads, see :func:`.load_encoder`.
        pool: see :class:`.clip.CLIP`.

    Returns:
        What a metric takes as ``encoder``; with the weights of ``630k-fusion-best.pt``, the encoder ``"c-mcr"``.

    Raises:
        ValueError: it has another audio network than HTSAT.
        FileNotFoundError: the weights folder or a file in it is missing.
    """
    with clean_build():
        network = clap.fill_network(module.model.state_dict(), "laion_clap's CLAP_Module")
        return _connect(find_weights(["clip", "heads"], weights), pool, network)


def _connect(weights: Weights, pool: Pool, network: nn.Module) -> CMCR:
    heads = load_heads(weights)
    parts = (
        clip.CLIP(clip.load_network(weights), heads.Head_B, pool),
        clap.CLAP(network, heads.Head_A, mel=clap.mel_of(network)),
    )
    digest = state_digest(nn.ModuleList(parts))
    return CMCR(*parts, name=f"c-mcr{'-seeded' if weights.seeded else ''}@{digest}")
