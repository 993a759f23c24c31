"""A small video-to-audio model for the embedded world, with ``val/majorscore`` logged as any Lightning model would.

It sees as large video-to-audio models do, through a frozen CLIP (here ``clip-tiny``), and learns contrastively, from
videos with their own sounds, which sound fits what it sees. It speaks by concatenative synthesis: a period of the
training sound that fits best is repeated at that sound's rate. The metric's joint space takes no part in the loss.
"""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot

from torchmetrics_majorscore.demo.voice import RATES, repeat
from torchmetrics_majorscore.encoders.shared import SharedEncoder, load_encoder
from torchmetrics_majorscore.metrics import MAJORScore
from torchmetrics_majorscore.training.generator.vocoder import HOP, N_MELS, SAMPLE_RATE, Vocoder
from torchmetrics_majorscore.training.info_nce import info_nce

TEMPERATURE = 0.1
DROPOUT = 0.2
WIDTH = 256
DIM = 128
CLIP_DIM = 128


def see(clip: SharedEncoder, frames: Tensor) -> Tensor:
    """Map frames (B, T, 3, H, W) uint8 to CLIP's embeddings of each, (B, T, D)."""
    seen = clip.encode("video", list(frames.flatten(0, 1)[:, None]), frames.device)
    return seen.view(*frames.shape[:2], -1)


class VideoToAudio(LightningModule):
    """Frames to sound.

    A training batch is what :func:`see` and :func:`.voice.fold` give: ``seen`` (B, T, D), ``periods`` (B, N_MELS, BINS)
    and ``rates`` (B,). A validation batch has ``frames`` (B, T, 3, H, W) uint8, ``text`` and ``id``.

    Args:
        periods: of the training sounds, (N, N_MELS, BINS).
        rates: of the training sounds in Hz, (N,).
        fps: frames per second; the model looks at one frame per second, as the metric does.
        steps: optimizer steps of the whole training.
        learning_rate: highest one.
    """

    def __init__(self, periods: Tensor, rates: Tensor, fps: float, steps: int, learning_rate: float = 2e-3) -> None:
        super().__init__()
        self.stride = round(fps)
        self.steps = steps
        self.learning_rate = learning_rate
        self.periods: Tensor
        self.rates: Tensor
        self.register_buffer("periods", periods)
        self.register_buffer("rates", rates)
        self.look = nn.Sequential(
            nn.Dropout(DROPOUT), nn.Linear(2 * CLIP_DIM, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU(),
            nn.Dropout(DROPOUT), nn.Linear(WIDTH, DIM),
        )  # fmt: skip
        self.hear = nn.Sequential(_hearing(1, 16), _hearing(16, 32), _hearing(32, 64))
        self.judge = nn.Sequential(
            nn.Linear(64 * N_MELS // 8 + len(RATES), WIDTH), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(WIDTH, DIM)
        )
        self.vocoder = Vocoder()
        self.clip = load_encoder("clip-tiny")
        self.majorscore = MAJORScore(encoder="c-mcr-tiny", sample_rate=SAMPLE_RATE, fps=fps, cache_conditions=True)

    def look_at(self, seen: Tensor) -> Tensor:
        """Map embeddings of frames (B, T, D) to unit vectors (B, DIM)."""
        return normalize(self.look(torch.cat([seen.mean(dim=1), seen.amax(dim=1)], dim=-1)), dim=-1)

    def listen(self, periods: Tensor, rates: Tensor) -> Tensor:
        """Map sounds, as periods (B, N_MELS, BINS) and rates (B,), to unit vectors (B, DIM)."""
        timbre = self.hear((periods[:, None] + 8.0) / 4.0).amax(dim=-1).flatten(1)
        nearest = (rates[:, None] - RATES.to(rates)).abs().argmin(dim=-1)
        return normalize(self.judge(torch.cat([timbre, 3.0 * one_hot(nearest, len(RATES))], dim=-1)), dim=-1)

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames (B, T, 3, H, W) to waveforms (B, 4 s) in [-1, 1]."""
        known = self.listen(self.periods, self.rates)
        chosen = (self.look_at(see(self.clip, frames[:, :: self.stride])) @ known.T).argmax(dim=-1)
        mels = repeat(self.periods[chosen], self.rates[chosen], 4 * SAMPLE_RATE // HOP + 1)
        waveforms: Tensor = self.vocoder.synthesise(mels)
        return waveforms

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Take InfoNCE between what is seen and what is heard."""
        return info_nce(self.look_at(batch["seen"]), self.listen(batch["periods"], batch["rates"]), TEMPERATURE)

    def validation_step(self, batch: dict[str, Any], batch_index: int) -> None:
        """Generate audio and score it; these three lines are all that the metric needs."""
        audio = self(batch["frames"])
        self.majorscore.update(video=batch["frames"], text=batch["text"], audio=audio, ids=batch["id"])
        self.log("val/majorscore", self.majorscore, batch_size=len(audio))

    def configure_optimizers(self) -> Any:
        """AdamW with one warm-up and a cosine."""
        optimizer = torch.optim.AdamW(self.parameters(), self.learning_rate, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.learning_rate, self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _hearing(width: int, channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(width, channels, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
    )
