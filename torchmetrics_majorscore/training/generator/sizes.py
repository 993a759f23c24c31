"""How large the generator is, and which of its variants it is; the four published ones."""

from dataclasses import dataclass
from typing import Literal

SyncAs = Literal["frames", "summed", "none"]
Missing = Literal["learned", "all learned", "zeros"]


@dataclass(frozen=True)
class GeneratorSizes:
    """Sizes of the network; the defaults are those of MMAudio-S-16kHz.

    Args:
        latent: channels of the sound's latent.
        clip: width of the features of frames.
        sync: width of the synchronisation features.
        text: width of the text tower's states.
        text_length: tokens of the empty string's encoding.
        hidden: width of a token.
        heads: attention heads.
        joint: blocks of all three streams.
        single: blocks of the latent stream alone.
        multiple: to which inner widths are rounded up.
        group: synchronisation features of one segment, each of which has a learned position.
        sync_as: how the synchronisation features come in: ``"frames"``, aligned with each frame of the latent;
            ``"summed"``, added to the visual tokens (supplement, G.5; the global condition sees the visual tokens
            without them); ``"none"``, not at all.
        missing: what stands for a missing modality (supplement, D): ``"learned"`` vectors for the video and the
            encoding of the empty string for the text; ``"all learned"``; ``"zeros"``.

    Raises:
        ValueError: sizes that do not fit.
    """

    latent: int = 20
    clip: int = 1024
    sync: int = 768
    text: int = 1024
    text_length: int = 77
    hidden: int = 448
    heads: int = 7
    joint: int = 4
    single: int = 8
    multiple: int = 256
    group: int = 8
    sync_as: SyncAs = "frames"
    missing: Missing = "learned"

    def __post_init__(self) -> None:
        if self.hidden % (2 * self.heads):
            raise ValueError(f"Expected heads of an even width, got {self.heads} heads for {self.hidden} channels.")
        if self.joint < 1:
            raise ValueError(f"Expected at least one joint block, got {self.joint}: video and text come in there.")


PUBLISHED = {
    "small-16k": GeneratorSizes(),
    "small-44k": GeneratorSizes(latent=40),
    "medium-44k": GeneratorSizes(latent=40, hidden=896, heads=14),
    "large-44k": GeneratorSizes(latent=40, hidden=896, heads=14, joint=7, single=14),
}
"""MMAudio's, by name (supplement, Table A6)."""
