"""Synchformer: how many seconds the sound of a clip is early or late, from segments of 0.64 s, 0.32 s apart.

Source: Iashin et al., "Synchformer: Efficient Synchronization from Sparse Cues", ICASSP 2024, as DeSync of
video-to-audio papers uses it: the first and the last 14 segments of a clip.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from torchmetrics_majorscore.encoders.base import in_micro_batches
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.resize import prepare_frames
from torchmetrics_majorscore.functional.mel_bands import mel_bands
from torchmetrics_majorscore.networks.comparison import Comparison
from torchmetrics_majorscore.networks.loading import fill
from torchmetrics_majorscore.networks.motionformer import VideoOptions, VideoTower
from torchmetrics_majorscore.networks.spectrogram_transformer import AudioOptions, AudioTower

SAMPLE_RATE = 16_000
FPS = 25
SEGMENTS = 14
"""Of a comparison, which is of 4.8 s."""
SEGMENT = 10_240  # samples, 0.64 s
MEAN, DEVIATION = -4.2677393, 4.5689974  # of AudioSet's log-mels
AUDIO_PER_CALL = 8
VIDEO_PER_CALL = 1


@dataclass(frozen=True)
class SynchformerOptions:
    """Size of the network; the defaults are those of the public one.

    Args:
        video: of the video tower.
        audio: of the audio tower.
        depth: blocks of the comparison.
        heads: attention heads of the comparison.
    """

    video: VideoOptions = field(default_factory=VideoOptions)
    audio: AudioOptions = field(default_factory=AudioOptions)
    depth: int = 3
    heads: int = 8


class Synchformer(nn.Module):
    """Sound and frames to vectors of segments, and both to offsets.

    Args:
        options: size.
    """

    sample_rate = SAMPLE_RATE
    fps = FPS
    shortest = 4.8
    window: Tensor
    bands: Tensor

    def __init__(self, options: SynchformerOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or SynchformerOptions()
        self.name = "synchformer"
        bands = mel_bands(SAMPLE_RATE, 1024, options.audio.bands, 0.0, 8000.0, scale="htk")
        self.register_buffer("window", torch.hann_window(400, device="cpu"), persistent=False)
        self.register_buffer("bands", bands, persistent=False)
        self.vfeat_extractor = VideoTower(options.video)
        self.afeat_extractor = AudioTower(options.audio)
        width, tokens = options.video.width, 2 + SEGMENTS * (options.video.times + options.audio.grid[1])
        self.vproj, self.aproj = nn.Linear(width, width), nn.Linear(options.audio.width, width)
        self.transformer = Comparison(width, tokens, options.depth, options.heads)
        self.eval().requires_grad_(False)

    @property
    def frame_size(self) -> int:
        """Height and width of the frames that it sees; readers may bring frames to it."""
        return self.options.video.size

    def encode_audio(self, batch: Sequence[Tensor]) -> list[Tensor]:
        """Encode the segments of sounds.

        Args:
            batch: mono waveforms (S,), float32, at ``sample_rate``, of a segment at least.

        Returns:
            For each sound, (segments, 6, 768), float32.
        """
        segments = [waveform.unfold(0, SEGMENT, SEGMENT // 2) for waveform in batch]
        mels = (self.log_mel(piece) for piece in segments)
        return _split(in_micro_batches(self.afeat_extractor, mels, AUDIO_PER_CALL), segments)

    def encode_video(self, batch: Sequence[Tensor]) -> list[Tensor]:
        """Encode the segments of videos; one thread needs two minutes for 8 s.

        Args:
            batch: frames (T, 3, H, W), uint8 RGB, at 25 frames per second, of a segment at least; their short side is
                brought to 224 pixels, and the centre is seen.

        Returns:
            For each video, (segments, 8, 768), float32.
        """
        frames, size = self.options.video.frames, self.options.video.size
        segments = [prepare_frames(video, size).unfold(0, frames, frames // 2).movedim(-1, 1) for video in batch]
        return _split(in_micro_batches(self.vfeat_extractor, segments, VIDEO_PER_CALL), segments)

    def compare(self, video: Sequence[Tensor], audio: Sequence[Tensor]) -> Tensor:
        """Give the logits of the 21 offsets from -2 s to 2 s.

        Args:
            video: of each clip (segments, 8, 768), what :meth:`encode_video` gave.
            audio: of each clip (segments, 6, 768), what :meth:`encode_audio` gave. Both have 14 segments at least; of
                what one has more than the other nothing is seen.

        Returns:
            For the first and the last 14 segments, (B, 2, 21), float32.
        """
        logits = []
        for frames, sound in zip(video, audio, strict=True):
            length = min(len(frames), len(sound))
            windows = [slice(0, SEGMENTS), slice(length - SEGMENTS, length)]
            v, a = (torch.stack([x[window].flatten(0, 1) for window in windows]) for x in (frames, sound))
            logits.append(self.transformer(self.vproj(v), self.aproj(a)))
        return torch.stack(logits)

    def log_mel(self, segments: Tensor) -> Tensor:
        """Compute the normalised log-mels of segments (N, SEGMENT): (N, bands, frames)."""
        spectra = torch.stft(segments, 1024, 160, 400, self.window, return_complex=True)
        mels = (torch.view_as_real(spectra).square().sum(dim=-1).transpose(1, 2) @ self.bands + 1e-6).log()
        # The last frame is of zeros behind the logarithm, as at training.
        filled = pad(mels.transpose(1, 2), (0, self.options.audio.frames - mels.shape[1]))
        return (filled - MEAN) / (2 * DEVIATION)


def _split(rows: Tensor, parts: Sequence[Tensor]) -> list[Tensor]:
    return list(torch.split(rows, [len(part) for part in parts]))


def load(weights: Weights) -> Synchformer:
    """Build the public network and load its checkpoint."""
    network = Synchformer()
    fill(network, weights, "synchformer")
    return network
