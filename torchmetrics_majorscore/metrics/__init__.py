"""torchmetrics metrics: they hold rows and call ``functional/``."""

from torchmetrics_majorscore.metrics.clipclap import CLIPCLAPScore
from torchmetrics_majorscore.metrics.collection import MAJORScores
from torchmetrics_majorscore.metrics.desync import DeSync
from torchmetrics_majorscore.metrics.fair import FairScore
from torchmetrics_majorscore.metrics.frames import FrameScores
from torchmetrics_majorscore.metrics.frechet import FrechetDistance
from torchmetrics_majorscore.metrics.inception import InceptionScore
from torchmetrics_majorscore.metrics.kl import PairedKL
from torchmetrics_majorscore.metrics.major import MAJORScore
from torchmetrics_majorscore.metrics.onsets import OnsetScores
from torchmetrics_majorscore.metrics.retrieval import CrossModalRecall
from torchmetrics_majorscore.metrics.statistics import FeatureStatistics
from torchmetrics_majorscore.metrics.v2a import V2AMetrics

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
]
