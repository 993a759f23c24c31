"""Tensors in, tensors out, one value per sample; torch only. One formula, one file."""

from torchmetrics_majorscore.functional.fair import fair_score
from torchmetrics_majorscore.functional.major import major_score
from torchmetrics_majorscore.functional.similarity import cosine_similarity, pair_similarities, select_pairs

__all__ = ["cosine_similarity", "fair_score", "major_score", "pair_similarities", "select_pairs"]
