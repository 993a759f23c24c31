"""The modalities that are known, one small file each, and tensors for every other one that an encoder has."""

from collections.abc import Mapping

from torchmetrics_majorscore.modalities.audio import Audio
from torchmetrics_majorscore.modalities.base import Checked, Modality
from torchmetrics_majorscore.modalities.features import Features
from torchmetrics_majorscore.modalities.image import Image
from torchmetrics_majorscore.modalities.text import Text
from torchmetrics_majorscore.modalities.video import Video

MODALITIES: dict[str, Modality] = {modality.name: modality for modality in (Video(), Image(), Text(), Audio())}


def find_modality(name: str, shapes: Mapping[str, tuple[int | None, ...]]) -> Modality:
    """Give the modality of a name, or that of tensors whose shape an encoder declares."""
    return MODALITIES.get(name) or Features(name, shapes[name])


__all__ = ["MODALITIES", "Audio", "Checked", "Features", "Image", "Modality", "Text", "Video", "find_modality"]
