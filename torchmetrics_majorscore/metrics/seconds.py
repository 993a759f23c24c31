"""What a joint encoder makes of single frames and of windows of a sound, for the scores that look into a clip."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchmetrics_majorscore.encoders import SharedEncoder
from torchmetrics_majorscore.encoders.base import exact_float32
from torchmetrics_majorscore.functional.javis import SECONDS, javis_windows
from torchmetrics_majorscore.metrics.inputs import check_inputs
from torchmetrics_majorscore.modalities import MODALITIES, Video

MOST = 256
"""Frames or windows that an encoder gets at once, so that memory does not grow with a batch."""


class Seen(NamedTuple):
    """Embeddings of a clip.

    Args:
        frames: of every frame, (T, D).
        sound: of the whole sound, (D,).
        windows: frames of each window of JavisScore, (W, N, D), and its sound, (W, D).
        seconds: of the frames of every second, their mean, (S, D), and of its sound, (S, D); S may be 0.
    """

    frames: Tensor
    sound: Tensor
    windows: tuple[Tensor, Tensor]
    seconds: tuple[Tensor, Tensor]


class Seconds:
    """How a metric takes frames and sounds apart.

    Args:
        network: what encodes them: a video of one frame for each frame, a sound for each window.
        sample_rate: of the sounds, in Hz.
        fps: of the frames, all of which are encoded.

    Raises:
        ValueError: the encoder sees several frames at once or lacks a modality, or windows have too few frames.
    """

    def __init__(self, network: SharedEncoder, sample_rate: int | None, fps: float | None) -> None:
        if not {"video", "audio"} <= {*network.modalities} or network.fps != 1.0:
            raise ValueError(f"Expected an encoder of audio and of single frames of video, got {network.portable_key}.")
        if fps is not None and int(SECONDS * fps) < 3:
            raise ValueError(f"Expected fps >= 1.5, three frames in {SECONDS:g} s, got {fps:g}: give more frames.")
        self.network = network
        self.rates: dict[str, Any] = {"audio": sample_rate, "video": fps}

    def see(self, video: Any, audio: Any, ids: Any, device: torch.device, *, quiet: bool) -> list[Seen | None]:
        """Encode a batch as ``update`` takes it; None for a sample without a value."""
        given, kinds = {"audio": audio, "video": video}, {"audio": MODALITIES["audio"]}
        with exact_float32(device):
            samples = check_inputs(
                given, {**kinds, "video": Video(self.rates["video"] or 1.0)}, self.rates, ids, quiet=quiet
            )
            pairs = zip(samples["video"], samples["audio"], strict=True)
            return [None if None in (frames, sound) else self._see(frames, sound, device) for frames, sound in pairs]

    def _see(self, frames: Tensor, sound: Tensor, device: torch.device) -> Seen:
        rate = self.network.sample_rate
        heard = MODALITIES["audio"].prepare(sound, self.rates["audio"], self.network, device)
        windows = javis_windows(len(frames), len(heard), self.rates["video"], rate)
        count = min(int(len(frames) / self.rates["video"] + 1e-6), len(heard) // rate)
        spans = [slice(second * rate, (second + 1) * rate) for second in range(count)]
        of_frames = self._encode("video", [frame[None] for frame in frames.to(device)], device)
        of_sounds = self._encode(
            "audio", [heard, *(heard[one] for _, one in windows), *(heard[s] for s in spans)], device
        )
        starts = [round(second * self.rates["video"]) for second in range(count + 1)]
        means = [of_frames[start:end].mean(dim=0) for start, end in pairwise(starts)]
        per_window, per_second = of_sounds[1 : 1 + len(windows)], of_sounds[1 + len(windows) :]
        return Seen(
            of_frames,
            of_sounds[0],
            (torch.stack([of_frames[one] for one, _ in windows]), per_window),
            (torch.stack(means) if means else per_second, per_second),
        )

    def _encode(self, modality: str, batch: Sequence[Tensor], device: torch.device) -> Tensor:
        parts = [batch[start : start + MOST] for start in range(0, len(batch), MOST)]
        return torch.cat([self.network.encode(modality, part, device) for part in parts])
