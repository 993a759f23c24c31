"""What a joint encoder makes of single frames and of windows of a sound, for the scores that look into a clip."""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchmetrics_majorscore.encoders import SharedEncoder
from torchmetrics_majorscore.encoders.base import content_key, exact_float32
from torchmetrics_majorscore.functional.avh import avh_score
from torchmetrics_majorscore.functional.javis import SECONDS, javis_score, javis_windows
from torchmetrics_majorscore.functional.synchrony import synchrony_probe
from torchmetrics_majorscore.metrics.conditions import Conditions
from torchmetrics_majorscore.metrics.inputs import check_inputs
from torchmetrics_majorscore.modalities import MODALITIES, Modality, Video

MOST = 256
"""Frames or windows that an encoder gets at once, so that memory does not grow with a batch."""
AUDIO = MODALITIES["audio"]


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

    def scores(self) -> tuple[float, float, float]:
        """Give AVHScore, JavisScore and the probe of synchrony, NaN of a clip under 2 s."""
        probe = synchrony_probe(*self.seconds).item() if len(self.seconds[0]) > 1 else torch.nan
        return avh_score(self.frames, self.sound).item(), javis_score(*self.windows).item(), probe


class Seconds:
    """How a metric takes frames and sounds apart.

    Args:
        network: what encodes them: a video of one frame for each frame, a sound for each window.
        sample_rate: of the sounds, in Hz.
        fps: of the frames, all of which are encoded.
        conditions: where the embeddings of frames are remembered; None to encode them anew each time.

    Raises:
        ValueError: the encoder sees several frames at once or lacks a modality, or windows have too few frames.
    """

    def __init__(
        self, network: SharedEncoder, sample_rate: int | None, fps: float | None, conditions: Conditions | None = None
    ) -> None:
        if not {"video", "audio"} <= {*network.modalities} or network.fps != 1.0:
            raise ValueError(f"Expected an encoder of audio and of single frames of video, got {network.portable_key}.")
        if fps is not None and int(SECONDS * fps) < 3:
            raise ValueError(f"Expected fps >= 1.5, three frames in {SECONDS:g} s, got {fps:g}: give more frames.")
        self.network = network
        self.rates: dict[str, Any] = {"audio": sample_rate, "video": fps}
        self.conditions = conditions if conditions and conditions.hold("video") else None
        self.modalities: Mapping[str, Modality] = {"audio": AUDIO, "video": Video(fps or 1.0)}
        self.said: Collection[str] = ()
        """Inputs of whose samples another metric of a collection warns."""

    def see(
        self, video: Any, audio: Any, ids: Any, device: torch.device, asker: int, *, quiet: bool
    ) -> list[Seen | None]:
        """Encode a batch as ``update`` takes it; None for a sample without a value.

        Args:
            video: as ``update`` takes it; None for ids whose videos are known.
            audio: likewise; whole sounds that another metric of a collection has encoded are not encoded again.
            ids: of the samples.
            device: where to encode.
            asker: ``id()`` of the metric.
            quiet: do not warn of samples without a value.

        Raises:
            ValueError: an input that does not fit, or a video that is not known.
        """
        given = {name: batch for name, batch in (("audio", audio), ("video", video)) if batch is not None}
        with exact_float32(device):
            samples = check_inputs(given, self.modalities, self.rates, ids, quiet=quiet, said=self.said)
            frames = iter(self._see(samples.get("video"), ids, len(samples["audio"]), device))
            heard = iter(self._hear([one.to(device) for one in samples["audio"] if one is not None], device, asker))
            sounds = [None if one is None else next(heard) for one in samples["audio"]]
            pairs = zip(frames, sounds, strict=True)
            return [None if seen is None or sound is None else self.part(seen, *sound, device) for seen, sound in pairs]

    def _see(self, videos: Any, ids: Any, count: int, device: torch.device) -> list[Tensor | None]:
        """Give the embeddings of all frames of each video, (T, D), None for one without a value."""
        if videos is None and (self.conditions is None or ids is None):
            raise ValueError("Expected video, or cache_conditions and ids that were given with theirs, got neither.")
        if self.conditions is None:
            return [None if video is None else self.frames(video, device) for video in videos]

        def run(items: list[Tensor]) -> list[Tensor]:
            made = [self.frames(video, device) for video in items]
            return [torch.cat([seen.new_tensor([seen.shape[1]]), seen.flatten()]) for seen in made]

        slot = f"video at {self.rates['video']} fps@{self.rates['video']}"
        known = self.conditions.note_or_recall(slot, videos, ids, count)
        maker = f"{self.network.name}|{self.network.portable_key}|frames"
        vectors = iter(self.conditions.remember(maker, [content for content in known if content is not None], run))
        return [None if content is None else _unpack(next(vectors).to(device)) for content in known]

    def _hear(self, sounds: list[Tensor], device: torch.device, asker: int) -> Sequence[tuple[Tensor, Tensor]]:
        """Give the samples of each sound at the encoder's rate, and its embedding."""
        rate = self.rates["audio"]
        heard = [AUDIO.prepare(sound, rate, self.network, device) for sound in sounds]
        if not heard:
            return []
        whole = self.network.encode("audio", heard, device, asker, (rate, *content_key(sounds)))
        return list(zip(heard, whole, strict=True))

    def part(self, of_frames: Tensor, heard: Tensor, whole: Tensor, device: torch.device) -> Seen:
        """Encode the windows and the seconds of a sound, beside what is encoded already.

        Args:
            of_frames: embeddings of its frames, (T, D).
            heard: samples at the encoder's rate, (S,).
            whole: embedding of the whole sound, (D,).
            device: where to encode.
        """
        rate, fps = self.network.sample_rate, self.rates["video"]
        windows = javis_windows(len(of_frames), len(heard), fps, rate)
        count = min(int(len(of_frames) / fps + 1e-6), len(heard) // rate)
        spans = [one for _, one in windows] + [slice(second * rate, (second + 1) * rate) for second in range(count)]
        parts = [heard[span] for span in spans if span != slice(0, len(heard))]
        encoded = iter(self._encode("audio", parts, device) if parts else ())
        of_sounds = torch.stack([whole if span == slice(0, len(heard)) else next(encoded) for span in spans])
        starts = [round(second * fps) for second in range(count + 1)]
        means = [of_frames[start:end].mean(dim=0) for start, end in pairwise(starts)]
        per_window, per_second = of_sounds[: len(windows)], of_sounds[len(windows) :]
        return Seen(
            of_frames,
            whole,
            (torch.stack([of_frames[one] for one, _ in windows]), per_window),
            (torch.stack(means) if means else per_second, per_second),
        )

    def frames(self, video: Tensor, device: torch.device) -> Tensor:
        """Encode each frame (T, 3, H, W) as a video of its own: (T, D)."""
        return self._encode("video", [frame[None] for frame in video.to(device)], device)

    def _encode(self, modality: str, batch: Sequence[Tensor], device: torch.device) -> Tensor:
        parts = [batch[start : start + MOST] for start in range(0, len(batch), MOST)]
        return torch.cat([self.network.encode(modality, part, device) for part in parts])


def _unpack(vector: Tensor) -> Tensor:
    """Give embeddings (T, D) of what was remembered: D and the numbers."""
    return vector[1:].reshape(-1, int(vector[0]))
