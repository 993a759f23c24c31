"""Wav2CLIP: CLIP ViT-B/32, and a ResNet-18 that maps sounds into CLIP's space.

The original scales the log-spectrogram by mean and deviation of the whole batch, so that a sound's embedding depends on
its neighbours. Here they are those of each sound alone, which is what the original gives for batches of one.

Source: Wu et al., "Wav2CLIP: Learning Robust Audio Representations From CLIP", ICASSP 2022.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, max_pool2d, normalize, pad, relu

from torchmetrics_majorscore.encoders import clip
from torchmetrics_majorscore.encoders.base import load_or_seed, load_strictly
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.handle import state_digest
from torchmetrics_majorscore.encoders.precision import Tower
from torchmetrics_majorscore.encoders.table import Pool

RATE = 16_000
N_FFT, HOP = 512, 353
FLOOR, LEAST = 1e-7, 1e-9  # added to power, and to the deviation
DIM = 512
PARTS = ("audio_encoder.", "audio_transform.")
WINDOW = "audio_encoder.spectrogram.window"


class Block(nn.Module):
    """Two convolutions beside a short cut.

    Args:
        channels: that come in.
        out: that go out.
        stride: of the first convolution.
    """

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W)."""
        out = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(out + self.downsample(x))


class ResNet18(nn.Module):
    """ResNet-18 over a spectrogram; names as in the public ``Wav2CLIP.pt``.

    Args:
        width: channels of the first stage.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        channels = width
        for stage in range(4):
            out = width << stage
            self.add_module(
                f"layer{stage + 1}", nn.Sequential(Block(channels, out, 2 if stage else 1), Block(out, out, 1))
            )
            channels = out

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 1, bands, frames) to (B, 8 width)."""
        x = max_pool2d(relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(4):
            x = getattr(self, f"layer{stage + 1}")(x)
        return adaptive_avg_pool2d(x, 1).flatten(1)


class SoundTower(Tower):
    """Sounds into CLIP's space; one after the other, since their lengths differ.

    Args:
        width: see :class:`ResNet18`.
    """

    window: Tensor

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.network = nn.Module()
        self.network.audio_encoder = ResNet18(width)
        self.network.audio_transform = nn.Module()
        layers = nn.Linear(8 * width, DIM), nn.ReLU(), nn.Dropout(0.1), nn.Linear(DIM, DIM)
        self.network.audio_transform.sequential = nn.Sequential(*layers)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)
        self.eval().requires_grad_(False)

    def encode(self, waveform: Tensor) -> Tensor:
        """Map a mono waveform (S,), float32, S >= 1, to a unit vector (512,)."""
        spectrogram = self.spectrogram(waveform)[None, None]
        with self.running():
            embedded = self.network.audio_transform.sequential(self.network.audio_encoder(spectrogram))
        return normalize(embedded.float(), dim=-1)[0]

    def spectrogram(self, waveform: Tensor) -> Tensor:
        """Compute the log-power (257, frames) of a waveform, of mean 0 and deviation 1.

        One of less than a window, which the original cannot hear, is filled with zeros.
        """
        filled = pad(waveform, (0, max(N_FFT - len(waveform), 0)))
        spectrum = torch.stft(filled, N_FFT, HOP, window=self.window, pad_mode="reflect", return_complex=True)
        power = torch.log(spectrum.abs() ** 2 + FLOOR)
        return (power - power.mean()) / (power.std() + LEAST)


class Wav2CLIP(nn.Module):
    """A joint encoder of video, text and audio: CLIP with a tower for sounds.

    Args:
        clip: CLIP ViT-B/32.
        sounds: the tower of sounds.
        name: name with the digest of the weights.
    """

    modalities = ("video", "text", "audio")
    sample_rate = RATE
    streams = True

    def __init__(self, clip: clip.CLIP, sounds: SoundTower, name: str) -> None:
        super().__init__()
        self.clip, self.sounds, self.name = clip, sounds, name
        self.eval().requires_grad_(False)

    def encode_video(self, batch: Sequence[Tensor | Iterable[Tensor]]) -> Tensor:
        """Encode videos, see :meth:`.clip.CLIP.encode_video`."""
        return self.clip.encode_video(batch)

    def encode_text(self, batch: Sequence[str]) -> Tensor:
        """Encode captions, see :meth:`.clip.CLIP.encode_text`."""
        return self.clip.encode_text(batch)

    def encode_audio(self, batch: Sequence[Tensor | Iterable[Tensor]]) -> Tensor:
        """Encode waveforms of any length, each whole.

        Args:
            batch: mono waveforms (S,), float32, at 16 kHz, S >= 1; or pieces of one, read once.

        Returns:
            Unit-norm embeddings, float32, (B, 512).
        """
        whole = (wave if isinstance(wave, Tensor) else torch.cat(list(wave)) for wave in batch)
        return torch.stack([self.sounds.encode(wave) for wave in whole])

    def remark_text(self, batch: Sequence[str]) -> dict[int, str]:
        """Say which captions are cut, see :meth:`.clip.CLIP.remark_text`."""
        return self.clip.remark_text(batch)


def load_tower(weights: Weights) -> SoundTower:
    """Build the tower of sounds and load ``Wav2CLIP.pt``."""
    tower = SoundTower()
    load_or_seed(tower.network, weights, "wav2clip", _load_parts)
    return tower


def _load_parts(network: nn.Module, tensors: dict[str, Tensor], what: str) -> None:
    # Nothing is learned in the window.
    own = {name: tensor for name, tensor in tensors.items() if name.startswith(PARTS) and name != WINDOW}
    load_strictly(network, own, what)


def load(weights: Weights, pool: Pool) -> Wav2CLIP:
    """Build Wav2CLIP from its two checkpoints."""
    parts = clip.CLIP(clip.load_network(weights), pool=pool), load_tower(weights)
    digest = state_digest(nn.ModuleList(parts))
    return Wav2CLIP(*parts, name=f"wav2clip{'-seeded' if weights.seeded else ''}@{digest}")
