"""ImageBind around a module that the user brings: its weights are CC-BY-NC-SA 4.0, and the package does not load them.

Inputs are prepared as av-benchmark prepares them for its IB-score: of a video, frames two seconds apart from 1 s on, in
overlapping pairs and three crops each; of a sound, three clips of 2 s. The module averages what it makes of the pairs
or clips of a sample.

Source: Girdhar et al., "ImageBind: One Embedding Space To Bind Them All", CVPR 2023.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from torchmetrics_majorscore.encoders.base import in_micro_batches
from torchmetrics_majorscore.encoders.brought import BroughtModule
from torchmetrics_majorscore.encoders.kaldi import RATE, WINDOW, kaldi_log_mel

SIZE = 224
CLIPS = 3
SECONDS = 2
BANDS = 128
FRAMES = 204
MEAN, SCALE = -4.268, 9.138
TEXTS_PER_CALL = 4


class ImageBind(BroughtModule):
    """A joint encoder of video, text and audio.

    Args:
        module: ``ImageBindModel`` of facebookresearch/ImageBind with its weights: it maps a dictionary with
            ``"vision"`` (B, clips, 3, 2, 224, 224), ``"text"`` (B, 77) or ``"audio"`` (B, 3, 1, 128, 204) to one with
            (B, D). A frozen copy is taken; delete yours to have its memory back.

    Raises:
        TypeError: it has no ``modality_heads``.
    """

    modalities = ("video", "text", "audio")

    def __init__(self, module: nn.Module) -> None:
        if not hasattr(module, "modality_heads"):
            raise TypeError(f"Expected ImageBindModel with its modality_heads, got {type(module).__qualname__}.")
        super().__init__(module, "imagebind", BANDS)

    def encode_video(self, batch: Sequence[Tensor]) -> Tensor:
        """Encode frames of which every second one is seen, from the second on; of a shorter video the first.

        Args:
            batch: frames (T, 3, H, W), uint8 RGB, at t = 0, 1, 2, ... s.

        Returns:
            Unit-norm embeddings, float32, (B, D).
        """
        clips = [self.video_clips(frames[1::2] if len(frames) > 1 else frames) for frames in batch]
        return torch.cat([self.run("vision", each[None]) for each in clips])

    def encode_text(self, batch: Sequence[str]) -> Tensor:
        """Encode captions, as they are.

        Args:
            batch: captions; over 77 tokens they are cut, see :meth:`remark_text`.

        Returns:
            Unit-norm embeddings, float32, (B, D).
        """
        return in_micro_batches(lambda rows: self.run("text", rows), self.tokens(batch), TEXTS_PER_CALL)

    def encode_audio(self, batch: Sequence[Tensor]) -> Tensor:
        """Encode sounds; of each three clips of 2 s, at the start, in the middle and at the end, are heard.

        Args:
            batch: mono waveforms (S,), float32, at ``sample_rate``, S >= 1.

        Returns:
            Unit-norm embeddings, float32, (B, D).
        """
        return torch.cat([self.run("audio", self.audio_clips(waveform)[None]) for waveform in batch])

    def video_clips(self, frames: Tensor) -> Tensor:
        """Prepare frames (T, 3, H, W), uint8 RGB, all of which are seen: (3 * (T - 1), 3, 2, 224, 224).

        A single frame makes a pair with itself, as ImageBind sees pictures.
        """
        resized = _resize(frames if len(frames) > 1 else frames.repeat(2, 1, 1, 1))
        pixels = (resized.float() / 255.0 - self.mean) / self.std
        height, width = pixels.shape[-2:]
        crops = []
        for place in range(3):
            offsets = [math.ceil((side - SIZE) / 2) for side in (height, width)]
            longer = 0 if height > width else 1  # along which the crops differ
            offsets[longer] = (0, offsets[longer], (height, width)[longer] - SIZE)[place]
            crops.append(pixels[..., offsets[0] : offsets[0] + SIZE, offsets[1] : offsets[1] + SIZE])
        pairs = [crop[start : start + 2].transpose(0, 1) for start in range(len(pixels) - 1) for crop in crops]
        return torch.stack(pairs)

    def audio_clips(self, waveform: Tensor) -> Tensor:
        """Prepare a mono waveform (S,): (3, 1, 128, 204).

        The clips of a sound under 6 s overlap, and each is made zero on average where the ones before it were already:
        so it is in the original, whose numbers are wanted.
        """
        wave = pad(waveform, (0, max(WINDOW - len(waveform), 0))).clone()
        latest = Fraction(max(len(wave) / RATE - SECONDS, 0.0))
        clips = []
        for number in range(CLIPS):
            start = latest * number / (CLIPS - 1)
            clip = wave[int(start * RATE) : int((start + SECONDS) * RATE)]
            clip -= clip.mean()
            mel = kaldi_log_mel(clip, self.window, self.bands).T[:, :FRAMES]
            clips.append((pad(mel, (0, FRAMES - mel.shape[1])) - MEAN) / SCALE)
        return torch.stack(clips)[:, None]


def _resize(frames: Tensor) -> Tensor:
    """Bring the short side of uint8 frames to 224, bytes to bytes, as torchvision's tensors are."""
    height, width = frames.shape[-2:]
    short = min(height, width)
    if short == SIZE:
        return frames
    size = [SIZE if side == short else int(SIZE * side / short) for side in (height, width)]
    if frames.device.type == "cpu":
        return interpolate(frames, size, mode="bicubic", align_corners=False, antialias=True)
    wide = interpolate(frames.float(), size, mode="bicubic", align_corners=False, antialias=True)
    return wide.clamp(0.0, 255.0).round().to(torch.uint8)
