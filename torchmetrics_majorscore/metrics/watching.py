"""What a network finds in raw sounds and frames, for DeSync: check, encode once, remember the videos, compare."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from torchmetrics_majorscore.encoders.base import exact_float32
from torchmetrics_majorscore.functional.desync import CLASSES
from torchmetrics_majorscore.metrics.conditions import Conditions
from torchmetrics_majorscore.metrics.inputs import check_inputs, warn_of_samples
from torchmetrics_majorscore.modalities import MODALITIES, Modality, Video
from torchmetrics_majorscore.networks.synchrony import SharedSync

Ids = Sequence[int | str] | Tensor | None


class Watching:
    """How a metric takes raw sounds and frames.

    Args:
        network: what compares them.
        sample_rate: of the sounds, in Hz.
        fps: of the frames.
        conditions: where what is seen in videos is remembered; None to see them anew each time.
    """

    def __init__(
        self, network: SharedSync, sample_rate: int | None, fps: float | None, conditions: Conditions | None
    ) -> None:
        self.network = network
        self.sample_rate = sample_rate or 0  # raw sounds are refused without
        self.rates = {"audio": sample_rate, "video": fps}
        self.conditions = conditions
        video = Video(network.fps, centred=network.profile == "av-benchmark")
        self.said: Collection[str] = ()
        """Inputs of whose samples another metric of a collection warns."""
        self.modalities: Mapping[str, Modality] = {"audio": MODALITIES["audio"], "video": video}

    def logits(self, audio: Any, video: Any, ids: Ids, device: torch.device, *, quiet: bool) -> Tensor:
        """Compare a batch.

        Args:
            audio: as ``update`` takes it.
            video: likewise; None for ids whose videos are known.
            ids: of the samples.
            device: where to run.
            quiet: do not warn of samples without a value.

        Returns:
            Logits of offsets, (B, 2, 21), NaN for a sample without a value.

        Raises:
            ValueError: an input that does not fit, or a video that is not known.
        """
        given = {"audio": audio} if video is None else {"audio": audio, "video": video}
        with exact_float32(device):
            samples = check_inputs(given, self.modalities, self.rates, ids, quiet=quiet, said=self.said)
            sounds, frames = self._long_enough(samples, ids, quiet=quiet)
            seen = self._see(sounds, frames, ids, device)
            rows = [row for row in range(len(sounds)) if sounds[row] is not None and seen[row] is not None]
            logits = torch.full((len(sounds), 2, CLASSES), math.nan, device=device)
            if rows:
                heard = self.network.encode_audio([sounds[row] for row in rows], self.sample_rate, device)
                logits[rows] = self.network.compare([seen[row] for row in rows], heard, device)
            return logits

    def _long_enough(
        self, samples: Mapping[str, list[Any]], ids: Ids, *, quiet: bool
    ) -> tuple[list[Any], list[Any] | None]:
        """Give the sounds and the frames, where they are given, with None for what is too short or slow to compare."""
        network, rate = self.network, self.sample_rate
        rates = {"audio": rate, "video": network.fps}
        kept: dict[str, list[Any]] = {}
        for name, own in samples.items():
            lengths = {row: len(one) for row, one in enumerate(own) if one is not None}
            short = {
                row: network.describe_short(length / rates[name])
                for row, length in lengths.items()
                if not (network.hears(length, rate) if name == "audio" else network.sees(length))
            }
            if name == "video" and (slow := network.describe_slow(self.rates["video"] or 0.0)):
                short = dict.fromkeys(lengths, slow)
            if not quiet:
                warn_of_samples(name, short, ids, "; it has no value.")
            kept[name] = [None if row in short else one for row, one in enumerate(own)]
        return kept["audio"], kept.get("video")

    def _see(self, sounds: list[Any], frames: list[Any] | None, ids: Ids, device: torch.device) -> list[Any]:
        """Give what is seen in each video, (segments, W, D), None for one without a value."""
        if frames is None and (self.conditions is None or ids is None):
            raise ValueError("Expected video, or cache_conditions and ids that were given with theirs, got neither.")
        videos: list[Any]
        if self.conditions is None:
            videos = [None if sound is None else video for sound, video in zip(sounds, frames or [], strict=True)]
        else:
            slot = f"video at {self.network.fps} fps@{self.rates['video']}"
            videos = self.conditions.note_or_recall(slot, frames, ids, len(sounds))
        vectors = iter(self._vectors([video for video in videos if video is not None], device))
        return [None if video is None else _unpack(next(vectors)) for video in videos]

    def _vectors(self, videos: list[Any], device: torch.device) -> list[Tensor]:
        def run(items: list[Tensor]) -> list[Tensor]:
            return [_pack(seen) for seen in self.network.encode_video(items, device)] if items else []

        if self.conditions is None:
            return run(videos)
        return self.conditions.remember(f"{self.network.name}|{self.network.portable_key}|video", videos, run)


def _pack(seen: Tensor) -> Tensor:
    """Give one vector, to be remembered: the last two sizes and the numbers."""
    return torch.cat([seen.new_tensor(seen.shape[1:]), seen.flatten()])


def _unpack(vector: Tensor) -> Tensor:
    return vector[2:].reshape(-1, *map(int, vector[:2].tolist()))
