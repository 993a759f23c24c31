"""PANNs' Cnn14 at 16 kHz, which hears AudioSet's 527 classes: ``Cnn14_16k_mAP=0.438.pth``.

Source: Kong et al., "PANNs: Large-Scale Pretrained Audio Neural Networks for Audio Pattern Recognition", IEEE/ACM TASLP
2020. What FD, KL and IS of video-to-audio papers are taken from: features are what stands behind the ReLU of the
last-but-one layer, logits those before the sigmoid.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from torchmetrics_majorscore.encoders.base import load_strictly
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.mel import LogMel, MelOptions
from torchmetrics_majorscore.encoders.winograd import Conv3x3
from torchmetrics_majorscore.networks import loading

MEL = MelOptions(sample_rate=16_000, n_fft=512, hop_length=160, n_mels=64, f_min=50.0, f_max=8_000.0, fusion=False)
CHANNELS = (64, 128, 256, 512, 1024, 2048)
CLASSES = 527
FRAMES = 32
"""Mel frames below which nothing is left of a sound: each block but the last halves them."""
STFT = "spectrogram_extractor.stft.conv_{}.weight"
SAME = 1e-4
"""How far a stored Fourier transform may lie from the exact one, whose largest value is 1."""


class ConvBlock(nn.Module):
    """Two convolutions, each with BatchNorm and ReLU.

    Args:
        width: channels of the input.
        channels: channels of the output.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv3x3(width, channels, bias=False)
        self.conv2 = Conv3x3(channels, channels, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, T, F) to (B, channels, T, F)."""
        x = self.bn1(self.conv1(x)).relu_()
        x = self.bn2(self.conv2(x)).relu_()
        return x


class Cnn14(nn.Module):
    """Sounds of any length to features and logits.

    Args:
        channels: of the blocks; the last is the width of the features.
        classes: of the logits.
    """

    sample_rate = MEL.sample_rate
    shortest = (FRAMES - 1) * MEL.hop_length
    """Samples; 0.31 s."""

    def __init__(self, channels: Sequence[int] = CHANNELS, classes: int = CLASSES) -> None:
        super().__init__()
        self.name = "panns"
        self.logmel_extractor = LogMel(MEL)
        self.bn0 = nn.BatchNorm2d(MEL.n_mels)
        for number, widths in enumerate(pairwise([1, *channels]), start=1):
            self.add_module(f"conv_block{number}", ConvBlock(*widths))
        self.blocks = len(channels)
        self.fc1 = nn.Linear(channels[-1], channels[-1])
        self.fc_audioset = nn.Linear(channels[-1], classes)
        self.eval().requires_grad_(False)

    def encode_audio(self, batch: Sequence[Tensor]) -> Mapping[str, Tensor]:
        """Hear whole sounds, one by one, so that the bits of one do not depend on the others.

        Args:
            batch: mono waveforms (S,), float32, at ``sample_rate``, S >= ``shortest``.

        Returns:
            ``"features"``, float32, (B, 2048), and ``"logits"`` before the sigmoid, (B, 527).
        """
        features = [self._features(self.logmel_extractor.mel(waveform)[None, None]) for waveform in batch]
        logits = [self.fc_audioset(row) for row in features]
        return {"features": torch.cat(features), "logits": torch.cat(logits)}

    def _features(self, mel: Tensor) -> Tensor:
        """Map a mel spectrogram (1, 1, T, n_mels) in dB to (1, width)."""
        x = self.bn0(mel.transpose(1, 3)).transpose(1, 3)
        for number in range(1, self.blocks + 1):
            x = self.get_submodule(f"conv_block{number}")(x)
            if number < self.blocks:
                x = avg_pool2d(x, 2)
        x = x.mean(dim=3)
        features: Tensor = self.fc1(x.amax(dim=2) + x.mean(dim=2)).relu()
        return features


def load(weights: Weights) -> Cnn14:
    """Build Cnn14 and load its public file."""
    network = Cnn14()
    loading.fill(network, weights, "panns", fill)
    return network


def fill(network: Cnn14, tensors: Mapping[str, Tensor], what: str) -> None:
    """Load a state dict of PANNs' ``Cnn14``.

    Args:
        network: receives the tensors.
        tensors: the state dict.
        what: its name, for messages.

    Raises:
        ValueError: a tensor is missing, unknown or of another shape, or the file's Fourier transform, which is not run
            as the matrix that it is stored as, is another one.
    """
    kept = dict(tensors)
    exact = torch.fft.rfft(torch.diag(network.logmel_extractor.window.double()), dim=0)
    for kind, part in (("real", exact.real), ("imag", exact.imag)):
        stored = kept.pop(STFT.format(kind), torch.empty(0))
        if stored.shape != (len(part), 1, MEL.n_fft) or (stored[:, 0] - part).abs().amax() > SAME:
            raise ValueError(
                f"Expected {STFT.format(kind)!r} of {what} to be the Fourier transform of {MEL.n_fft} samples under "
                f"Hann's window, got another {tuple(stored.shape)}: is it Cnn14 at {MEL.sample_rate} Hz?"
            )
    if "logmel_extractor.melW" in kept:
        kept["logmel_extractor.bands"] = kept.pop("logmel_extractor.melW")
    load_strictly(network, kept | {"logmel_extractor.window": network.logmel_extractor.window}, what)
