"""Spaces in which a metric takes cosines, and what encodes into them."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from torchmetrics_majorscore.encoders import Encoder, SharedEncoder, load_encoder
from torchmetrics_majorscore.functional.similarity import Pair, find_view

MODALITIES = ("video", "text", "audio")


@dataclass(frozen=True)
class Space:
    """One space in which cosines are taken: its modalities, and what encodes them (None: embeddings are given)."""

    modalities: tuple[str, ...]
    encoder: SharedEncoder | None
    prefix: str = ""
    """In front of a modality's name where two spaces share one, as in ``update(embeddings={"clip_text": ...})``."""

    @property
    def views(self) -> list[str]:
        """The names of its embeddings, without the prefix: its modalities, or several where one depends on the pair."""
        if self.encoder is None:
            return list(self.modalities)
        return [name for modality in self.modalities for name in self.encoder.views(modality)]

    @property
    def names(self) -> list[str]:
        """The names of its embeddings in ``update(embeddings=...)``."""
        return [self.prefix + name for name in self.views]

    @property
    def pairs(self) -> list[Pair]:
        """All pairs of this space that its encoder can give."""
        every, views = list(combinations(self.modalities, 2)), self.views
        return [(a, b) for a, b in every if {find_view(views, a, b), find_view(views, b, a)} <= set(views)]


def joint_space(encoder: Encoder | None, modalities: Sequence[str] | None = None, prefix: str = "") -> Space:
    """Make the space of an encoder, or of given embeddings (None).

    Args:
        encoder: see :func:`.load_encoder`.
        modalities: those of the space; None for all that the encoder has, or those of a video with sound and caption.
        prefix: see :class:`Space`.

    Raises:
        ValueError: the encoder lacks a modality.
    """
    if encoder is None:
        return Space(tuple(modalities or MODALITIES), None, prefix)
    shared = load_encoder(encoder)
    if not set(modalities or ()) <= set(shared.modalities):
        wanted = " and ".join(modalities or ())
        raise ValueError(f"Expected an encoder with {wanted}, got one with {', '.join(shared.modalities)}.")
    return Space(tuple(modalities or shared.modalities), shared, prefix)


def fingerprint(spaces: Sequence[Space], rates: Sequence[float | None]) -> bytes:
    """Digest what makes rows differ: 8 bytes alike on every rank, 8 of this process's encoder objects, 8 of weights.

    What weights an encoder has is known when it has encoded, see :func:`weights_digest`; until then 8 zeros.
    """
    encoders = [space.encoder for space in spaces]
    choices = [space.pairs for space in spaces], [e.portable_key if e else None for e in encoders], rates
    parts = choices, [id(encoder) for encoder in encoders if encoder]
    return b"".join(hashlib.blake2b(repr(part).encode(), digest_size=8).digest() for part in parts) + bytes(8)


def weights_digest(names: Iterable[str]) -> bytes:
    """Digest the names of encoders, which carry the digests of their weights: 8 bytes, not all zero."""
    return hashlib.blake2b("+".join(names).encode(), digest_size=8).digest()
