"""Clips on disk to the logits of offsets between sound and picture, and a reason for every clip that has none."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from torchmetrics_majorscore.functional.desync import CLASSES
from torchmetrics_majorscore.media import open_clip
from torchmetrics_majorscore.metrics.conditions import Conditions
from torchmetrics_majorscore.metrics.watching import Watching
from torchmetrics_majorscore.networks.synchrony import SharedSync
from torchmetrics_majorscore.scoring.batches import REFUSALS
from torchmetrics_majorscore.scoring.hear import whole_sound
from torchmetrics_majorscore.scoring.pieces import LARGEST, Pictures
from torchmetrics_majorscore.scoring.read import ReadClip

LOGITS = "desync_logits"
CENTRE = 0.0199
"""Seconds: FFmpeg's filter shows the middle of a frame's time, and a frame that begins just there comes later."""


@dataclass(frozen=True)
class ClipWatcher:
    """A network that compares sound and picture of clips.

    Args:
        network: its handle.
        path: SQLite file that keeps what is seen in pictures, by their content; None to see them anew each time.
        device: where it runs.
    """

    network: SharedSync
    path: Path | None
    device: torch.device

    @cached_property
    def seen(self) -> Conditions | None:
        """What is seen already."""
        return None if self.path is None else Conditions(self.path)

    def watch(
        self, clips: Sequence[ReadClip], reasons: Sequence[list[str]], remarks: Sequence[list[str]]
    ) -> dict[str, Tensor]:
        """Compare sound and picture of a batch, clip by clip.

        Args:
            clips: B clips.
            reasons: of each clip; what is refused is added.
            remarks: of each clip; that a video has too few frames per second is added.

        Returns:
            ``desync_logits``, float32, (B, 42), NaN where there are none.
        """
        logits = torch.full((len(clips), 2 * CLASSES), math.nan)
        for place, clip in enumerate(clips):
            if clip.inputs.get("audio") is None or clip.inputs.get("video") is None:
                continue  # why, is said already
            try:
                logits[place] = self._watch(clip, remarks[place])
            except REFUSALS as error:
                reasons[place].append(f"desync: {error}")
        return {LOGITS: logits}

    def _watch(self, clip: ReadClip, remarks: list[str]) -> Tensor:
        network, sound, rate = self.network, whole_sound(clip), clip.sample_rate
        if not network.hears(len(sound), rate):
            raise ValueError(f"audio {network.describe_short(len(sound) / rate)}")
        frames, fps = self._frames(clip)
        if slow := network.describe_slow(fps):
            remarks.append(f"desync: video {slow}")
            return torch.full((2 * CLASSES,), math.nan)
        if not network.sees(len(frames)):
            raise ValueError(f"video {network.describe_short(len(frames) / network.fps)}")
        watching = Watching(network, rate, network.fps, self.seen)
        watching.said = ("audio", "video")
        return watching.logits([sound.to(self.device)], [frames], None, self.device, quiet=True).flatten().cpu()

    def _frames(self, clip: ReadClip) -> tuple[Tensor, float]:
        """Read the frames that the network takes, at the size that it sees, and how many of a second are pictures."""
        network = self.network
        late = CENTRE if network.profile == "av-benchmark" else 0.0
        size = getattr(network.on(self.device), "frame_size", None)
        pictures = pictures_of(clip, network.fps, size, late=late, seconds=network.seconds)
        return whole_pictures(pictures), pictures.share * network.fps


def pictures_of(
    clip: ReadClip, fps: float, size: int | None, *, late: float = 0.0, seconds: float | None = None
) -> Pictures:
    """Open the pictures of a clip at a rate of their own.

    Args:
        clip: which has a video.
        fps: frames per second, picked by time.
        size: height and width to bring frames to; None for those of the first.
        late: seconds after the start of the clip at which the first one is picked.
        seconds: how much of the clip is wanted; None for all.
    """
    entry, path = clip.entry, clip.near.path(clip.entry.video)
    ends = [end for end in (entry.end, None if seconds is None else entry.start + seconds) if end is not None]
    end = min(ends, default=None)
    return Pictures(lambda: open_clip(path, None, fps=fps, start=entry.start + late, end=end), size, fps)


def whole_pictures(pictures: Pictures) -> Tensor:
    """Read all frames, (T, 3, H, W)."""
    frames = pictures.whole(LARGEST)
    if frames is None:
        raise ValueError("Expected at most 2 GiB of frames, got more; give a window (start, end)")
    return frames
