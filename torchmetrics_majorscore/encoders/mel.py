"""Preparation of a waveform for CLAP: 16-bit steps, filled to one length, log-mel; longer ones as whole and chunks.

As laion_clap does it: values to 16-bit steps; up to the network's length repeated whole and filled with zeros; log-mel.
Longer ones keep the whole mel shrunk to that length and three chunks of it. laion_clap draws the chunks' starts at
random from the thirds of the possible range; here each is the middle of its third, so that a waveform has one
embedding.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad


@dataclass(frozen=True)
class MelOptions:
    """Length and resolution of the mels that a network was trained with; the defaults are LAION-CLAP's.

    Args:
        sample_rate: of the waveforms, in Hz.
        samples: length of a waveform; shorter ones are filled.
        n_fft: samples of the window and of the Fourier transform.
        hop_length: samples from one mel frame to the next.
        n_mels: bands, on the HTK scale.
        f_min: lower edge of the first band, in Hz.
        f_max: upper edge of the last band, in Hz.
    """

    sample_rate: int = 48_000
    samples: int = 480_000
    n_fft: int = 1024
    hop_length: int = 480
    n_mels: int = 64
    f_min: float = 50.0
    f_max: float = 14_000.0

    @property
    def frames(self) -> int:
        """Mel frames of a waveform of full length."""
        return self.samples // self.hop_length + 1


class FusedMel(nn.Module):
    """Waveform to log-mel in dB, with CLAP's treatment of long ones ("fusion").

    Args:
        options: length and resolution.
    """

    def __init__(self, options: MelOptions) -> None:
        super().__init__()
        from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

        self.options = options
        self.mel = nn.Sequential(
            MelSpectrogram(
                options.sample_rate,
                n_fft=options.n_fft,
                hop_length=options.hop_length,
                n_mels=options.n_mels,
                f_min=options.f_min,
                f_max=options.f_max,
            ),
            AmplitudeToDB(top_db=None),
        )

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute the mels of one waveform.

        Args:
            waveform: shape (S,), float32, S >= 1; values beyond [-1, 1] are clipped.

        Returns:
            Shape (1, frames, n_mels), in dB; of a longer waveform (4, frames, n_mels), the shrunk whole and three
            chunks.
        """
        frames = self.options.frames
        mel: Tensor = self.mel(fill(to_16_bit(waveform), self.options.samples)).T
        if len(mel) == frames:
            return mel[None]
        # No antialiasing: torchvision's resize had none when the network was trained.
        shrunk = interpolate(mel[None, None], size=(frames, mel.shape[1]), mode="bilinear", antialias=False)[0]
        chunks = [mel[start : start + frames] for start in chunk_starts(len(mel), frames)]
        return torch.cat([shrunk, torch.stack(chunks)])


def to_16_bit(waveform: Tensor) -> Tensor:
    """Round a waveform towards zero to 16-bit steps, as laion_clap does: trunc(clamp(x) * 32767) / 32767."""
    return (waveform.clamp(-1.0, 1.0) * 32767.0).trunc() / 32767.0


def fill(waveform: Tensor, samples: int) -> Tensor:
    """Repeat a waveform as often as it fits whole into ``samples``, then add zeros; longer ones stay as they are."""
    if len(waveform) >= samples:
        return waveform
    repeated = waveform.repeat(samples // len(waveform))
    return pad(repeated, (0, samples - len(repeated)))


def chunk_starts(whole: int, frames: int) -> list[int]:
    """Choose the first frames of the three chunks of a longer mel: the middle of each third of what is possible.

    Args:
        whole: frames of the whole mel, more than ``frames``.
        frames: of a chunk.

    Returns:
        Three starts in [0, whole - frames]; a third that is empty gives 0, as in laion_clap.
    """
    possible = whole - frames + 1
    sizes = [possible // 3 + (third < possible % 3) for third in range(3)]
    return [sum(sizes[:third]) + size // 2 if size else 0 for third, size in enumerate(sizes)]
