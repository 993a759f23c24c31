"""VGGish, a vector for each 0.96 s of a sound.

Source: Hershey et al., "CNN Architectures for Large-Scale Audio Classification", ICASSP 2017. As FD of video-to-audio
papers is taken from it: without the ReLU behind the last layer, and without PCA and rounding to 8 bits.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from torchmetrics_majorscore.encoders.base import load_strictly
from torchmetrics_majorscore.encoders.winograd import Conv3x3
from torchmetrics_majorscore.functional.mel_bands import kaldi_bands

SAMPLE_RATE = 16_000
WINDOW = 400
N_FFT = 512
HOP = 160
BANDS = 64
LOWEST, HIGHEST = 125.0, 7_500.0  # Hz
OFFSET = 0.01
FRAMES = 96
"""Mel frames of a patch; patches do not overlap, and what is left at the end is not heard."""
CHANNELS: tuple[tuple[int, ...], ...] = ((64,), (128,), (256, 256), (512, 512))
"""Of the convolutions between each two poolings."""
WIDTHS = (4096, 4096, 128)


class VGGish(nn.Module):
    """Sounds of any length to vectors of their patches.

    Args:
        channels: see :data:`CHANNELS`.
        widths: of the linear layers; the last is that of the features.
    """

    sample_rate = SAMPLE_RATE
    shortest = WINDOW + (FRAMES - 1) * HOP
    """Samples; 0.975 s."""
    window: Tensor
    bands: Tensor

    def __init__(self, channels: Sequence[Sequence[int]] = CHANNELS, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.name = "vggish"
        self.register_buffer("window", torch.hann_window(WINDOW, dtype=torch.float64), persistent=False)
        bands = kaldi_bands(SAMPLE_RATE, N_FFT, BANDS, LOWEST, HIGHEST, dtype=torch.float64)
        self.register_buffer("bands", bands, persistent=False)
        layers: list[nn.Module] = []
        width = 1
        for stage in channels:
            for channel in stage:
                layers += [Conv3x3(width, channel), nn.ReLU(inplace=True)]
                width = channel
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        width *= (FRAMES >> len(channels)) * (BANDS >> len(channels))
        linear: list[nn.Module] = []
        for size in widths:
            linear += [nn.Linear(width, size), nn.ReLU(inplace=True)]
            width = size
        self.embeddings = nn.Sequential(*linear[:-1])
        self.eval().requires_grad_(False)

    def encode_audio(self, batch: Sequence[Tensor]) -> Mapping[str, list[Tensor]]:
        """Hear sounds patch by patch; one by one, so that the bits of one do not depend on the others.

        Args:
            batch: mono waveforms (S,), float32, at ``sample_rate``, S >= ``shortest``.

        Returns:
            ``"features"``: B tensors (W, 128), float32, W = (S - 400) // 160 + 1 frames by the 96, rounded down.
        """
        return {"features": [self._embed(self.log_mel(waveform)) for waveform in batch]}

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Compute the patches of a waveform (S,), (W, 1, 96, 64), in float64 as the original does, then rounded."""
        # MPS has no float64.
        device = torch.device("cpu") if waveform.device.type == "mps" else waveform.device
        frames = waveform.to(device, torch.float64).unfold(0, WINDOW, HOP)
        magnitude = torch.fft.rfft(frames * self.window.to(device), N_FFT).abs()
        mel: Tensor = (magnitude @ self.bands.to(device) + OFFSET).log().to(waveform.device, torch.float32)
        return mel[: len(mel) // FRAMES * FRAMES].view(-1, 1, FRAMES, BANDS)

    def _embed(self, patches: Tensor) -> Tensor:
        x = self.features(patches).permute(0, 2, 3, 1).flatten(1)  # channels last: the weights are TensorFlow's
        embedded: Tensor = self.embeddings(x)
        return embedded


def load_without_pca(network: VGGish, tensors: dict[str, Tensor], what: str) -> None:
    """Load a state dict; one of torchvggish's whole class holds its PCA as well, which is not used."""
    load_strictly(network, {name: part for name, part in tensors.items() if not name.startswith("pproc.")}, what)
