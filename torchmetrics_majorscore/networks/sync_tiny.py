"""``sync-tiny``: DeSync's network of the embedded world, trained on that world alone.

Each frame and each 40 ms of sound become a vector. How well a shift fits is the sum of the products of all vectors that
it brings together: where nothing overlaps nothing speaks for it or against it. What is seen or heard all the time, the
background, is taken away first. The folder ``sync-tiny`` holds the weights.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, interpolate, pad

from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.functional.desync import CLASSES, LARGEST
from torchmetrics_majorscore.functional.mel_bands import mel_bands
from torchmetrics_majorscore.networks.loading import fill

SAMPLE_RATE, FPS = 16_000, 25
SIZE = 32  # of a frame
N_FFT, WINDOW, HOP, BANDS = 512, 400, 160, 40
PER_FRAME = SAMPLE_RATE // FPS // HOP  # mels of a frame's time
FLOOR, DEVIATION = 1e-6, 3.0
DIM, WIDTH = 64, 96
DROPPED = 0.15
COMPARED = 100  # frames of a window: the 4 s of a scene
AROUND = 2  # frames on each side of an offset that count as this one: offsets are 5 frames apart
LAGS = round(LARGEST * FPS) + AROUND
USUAL = 0.5  # seconds
TEMPERATURE = 2.0
"""Of scenes that it did not learn from, it is too sure: with this the true lag of validation scenes is likeliest."""


class SyncTiny(nn.Module):
    """Sound and frames to a vector for every 40 ms, and both to offsets."""

    sample_rate = SAMPLE_RATE
    fps = FPS
    shortest = 1.0
    frame_size = 64
    window: Tensor
    bands: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.name = "sync-tiny"
        self.register_buffer("window", torch.hann_window(WINDOW, device="cpu"), persistent=False)
        bands = mel_bands(SAMPLE_RATE, N_FFT, BANDS, 50.0, 8000.0, scale="htk")
        self.register_buffer("bands", bands, persistent=False)
        self.pictures = nn.Sequential(
            _convolution(nn.Conv3d(3, 16, (1, 4, 4), (1, 4, 4), bias=False)),
            _convolution(nn.Conv3d(16, 48, 3, (1, 2, 2), 1, bias=False)),
        )
        self.motion = _over_time(WIDTH)
        self.mels = nn.Sequential(
            _convolution(nn.Conv1d(BANDS, WIDTH, 5, padding=2, bias=False)),
            _convolution(nn.Conv1d(WIDTH, WIDTH, 2 * PER_FRAME, PER_FRAME, PER_FRAME // 2, bias=False)),
        )
        self.beat = _over_time(WIDTH)
        self.eval().requires_grad_(False)

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Compute the log-mels (T, BANDS) of a waveform (S,), 100 a second: PER_FRAME for each frame's time in it."""
        padded = pad(waveform[None], (N_FFT // 2, N_FFT // 2))[0]
        spectrum = torch.stft(padded, N_FFT, HOP, WINDOW, self.window, center=False, return_complex=True)
        mels = (torch.view_as_real(spectrum).square().sum(dim=-1).T @ self.bands + FLOOR).log()
        return mels[: len(waveform) // (HOP * PER_FRAME) * PER_FRAME]

    def hear(self, mels: Tensor) -> Tensor:
        """Map log-mels (B, PER_FRAME * T, BANDS) to vectors (B, T, DIM)."""
        changes = (mels - mels.mean(dim=1, keepdim=True)) / DEVIATION
        heard: Tensor = self.beat(self.mels(changes.transpose(1, 2)))
        return heard.transpose(1, 2)

    def see(self, frames: Tensor) -> Tensor:
        """Map frames (B, T, 3, SIZE, SIZE), uint8, to vectors (B, T, DIM)."""
        pictures = frames.transpose(1, 2).float() / 255.0
        seen = self.pictures((pictures - pictures.mean(dim=2, keepdim=True)) * 4.0)
        moved: Tensor = self.motion(torch.cat([seen.mean(dim=(3, 4)), seen.amax(dim=(3, 4))], dim=1))
        return moved.transpose(1, 2)

    def lags(self, video: Tensor, audio: Tensor, most: int = LAGS, temperature: float = 1.0) -> Tensor:
        """Score by how many frames the sound comes after the picture: -most to most, logits (B, 2 most + 1).

        A shift of s seconds is as likely beforehand as exp(-s / USUAL): of those that differ by a beat, the nearest.

        Args:
            video: vectors (B, T, DIM).
            audio: vectors (B, U, DIM).
            most: largest lag.
            temperature: what products are divided by.
        """
        count, length, _ = video.shape
        sounds = pad(audio, (0, 0, most, most + max(0, length - audio.shape[1]))).transpose(1, 2)
        sums = conv1d(sounds.reshape(1, -1, sounds.shape[-1]), video.transpose(1, 2), groups=count)[0]
        lags = torch.arange(-most, most + 1, device=video.device)
        return sums[:, : 2 * most + 1] / (math.sqrt(DIM) * temperature) - lags.abs() / FPS / USUAL

    def encode_audio(self, batch: Sequence[Tensor]) -> list[Tensor]:
        """Encode sounds, mono (S,), float32, at ``sample_rate``: for each, (T, 1, DIM)."""
        return [self.hear(self.log_mel(waveform)[None])[0, :, None] for waveform in batch]

    def encode_video(self, batch: Sequence[Tensor]) -> list[Tensor]:
        """Encode frames (T, 3, H, W), uint8 RGB, at ``fps``: for each, (T, 1, DIM)."""
        return [self.see(shrink(frames)[None])[0, :, None] for frames in batch]

    def compare(self, video: Sequence[Tensor], audio: Sequence[Tensor]) -> Tensor:
        """Give the logits of the 21 offsets from -2 s to 2 s in the first and in the last 4 s, (B, 2, 21).

        An offset is positive where the sound is late. A clip of 4 s or less has one window, twice.
        """
        logits = []
        for frames, sound in zip(video, audio, strict=True):
            length = min(len(frames), len(sound))
            windows = [slice(0, COMPARED), slice(max(0, length - COMPARED), length)]
            seen, heard = (torch.cat([x[:length][w].transpose(0, 1) for w in windows]) for x in (frames, sound))
            lags = self.lags(seen, heard, temperature=TEMPERATURE)
            logits.append(lags.view(len(lags), CLASSES, 2 * AROUND + 1).logsumexp(dim=-1))
        return torch.stack(logits)


def shrink(frames: Tensor) -> Tensor:
    """Average the pixels of frames (T, 3, H, W), uint8, to (T, 3, SIZE, SIZE)."""
    if frames.shape[-2:] == (SIZE, SIZE):
        return frames
    return interpolate(frames.float(), size=(SIZE, SIZE), mode="area").round().to(torch.uint8)


def _convolution(convolution: nn.Conv1d | nn.Conv3d) -> nn.Module:
    norm = nn.BatchNorm1d if isinstance(convolution, nn.Conv1d) else nn.BatchNorm3d
    return nn.Sequential(convolution, norm(convolution.out_channels), nn.ReLU())


def _over_time(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Dropout(DROPPED),
        _convolution(nn.Conv1d(width, WIDTH, 5, padding=2, bias=False)),
        nn.Dropout(DROPPED),
        _convolution(nn.Conv1d(WIDTH, WIDTH, 5, padding=2, bias=False)),
        nn.Conv1d(WIDTH, DIM, 5, padding=2),
    )


def load(weights: Weights) -> SyncTiny:
    """Build the network and load its weights."""
    network = SyncTiny()
    fill(network, weights, "sync-tiny.safetensors")
    network.name = network.name.replace(".safetensors", "")
    return network
