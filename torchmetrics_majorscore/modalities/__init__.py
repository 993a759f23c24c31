"""The modalities that are known: one small file each."""

from torchmetrics_majorscore.modalities.audio import Audio
from torchmetrics_majorscore.modalities.base import Checked, Modality
from torchmetrics_majorscore.modalities.text import Text
from torchmetrics_majorscore.modalities.video import Video

MODALITIES: dict[str, Modality] = {modality.name: modality for modality in (Video(), Text(), Audio())}

__all__ = ["MODALITIES", "Audio", "Checked", "Modality", "Text", "Video"]
