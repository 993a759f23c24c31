"""torchmetrics metrics: they hold rows and call ``functional/``."""

from torchmetrics_majorscore.metrics.clipclap import CLIPCLAPScore
from torchmetrics_majorscore.metrics.collection import MAJORScores
from torchmetrics_majorscore.metrics.fair import FairScore
from torchmetrics_majorscore.metrics.major import MAJORScore

__all__ = ["CLIPCLAPScore", "FairScore", "MAJORScore", "MAJORScores"]
