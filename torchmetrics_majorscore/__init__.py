"""MAJORScore and FairScore: how well generated audio fits its video and caption."""

from importlib.metadata import version

from torchmetrics_majorscore.metrics import CLIPCLAPScore, FairScore, MAJORScore, MAJORScores

__version__ = version("torchmetrics-majorscore")

__all__ = ["CLIPCLAPScore", "FairScore", "MAJORScore", "MAJORScores", "__version__"]
