"""Spaces in which a metric takes cosines, and what encodes into them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from torchmetrics_majorscore.encoders import JointEncoder, SharedEncoder, shared_encoder
from torchmetrics_majorscore.encoders.table import Pool, Precision
from torchmetrics_majorscore.functional.similarity import Pair

MODALITIES = ("video", "text", "audio")


@dataclass(frozen=True)
class Space:
    """One space in which cosines are taken: its modalities, and what encodes them (None: embeddings are given)."""

    modalities: tuple[str, ...]
    encoder: SharedEncoder | None
    prefix: str = ""
    """In front of a modality's name where two spaces share one, as in ``update(embeddings={"clip_text": ...})``."""

    @property
    def names(self) -> list[str]:
        """The names of its modalities in ``update(embeddings=...)``."""
        return [self.prefix + modality for modality in self.modalities]

    @property
    def pairs(self) -> list[Pair]:
        """All pairs of this space."""
        return list(combinations(self.modalities, 2))


def fingerprint(spaces: Sequence[Space], sample_rate: int | None, fps: float | None) -> bytes:
    """Digest all that makes rows differ: 8 bytes alike on every rank, then 8 of this process's encoder objects."""
    encoders = [space.encoder for space in spaces]
    choices = [space.pairs for space in spaces], [e.portable_key if e else None for e in encoders], sample_rate, fps
    parts = choices, [id(encoder) for encoder in encoders if encoder]
    return b"".join(hashlib.blake2b(repr(part).encode(), digest_size=8).digest() for part in parts)


def joint_space(
    encoder: str | JointEncoder | None,
    weights: str | Path | None,
    pool: Pool,
    precision: Precision,
    modalities: Sequence[str],
) -> Space:
    """Make the one space of a joint encoder, or of given embeddings (``encoder=None``)."""
    if encoder is None:
        if (weights, pool, precision) != (None, "after_head", "float32"):
            raise ValueError(
                "Expected weights, pool and precision only with an encoder's name, got them with encoder=None."
            )
        return Space(tuple(modalities), None)
    shared = shared_encoder(encoder, weights, pool, precision)
    return Space(shared.modalities, shared)
