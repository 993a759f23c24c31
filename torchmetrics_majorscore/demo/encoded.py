"""Clips in the joint space and in CLIP's and CLAP's own: every score of the demo is arithmetic on these embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchmetrics_majorscore.demo.clips import FPS, Clips
from torchmetrics_majorscore.functional import major_score, pair_similarities
from torchmetrics_majorscore.metrics import CLIPCLAPScore, MAJORScore
from torchmetrics_majorscore.training.generator.vocoder import SAMPLE_RATE

RAW: dict[str, Any] = {"sample_rate": SAMPLE_RATE, "fps": FPS}


@dataclass(frozen=True)
class Encoded:
    """Embeddings of N clips, each (N, D).

    Args:
        vectors: ``video``, ``text`` and ``audio`` in the joint space, ``clip_video``, ``clip_text``, ``clap_text`` and
            ``clap_audio`` in CLIP's and CLAP's.
    """

    vectors: dict[str, Tensor]

    def similarity(self, one: str, other: str) -> Tensor:
        """Give the similarities of two modalities of one space, (N,)."""
        return pair_similarities({one: self.vectors[one], other: self.vectors[other]}, "all")[:, 0]

    def majorscore(self, pairs: str = "text") -> Tensor:
        """Give the MAJORScores, (N,)."""
        joint = {name: self.vectors[name] for name in ("video", "text", "audio")}
        return major_score(joint, "average", pairs=pairs)

    def clipclap(self) -> Tensor:
        """Give the CLIPCLAPs, (N,)."""
        return (self.similarity("clip_video", "clip_text") + self.similarity("clap_text", "clap_audio")) / 2

    def take(self, rows: Sequence[int]) -> "Encoded":
        """Give some of the clips."""
        return Encoded({name: x[torch.as_tensor(rows)] for name, x in self.vectors.items()})

    def with_other(self, modality: str, rows: Sequence[int]) -> "Encoded":
        """Give every clip the text or the sound of another one."""
        order = torch.as_tensor(rows)
        return Encoded({name: x[order] if name.endswith(modality) else x for name, x in self.vectors.items()})

    def with_texts(self, texts: Sequence[str]) -> "Encoded":
        """Give the clips other captions."""
        return Encoded(self.vectors | encode(text=list(texts)))


def encode_clips(clips: Clips) -> Encoded:
    """Encode clips with their captions, once in each space."""
    return Encoded(encode(video=clips.frames, text=clips.text, audio=clips.audio))


def encode(**inputs: Any) -> dict[str, Tensor]:
    """Encode what ``update`` of the two metrics takes."""
    joint = MAJORScore(encoder="c-mcr-tiny", **RAW)
    own = CLIPCLAPScore("average", "clip-tiny", "clap-tiny", **RAW)
    return joint.encode(**inputs) | own.encode(**inputs)
