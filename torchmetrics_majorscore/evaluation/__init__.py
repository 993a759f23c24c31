"""Clips on disk to a per-clip table and a summary of it."""

from torchmetrics_majorscore.evaluation.score import ScoreOptions, score_clips
from torchmetrics_majorscore.evaluation.table import ScoreTable

__all__ = ["ScoreOptions", "ScoreTable", "score_clips"]
