"""Clips on disk to their frame scores, and a reason for every clip that has none."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from torchmetrics_majorscore.encoders import SharedEncoder
from torchmetrics_majorscore.encoders.base import exact_float32
from torchmetrics_majorscore.metrics.frames import COLUMNS, FrameScores
from torchmetrics_majorscore.metrics.seconds import AUDIO, Seconds
from torchmetrics_majorscore.scoring.batches import REFUSALS
from torchmetrics_majorscore.scoring.hear import whole_sound
from torchmetrics_majorscore.scoring.read import ReadClip
from torchmetrics_majorscore.scoring.watch import pictures_of, whole_pictures

VECTOR = "frame_scores"


@dataclass(frozen=True)
class ClipFrames:
    """A joint encoder that looks into clips frame by frame.

    Args:
        encoder: its handle.
        fps: frames per second, picked by time.
        frame_size: height and width to bring frames to; None to leave that to the encoder.
        device: where it runs.
    """

    encoder: SharedEncoder
    fps: float
    frame_size: int | None
    device: torch.device

    def __post_init__(self) -> None:
        FrameScores(self.encoder, fps=self.fps)  # refuses what cannot be

    @cached_property
    def signature(self) -> str:
        """See :attr:`.GivenMetric.signature`."""
        return FrameScores(self.encoder, fps=self.fps).signature

    def score(
        self,
        clips: Sequence[ReadClip],
        whole: Tensor | None,
        reasons: Sequence[list[str]],
        remarks: Sequence[list[str]],
    ) -> dict[str, Tensor]:
        """Score a batch, clip by clip.

        Args:
            clips: B clips.
            whole: embeddings of their sounds, (B, D), NaN where there is none; None where no clip has one.
            reasons: of each clip; what is refused is added.
            remarks: of each clip; that it is too short for a column is added.

        Returns:
            ``frame_scores``, float32, (B, 3), NaN where there are none.
        """
        scores = torch.full((len(clips), len(COLUMNS)), math.nan)
        for place, clip in enumerate(clips):
            if whole is None or whole[place].isnan().any() or clip.inputs.get("video") is None:
                continue  # why, is said already
            try:
                scores[place] = torch.tensor(self._score(clip, whole[place].to(self.device)))
            except REFUSALS as error:
                reasons[place].append(f"frames: {error}")
                continue
            if scores[place, COLUMNS.index("synchrony")].isnan():
                remarks[place].append("synchrony: picture and sound last under 2 s, of which no second is another's")
        return {VECTOR: scores}

    def _score(self, clip: ReadClip, whole: Tensor) -> tuple[float, float, float]:
        pictures = whole_pictures(pictures_of(clip, self.fps, self.frame_size))
        looking = Seconds(self.encoder, clip.sample_rate, self.fps)
        with exact_float32(self.device):
            heard = AUDIO.prepare(whole_sound(clip), clip.sample_rate, self.encoder, self.device)
            return looking.part(looking.frames(pictures, self.device), heard, whole, self.device).scores()
