"""Media files to frames and waveforms, and manifests to lists of clips.

The names are loaded when they are first touched: a list of clips needs no decoder, and torch is for whole
clips alone: pieces are arrays.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchmetrics_majorscore.media.audio import read_waveform
    from torchmetrics_majorscore.media.clip import Clip, ClipStream, open_clip, read_clip
    from torchmetrics_majorscore.media.entry import Entry, Manifest
    from torchmetrics_majorscore.media.manifest import read_manifest
    from torchmetrics_majorscore.media.video import read_frames

__all__ = [
    "Clip",
    "ClipStream",
    "Entry",
    "Manifest",
    "open_clip",
    "read_clip",
    "read_frames",
    "read_manifest",
    "read_waveform",
]

_HOMES = {
    "Clip": "clip",
    "ClipStream": "clip",
    "Entry": "entry",
    "Manifest": "entry",
    "open_clip": "clip",
    "read_clip": "clip",
    "read_frames": "video",
    "read_manifest": "manifest",
    "read_waveform": "audio",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
