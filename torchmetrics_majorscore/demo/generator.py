"""A small video-to-audio model for the embedded world, with ``val/majorscore`` logged as any Lightning model would.

It learns by the L1 distance between log-mels alone: the metric's encoder takes no part in the loss. A waveform is made
from a mel by the pseudo-inverse of the mel matrix and Griffin-Lim.
"""

from itertools import pairwise
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn.functional import interpolate, l1_loss
from torchaudio.transforms import GriffinLim, MelScale, Spectrogram

from torchmetrics_majorscore import MAJORScore

SAMPLE_RATE = 48_000
N_FFT, HOP, N_MELS = 2048, 960, 128
FLOOR = 1e-7
ITERATIONS = 16


class Vocoder(nn.Module):
    """Waveforms to log-mels and back."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrogram = Spectrogram(N_FFT, hop_length=HOP)
        self.mel = MelScale(N_MELS, SAMPLE_RATE, n_stft=N_FFT // 2 + 1)
        self.inverse: Tensor
        self.register_buffer("inverse", torch.linalg.pinv(self.mel.fb.T))
        self.phases = GriffinLim(N_FFT, n_iter=ITERATIONS, hop_length=HOP, rand_init=False)

    def analyse(self, waveforms: Tensor) -> Tensor:
        """Map (B, S) in [-1, 1] to natural log-mels (B, N_MELS, S // HOP + 1)."""
        return torch.log(self.mel(self.spectrogram(waveforms)) + FLOOR)

    def synthesise(self, mels: Tensor) -> Tensor:
        """Map log-mels (B, N_MELS, T) to waveforms (B, HOP * (T - 1)) in [-1, 1]."""
        power = (self.inverse @ (mels.exp() - FLOOR)).clamp(min=0.0)
        waveforms: Tensor = self.phases(power).clamp(-1.0, 1.0)
        return waveforms


class VideoToAudio(LightningModule):
    """Frames to sound: each frame through a small CNN, then convolutions in time, then a log-mel.

    A batch is a dictionary with ``frames`` (B, T, 3, H, W) uint8, ``audio`` (B, S), ``text`` and ``id``.

    Args:
        fps: frames per second.
        steps: optimizer steps of the whole training.
        width: channels behind a frame's CNN.
        learning_rate: highest one.
    """

    def __init__(self, fps: float, steps: int, width: int = 128, learning_rate: float = 2e-3) -> None:
        super().__init__()
        self.steps = steps
        self.learning_rate = learning_rate
        self.vocoder = Vocoder()
        sizes = (3, 16, 32, 64, width)
        self.look = nn.Sequential(
            *(_seeing(a, b) for a, b in pairwise(sizes)), nn.Flatten(), nn.Linear(16 * width, width)
        )
        self.follow = nn.Sequential(_moving(width, width, 5), _moving(width, width, 5))
        self.sound = nn.Sequential(_moving(width, 192, 5), _moving(192, 192, 5), nn.Conv1d(192, N_MELS, 1))
        self.majorscore = MAJORScore(encoder="c-mcr-tiny", sample_rate=SAMPLE_RATE, fps=fps)

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames (B, T, 3, H, W) to log-mels (B, N_MELS, 4 s of mel frames)."""
        seen = self.look(frames.flatten(0, 1).float() / 127.5 - 1.0).view(*frames.shape[:2], -1)
        followed = self.follow(seen.transpose(1, 2))
        whole = followed.mean(dim=-1, keepdim=True).expand_as(followed)
        times = interpolate(followed + whole, size=4 * SAMPLE_RATE // HOP + 1, mode="linear")
        mels: Tensor = 3.0 * self.sound(times) - 6.0
        return mels

    def training_step(self, batch: dict[str, Any], batch_index: int) -> Tensor:
        """Take the L1 distance between log-mels."""
        return l1_loss(self(batch["frames"]), self.vocoder.analyse(batch["audio"]))

    def validation_step(self, batch: dict[str, Any], batch_index: int) -> None:
        """Generate audio and score it; these three lines are all that the metric needs."""
        audio = self.vocoder.synthesise(self(batch["frames"]))
        self.majorscore.update(video=batch["frames"], text=batch["text"], audio=audio, ids=batch["id"])
        self.log("val/majorscore", self.majorscore, batch_size=len(audio))

    def configure_optimizers(self) -> Any:
        """AdamW with one warm-up and a cosine."""
        optimizer = torch.optim.AdamW(self.parameters(), self.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.learning_rate, self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _seeing(width: int, channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(width, channels, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
    )


def _moving(width: int, channels: int, size: int) -> nn.Module:
    return nn.Sequential(nn.Conv1d(width, channels, size, padding=size // 2), nn.BatchNorm1d(channels), nn.ReLU())
