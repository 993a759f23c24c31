"""MAJORScore and FairScore: how well generated audio fits its video and caption; and the metrics beside them.

Importing the package imports nothing else; a public name loads what it needs when it is first touched (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchmetrics_majorscore.encoders import load_encoder
    from torchmetrics_majorscore.metrics import (
        CLIPCLAPScore,
        CrossModalRecall,
        DeSync,
        FairScore,
        FeatureStatistics,
        FrechetDistance,
        InceptionScore,
        MAJORScore,
        MAJORScores,
        OnsetScores,
        PairedKL,
        V2AMetrics,
    )

    __version__: str

__all__ = [
    "CLIPCLAPScore",
    "CrossModalRecall",
    "DeSync",
    "FairScore",
    "FeatureStatistics",
    "FrechetDistance",
    "InceptionScore",
    "MAJORScore",
    "MAJORScores",
    "OnsetScores",
    "PairedKL",
    "V2AMetrics",
    "__version__",
    "load_encoder",
]
_HOMES = dict.fromkeys(__all__, "metrics") | {"load_encoder": "encoders"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        found: Any = version("torchmetrics-majorscore")
    elif name in _HOMES:
        found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
