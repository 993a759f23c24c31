"""What ``majorscore demo`` does: the metric in the training of a small video-to-audio model."""

from torchmetrics_majorscore.demo.run import DemoOptions, run_demo

__all__ = ["DemoOptions", "run_demo"]
