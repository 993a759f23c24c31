"""Media files to frames and waveforms, and manifests to lists of clips.

A public name loads what it needs when it is first touched (PEP 562): manifests need no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchmetrics_majorscore.media.audio import read_waveform
    from torchmetrics_majorscore.media.clip import Clip, read_clip
    from torchmetrics_majorscore.media.manifest import Entry, read_manifest
    from torchmetrics_majorscore.media.video import read_frames

_HOMES = {"read_waveform": "audio", "Clip": "clip", "read_clip": "clip", "read_frames": "video"}
_HOMES |= {"Entry": "manifest", "read_manifest": "manifest"}

__all__ = ["Clip", "Entry", "read_clip", "read_frames", "read_manifest", "read_waveform"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
