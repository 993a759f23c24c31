"""LanguageBind around a module that the user brings: its package asks for transformers 4, and this one for 5.

Inputs are prepared as LanguageBind's processors prepare them, without what is drawn at random there: no flip of videos,
and of sounds over 10.38 s the three parts begin where the thirds do, which is the authors' own rule in a comment. Of a
video eight frames are seen, evenly from the first to the last.

Source: Zhu et al., "LanguageBind: Extending Video-Language Pretraining to N-modality by Language-based Semantic
Alignment", ICLR 2024.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from torchmetrics_majorscore.encoders.base import in_micro_batches
from torchmetrics_majorscore.encoders.brought import BroughtModule
from torchmetrics_majorscore.encoders.kaldi import WINDOW, kaldi_log_mel

SIZE = 224
SEEN = 8  # frames
BANDS, FRAMES = 112, 1036
MEAN, STD = -4.2677393, 4.5689974
PARTS = 3
TEXTS_PER_CALL = 4
KEYS = {"video": "video", "text": "language", "audio": "audio", "image": "image"}
"""Modalities to LanguageBind's words for them; its depth and thermal pictures are not here."""


class LanguageBind(BroughtModule):
    """A joint encoder of text and of what the module has of video, audio and image.

    Args:
        module: ``LanguageBind`` of PKU-YuanGroup/LanguageBind with its weights (those named ``_FT`` are the authors'
            choice): it has ``modality_encoder`` and maps a dictionary with ``"video"`` (B, 3, 8, 224, 224), ``"audio"``
            (B, 3, 112, 1036) or ``"image"`` (B, 3, 224, 224) as ``pixel_values``, or ``"language"`` (B, 77) as
            ``input_ids`` and ``attention_mask``, to one with (B, D). A frozen copy is taken; delete yours to have its
            memory back.

    Raises:
        TypeError: it has no ``modality_encoder``.
        ValueError: it has no language, or nothing beside it.
    """

    fps = 25.0
    streams = True

    def __init__(self, module: nn.Module) -> None:
        if not hasattr(module, "modality_encoder"):
            raise TypeError(f"Expected LanguageBind with its modality_encoder, got {type(module).__qualname__}.")
        encoders: Any = module.modality_encoder
        has = set(encoders)
        modalities = tuple(name for name, key in KEYS.items() if key in has)
        if "text" not in modalities or len(modalities) < 2:
            raise ValueError(f"Expected LanguageBind with language and video, audio or image, got {sorted(has)}.")
        super().__init__(module, "languagebind", BANDS)
        self.modalities = modalities

    def encode_video(self, batch: Sequence[Tensor | Iterable[Tensor]]) -> Tensor:
        """Encode videos.

        Args:
            batch: frames (T, 3, H, W), uint8 RGB, T >= 1, at ``fps``; or pieces of one, read once.

        Returns:
            Unit-norm embeddings, float32, (B, D).
        """
        return torch.cat([self._run("video", self.video_pixels(video)[None]) for video in batch])

    def encode_image(self, batch: Sequence[Tensor]) -> Tensor:
        """Encode pictures (3, H, W), uint8 RGB; unit-norm embeddings, float32, (B, D)."""
        return torch.cat([self._run("image", self.image_pixels(picture)[None]) for picture in batch])

    def encode_text(self, batch: Sequence[str]) -> Tensor:
        """Encode captions, as they are.

        Args:
            batch: captions; over 77 tokens they are cut, see :meth:`remark_text`.

        Returns:
            Unit-norm embeddings, float32, (B, D).
        """
        return in_micro_batches(self._texts, self.tokens(batch), TEXTS_PER_CALL)

    def encode_audio(self, batch: Sequence[Tensor | Iterable[Tensor]]) -> Tensor:
        """Encode sounds.

        Args:
            batch: mono waveforms (S,), float32, at 16 kHz, S >= 1; or pieces of one, read once.

        Returns:
            Unit-norm embeddings, float32, (B, D).
        """
        whole = (wave if isinstance(wave, Tensor) else torch.cat(list(wave)) for wave in batch)
        return torch.cat([self._run("audio", self.mels(wave)[None]) for wave in whole])

    def video_pixels(self, video: Tensor | Iterable[Tensor]) -> Tensor:
        """Prepare the frames that are seen of a video: (3, 8, 224, 224)."""
        if isinstance(video, Tensor):
            seen = self._small(video[_evenly(len(video))])
        else:
            small = torch.cat([self._small(piece) for piece in video])
            seen = small[_evenly(len(small))]
        return seen.transpose(0, 1)

    def _small(self, frames: Tensor) -> Tensor:
        pixels = (frames.float() / 255.0 - self.mean) / self.std
        return _crop(interpolate(pixels, _short_side(pixels), mode="bilinear", align_corners=False))

    def image_pixels(self, picture: Tensor) -> Tensor:
        """Prepare a picture: (3, 224, 224); its filter has no antialiasing, as torchvision had none for tensors."""
        values = picture[None].float() / 255.0
        if min(values.shape[-2:]) != SIZE:
            values = interpolate(values, _short_side(values), mode="bicubic", align_corners=False)
        return (_crop(values)[0] - self.mean) / self.std

    def mels(self, waveform: Tensor) -> Tensor:
        """Prepare a mono waveform (S,): (3, 112, 1036), three parts of a long sound, or a short one again and again."""
        wave = pad(waveform, (0, max(WINDOW - len(waveform), 0)))
        mel = kaldi_log_mel(wave - wave.mean(), self.window, self.bands)
        over = len(mel) - FRAMES + 1  # places where a part may start
        if over <= 1:
            parts = [mel.repeat(FRAMES // len(mel) + 1, 1)[:FRAMES]] * PARTS
        else:
            starts = [sum(over // PARTS + (third < over % PARTS) for third in range(part)) for part in range(PARTS)]
            parts = [mel[start if start < over else 0 :][:FRAMES] for start in starts]
        return (torch.stack(parts).transpose(1, 2) - MEAN) / (2 * STD)

    def _texts(self, tokens: Tensor) -> Tensor:
        ends = tokens.argmax(dim=-1, keepdim=True)  # the end token has the largest number
        mask = torch.arange(tokens.shape[1], device=tokens.device) <= ends
        return self.run("language", {"input_ids": tokens, "attention_mask": mask.long()})

    def _run(self, modality: str, prepared: Tensor) -> Tensor:
        # Scaled by a temperature, but for language.
        return self.run(modality, {"pixel_values": prepared})


def _evenly(count: int) -> list[int]:
    return [int(place * (count - 1) / (SEEN - 1)) for place in range(SEEN)]


def _short_side(pixels: Tensor) -> tuple[int, int]:
    height, width = pixels.shape[-2:]
    long = math.floor(max(height, width) / min(height, width) * SIZE)
    return (long, SIZE) if width < height else (SIZE, long)


def _crop(pixels: Tensor) -> Tensor:
    top, left = (round((side - SIZE) / 2) for side in pixels.shape[-2:])
    return pixels[..., top : top + SIZE, left : left + SIZE]
