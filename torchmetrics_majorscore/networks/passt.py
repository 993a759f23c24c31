"""PaSST, which hears AudioSet's 527 classes in sounds of 10 s: ``passt-s-f128-p16-s10-ap.476-swa``.

Source: Koutini et al., "Efficient Training of Audio Transformers with Patchout", Interspeech 2022. What FD and KL of
video-to-audio papers are taken from: features are the mean of the first two tokens, logits those before the sigmoid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.functional.mel_bands import kaldi_bands
from torchmetrics_majorscore.networks.loading import fill
from torchmetrics_majorscore.networks.transformer import EPS, Block

SAMPLE_RATE = 32_000
SAMPLES = 320_000
"""Length of a sound: longer ones are cut, shorter ones filled with zeros."""
N_FFT = 1024
WINDOW = 800
HOP = 320
HIGHEST = 15_000.0  # Hz, of the last band
PATCH = 16
STRIDE = 10


@dataclass(frozen=True)
class PaSSTOptions:
    """Size of the network; the defaults are those of the public one.

    Args:
        width: of a token.
        depth: blocks.
        heads: attention heads.
        bands: of the mel spectrogram.
        samples: of a sound.
        classes: of the logits.
    """

    width: int = 768
    depth: int = 12
    heads: int = 12
    bands: int = 128
    samples: int = SAMPLES
    classes: int = 527

    @property
    def grid(self) -> tuple[int, int]:
        """Patches over bands and over time."""
        frames = (self.samples - 1) // HOP + 1
        return (self.bands - PATCH) // STRIDE + 1, (frames - PATCH) // STRIDE + 1


class PaSST(nn.Module):
    """Sounds to features and logits.

    Args:
        options: size.
    """

    sample_rate = SAMPLE_RATE
    window: Tensor
    mel: Tensor

    def __init__(self, options: PaSSTOptions = PaSSTOptions()) -> None:
        super().__init__()
        self.options, width, (low, long) = options, options.width, options.grid
        self.name = "passt"
        self.register_buffer("window", torch.hann_window(WINDOW, periodic=False, device="cpu"), persistent=False)
        bands = kaldi_bands(SAMPLE_RATE, N_FFT, options.bands, 0.0, HIGHEST)
        self.register_buffer("mel", bands.T.contiguous(), persistent=False)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.dist_token = nn.Parameter(torch.zeros(1, 1, width))
        self.new_pos_embed = nn.Parameter(torch.zeros(1, 2, width))
        self.freq_new_pos_embed = nn.Parameter(torch.zeros(1, width, low, 1))
        self.time_new_pos_embed = nn.Parameter(torch.zeros(1, width, 1, long))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, width, PATCH, STRIDE)})
        self.blocks = nn.ModuleList(Block(width, options.heads) for _ in range(options.depth))
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, options.classes))
        self.head_dist = nn.Linear(width, options.classes)  # of the file; its logits are not used
        self.eval().requires_grad_(False)

    def encode_audio(self, batch: Sequence[Tensor]) -> Mapping[str, Tensor]:
        """Encode the first 10 s of sounds; what is missing of these are zeros, which the network hears as silence.

        Args:
            batch: mono waveforms (S,), float32, at ``sample_rate``, S >= 1.

        Returns:
            ``"features"``, float32, (B, 768), and ``"logits"`` before the sigmoid, (B, 527).
        """
        features = torch.cat([self._features(self.log_mel(waveform)) for waveform in batch])  # one by one: same bits
        return {"features": features, "logits": torch.cat([self.head(row) for row in features[:, None]])}

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Compute the mel spectrogram of one waveform (S,), cut or filled: (1, 1, bands, frames)."""
        samples = self.options.samples
        fitted = pad(waveform[:samples], (0, samples - min(len(waveform), samples)))
        emphasised = fitted[1:] - 0.97 * fitted[:-1]
        spectrum = torch.stft(emphasised, N_FFT, HOP, WINDOW, self.window, return_complex=True)
        power = torch.view_as_real(spectrum).square().sum(dim=-1)
        return (((self.mel @ power + 1e-5).log() + 4.5) / 5.0)[None, None]

    def _features(self, mel: Tensor) -> Tensor:
        """Map a spectrogram (1, 1, bands, frames) to (1, width)."""
        patches = self.patch_embed["proj"](mel) + self.time_new_pos_embed + self.freq_new_pos_embed
        first = torch.cat([self.cls_token, self.dist_token], dim=1) + self.new_pos_embed
        x = torch.cat([first, patches.flatten(2).transpose(1, 2)], dim=1)
        for block in self.blocks[:-1]:
            x = block(x)
        features: Tensor = self.norm(self.blocks[-1](x, first=2)).mean(dim=1)
        return features


def load(weights: Weights) -> PaSST:
    """Build the public network and load its checkpoint."""
    network = PaSST()
    fill(network, weights, "passt")
    return network
