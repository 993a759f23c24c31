"""Preparation of a waveform for CLAP: 16-bit steps, filled to one length, log-mel; longer ones cut or in chunks.

As laion_clap does it: values to 16-bit steps; up to the network's length repeated whole and filled with zeros; log-mel.
With fusion, longer ones keep the whole mel shrunk to that length and three chunks of it; without, a part as long.
laion_clap draws the chunks' starts at random from the thirds of the possible range, and the part's from all of it; here
each is the middle, so that a waveform has one embedding.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from torchmetrics_majorscore.encoders.base import join_rows
from torchmetrics_majorscore.functional.mel_bands import Scale, mel_bands

FLOOR = 1e-10
"""Power below which nothing is told apart: -100 dB."""


@dataclass(frozen=True)
class MelOptions:
    """Length and resolution of the mels that a network was trained with; the defaults are LAION-CLAP's.

    Args:
        sample_rate: of the waveforms, in Hz.
        samples: length of a waveform; shorter ones are filled.
        n_fft: samples of the window and of the Fourier transform.
        hop_length: samples from one mel frame to the next.
        n_mels: bands.
        f_min: lower edge of the first band, in Hz.
        f_max: upper edge of the last band, in Hz.
        fusion: how laion_clap prepares sounds for a network with fusion: bands on the HTK scale, long sounds as whole
            and chunks; False for one without: bands on Slaney's scale, of equal area, and the middle of long sounds.
    """

    sample_rate: int = 48_000
    samples: int = 480_000
    n_fft: int = 1024
    hop_length: int = 480
    n_mels: int = 64
    f_min: float = 50.0
    f_max: float = 14_000.0
    fusion: bool = True

    @property
    def frames(self) -> int:
        """Mel frames of a waveform of full length."""
        return self.samples // self.hop_length + 1

    @property
    def bands(self) -> Tensor:
        """Filters of the mel scale, (n_fft // 2 + 1, n_mels)."""
        scale: Scale = "htk" if self.fusion else "slaney"
        return mel_bands(self.sample_rate, self.n_fft, self.n_mels, self.f_min, self.f_max, scale=scale)


class LogMel(nn.Module):
    """Waveform to log-mel in dB.

    Args:
        options: length and resolution.
    """

    window: Tensor
    bands: Tensor

    def __init__(self, options: MelOptions) -> None:
        super().__init__()
        self.options = options
        self.register_buffer("window", torch.hann_window(options.n_fft))
        self.register_buffer("bands", options.bands)

    def forward(self, waveform: Tensor | Iterable[Tensor]) -> Tensor:
        """Compute the mels of one waveform.

        Args:
            waveform: shape (S,), float32, S >= 1; values beyond [-1, 1] are clipped. Or such pieces of it, read once.

        Returns:
            Shape (1, frames, n_mels), in dB; of a longer waveform, with fusion, (4, frames, n_mels): the shrunk whole
            and three chunks.
        """
        samples, frames = self.options.samples, self.options.frames
        pieces = iter([waveform] if isinstance(waveform, Tensor) else waveform)
        if not self.options.fusion:
            whole = torch.cat(list(pieces))
            start = max(len(whole) - samples, 0) // 2
            pieces = iter([whole[start : start + samples]])
        first = next(pieces)
        while len(first) < samples + self.options.hop_length and (piece := next(pieces, None)) is not None:
            first = torch.cat([first, piece])
        if len(first) < samples + self.options.hop_length:
            return self.mel(fill(to_16_bit(first), samples))[None]
        mel = join_rows(self._long_mel(chain([first], pieces)))
        # No antialiasing: torchvision's resize had none when the network was trained.
        shrunk = interpolate(mel[None, None], size=(frames, mel.shape[1]), mode="bilinear", antialias=False)[0]
        chunks = [mel[start : start + frames] for start in chunk_starts(len(mel), frames)]
        return torch.cat([shrunk, torch.stack(chunks)])

    def mel(self, waveform: Tensor) -> Tensor:
        """Compute the log-mel (T, n_mels) of a waveform (S,) as it is."""
        reach = self.options.n_fft // 2
        return self._frames(pad(waveform[None], (reach, reach), mode="reflect")[0])

    def _long_mel(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Compute the log-mel of a long waveform, as many frames at a time as a chunk has: 26 KB a second are kept."""
        options, reach = self.options, self.options.n_fft // 2
        step = options.frames * options.hop_length
        waiting: Tensor | None = None
        for piece in pieces:
            rounded = to_16_bit(piece)
            if waiting is None:
                waiting = pad(rounded[None], (reach, 0), mode="reflect")[0]
            else:
                waiting = torch.cat([waiting, rounded])
            while len(waiting) >= step + 2 * options.n_fft:  # what the last frames are reflected in stays
                yield self._frames(waiting[: step - options.hop_length + options.n_fft])
                waiting = waiting[step:]
        if waiting is not None:
            yield self._frames(pad(waiting[None], (0, reach), mode="reflect")[0])

    def _frames(self, padded: Tensor) -> Tensor:
        options = self.options
        spectrum = torch.stft(
            padded, options.n_fft, options.hop_length, window=self.window, center=False, return_complex=True
        )
        power = spectrum.abs().pow(2.0).T @ self.bands
        return 10.0 * power.clamp(min=FLOOR).log10()


def to_16_bit(waveform: Tensor) -> Tensor:
    """Round a waveform towards zero to 16-bit steps, as laion_clap does: trunc(clamp(x) * 32767) / 32767.

    Steps have no slope: gradients pass as if there were only the clamp.
    """
    clamped = waveform.clamp(-1.0, 1.0)
    rounded = (clamped.detach() * 32767.0).trunc() / 32767.0
    return rounded + (clamped - clamped.detach()) if clamped.requires_grad else rounded


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
