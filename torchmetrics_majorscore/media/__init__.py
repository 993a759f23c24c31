"""Media files to frames and waveforms, and manifests to lists of clips."""

from torchmetrics_majorscore.media.audio import read_waveform
from torchmetrics_majorscore.media.clip import Clip, read_clip
from torchmetrics_majorscore.media.manifest import Entry, read_manifest
from torchmetrics_majorscore.media.video import read_frames

__all__ = ["Clip", "Entry", "read_clip", "read_frames", "read_manifest", "read_waveform"]
