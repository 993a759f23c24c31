"""The modalities that are known, one small file each, and tensors for every other one that an encoder has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchmetrics_majorscore.modalities.audio import Audio
from torchmetrics_majorscore.modalities.base import Checked, Modality
from torchmetrics_majorscore.modalities.features import Features
from torchmetrics_majorscore.modalities.image import Image
from torchmetrics_majorscore.modalities.text import Text
from torchmetrics_majorscore.modalities.video import Video

if TYPE_CHECKING:
    from torchmetrics_majorscore.encoders import SharedEncoder

MODALITIES: dict[str, Modality] = {modality.name: modality for modality in (Video(), Image(), Text(), Audio())}


def find_modality(name: str, encoder: SharedEncoder) -> Modality:
    """Give a modality of an encoder: videos at the rate that it sees, tensors of the shape that it declares."""
    if name == "video" and encoder.fps != 1:
        return Video(encoder.fps)
    return MODALITIES.get(name) or Features(name, encoder.shapes[name])


__all__ = ["MODALITIES", "Audio", "Checked", "Features", "Image", "Modality", "Text", "Video", "find_modality"]
