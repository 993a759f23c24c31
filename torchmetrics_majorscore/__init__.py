"""MAJORScore and FairScore: how well generated audio fits its video and caption; and the metrics beside them.

Importing the package imports nothing heavy; a public name loads what it needs when it is first touched.
"""

from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.lazy import load

if TYPE_CHECKING:
    from torchmetrics_majorscore.encoders import load_encoder
    from torchmetrics_majorscore.metrics import (
        CLIPCLAPScore,
        CrossModalRecall,
        DeSync,
        FairScore,
        FeatureStatistics,
        FrameScores,
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
    "FrameScores",
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
    else:
        found = load(__name__, _HOMES, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
