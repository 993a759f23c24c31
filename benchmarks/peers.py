"""What `update.py` is compared with: the same batch through other people's code, as its users write it.

Every function takes a batch of decoded tensors; none reads a file. The weights are those of `originals.py`, but for
Hugging Face's CLAP, which is built with random ones of the same sizes.
"""

from typing import Any

import librosa
import torch
from originals import Originals
from PIL import Image
from torch import Tensor
from torchmetrics.multimodal import CLIPScore
from transformers import ClapAudioConfig, ClapAudioModelWithProjection, ClapFeatureExtractor

CLAP_RATE = 48_000
Batch = dict[str, Any]


def to_48_khz(audio: Tensor, rate: int) -> Tensor:
    """Resample as laion_clap's loader does."""
    return torch.from_numpy(librosa.resample(audio.numpy(), orig_sr=rate, target_sr=CLAP_RATE, res_type="soxr_hq"))


def to_pictures(video: Tensor) -> list[Image.Image]:
    return [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in video]


class Peers:
    """The peers, built once.

    Args:
        originals: networks and processors of the original C-MCR path.
        rate: of the waveforms in a batch.
    """

    def __init__(self, originals: Originals, rate: int) -> None:
        self.originals = originals
        self.rate = rate
        self.clap = ClapAudioModelWithProjection(ClapAudioConfig(enable_fusion=True)).eval()
        self.features = ClapFeatureExtractor(truncation="fusion")
        self.clip_score = CLIPScore(lambda: (Returning(originals), Processing(originals)))

    def per_sample(self, batch: Batch) -> None:
        """The original C-MCR path, sample by sample."""
        for video, text, audio in zip(batch["video"], batch["text"], batch["audio"], strict=True):
            self.batched({"video": video[None], "text": [text], "audio": audio[None]})

    @torch.no_grad()
    def batched(self, batch: Batch) -> None:
        """The original C-MCR path with all samples in one call of each network."""
        originals = self.originals
        originals.heads["Head_B"](originals.image(to_pictures(batch["video"].flatten(0, 1))))
        originals.heads["Head_B"](originals.text(batch["text"]))
        originals.heads["Head_A"](originals.audio([to_48_khz(audio, self.rate) for audio in batch["audio"]]))

    @torch.no_grad()
    def hugging_face(self, batch: Batch) -> None:
        """Hugging Face's CLIP and CLAP with their processors, batched; no heads."""
        clip, pictures = self.originals.clip, to_pictures(batch["video"].flatten(0, 1))
        clip.get_image_features(**self.originals.processor(images=pictures, return_tensors="pt"))
        tokens = self.originals.tokenizer(batch["text"], padding=True, truncation=True, return_tensors="pt")
        clip.get_text_features(**tokens)
        waves = [to_48_khz(audio, self.rate).numpy() for audio in batch["audio"]]
        self.clap(**self.features(waves, sampling_rate=CLAP_RATE, return_tensors="pt"))

    @torch.no_grad()
    def clip_score_update(self, batch: Batch) -> None:
        """The update of torchmetrics' CLIPScore, one frame per sample (it takes no video) and no audio."""
        self.clip_score.update(list(batch["video"][:, 0]), batch["text"])


class Returning(torch.nn.Module):
    """CLIP whose features are tensors, as CLIPScore expects them: with transformers 5 it fails on the outputs."""

    def __init__(self, originals: Originals) -> None:
        super().__init__()
        self.clip = originals.clip
        self.config = originals.clip.config

    def get_image_features(self, pixels: Tensor) -> Tensor:
        return self.clip.get_image_features(pixel_values=pixels).pooler_output

    def get_text_features(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return self.clip.get_text_features(input_ids=tokens, attention_mask=mask).pooler_output


class Processing:
    """CLIP's image processor and tokenizer behind one call, as ``CLIPProcessor``."""

    def __init__(self, originals: Originals) -> None:
        self.originals = originals

    def __call__(self, images: Any = None, text: Any = None, padding: bool = True, return_tensors: str = "pt") -> Any:
        if text is not None:
            return self.originals.tokenizer(text, padding=padding, return_tensors=return_tensors)
        return self.originals.processor(images=images, return_tensors=return_tensors)
