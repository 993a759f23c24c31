"""Sounds of clips to what networks hear in them: features and logits, and a reason for every sound that is refused."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from torchmetrics_majorscore.networks import SharedNetwork
from torchmetrics_majorscore.scoring.batches import Placed, try_each
from torchmetrics_majorscore.scoring.pieces import LARGEST, Pieces
from torchmetrics_majorscore.scoring.read import ReadClip

Vectors = dict[str, Tensor]


@dataclass(frozen=True)
class ClipListener:
    """Networks that hear the sounds of clips.

    Args:
        networks: their names in a table to their handles.
        device: where they run.
    """

    networks: Mapping[str, SharedNetwork]
    device: torch.device

    @property
    def signature(self) -> str:
        """The networks with the digests of their weights and all that moves what they give; builds them."""
        return "+".join("|".join([n.name, *n.logit_choices]).replace("|", ",") for n in self.networks.values())

    def hear(self, clips: Sequence[ReadClip], reasons: Sequence[list[str]]) -> Vectors:
        """Hear the sounds of a batch; one that a network refuses has no vectors of that network.

        Args:
            clips: B clips.
            reasons: of each clip; what is refused is added.

        Returns:
            ``NAME_features`` and ``NAME_logits`` of each network, float32, (B, D), NaN where there is none. Several
            vectors of a sound stand one behind the other, (B, W D), filled up with NaN.
        """
        with_sound = [(place, clip) for place, clip in enumerate(clips) if clip.inputs.get("audio") is not None]
        vectors: Vectors = {}
        for name, network in self.networks.items():
            found = dict(try_each(partial(self._hear, network, reasons), with_sound, name, reasons))
            for key in {key for one in found.values() for key in one}:
                rows = {place: one[key].flatten() for place, one in found.items()}
                wide = torch.full((len(clips), max(map(len, rows.values()))), math.nan)
                for place, row in rows.items():
                    wide[place, : len(row)] = row
                vectors[f"{name}_{key}"] = wide
        return vectors

    def _hear(self, network: SharedNetwork, reasons: Sequence[list[str]], clips: Placed) -> list[tuple[int, Vectors]]:
        found: list[tuple[int, Vectors]] = []
        for rate in sorted({clip.sample_rate for _, clip in clips}):
            own = [(place, whole_sound(clip)) for place, clip in clips if clip.sample_rate == rate]
            places, sounds = [place for place, _ in own], [sound.to(self.device) for _, sound in own]
            for row, remark in network.remark(sounds, rate, self.device).items():
                reasons[places[row]].append(f"audio {remark}")
            made = network.encode(sounds, rate, self.device)
            for row, place in enumerate(places):
                found.append((place, {key: made[key][row].cpu() for key in made}))
        return found


def whole_sound(clip: ReadClip) -> Tensor:
    """Give the sound of a clip as one tensor."""
    given: Tensor | Pieces | None = clip.inputs["audio"]
    sound = given.whole(LARGEST) if isinstance(given, Pieces) else given
    if sound is None:
        raise ValueError("Expected at most 2 GiB of sound, got more.")
    return sound
