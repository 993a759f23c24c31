"""Tensors in, tensors out; torch only. One formula, one file."""

from torchmetrics_majorscore.functional.alignment import principal_alignment
from torchmetrics_majorscore.functional.area import triangle_area
from torchmetrics_majorscore.functional.avh import avh_score
from torchmetrics_majorscore.functional.desync import desync, sync_offsets
from torchmetrics_majorscore.functional.fair import fair_score
from torchmetrics_majorscore.functional.frechet import frechet_distance, frechet_distance_of_moments
from torchmetrics_majorscore.functional.inception import inception_score
from torchmetrics_majorscore.functional.interaction import multilinear_product
from torchmetrics_majorscore.functional.javis import javis_score, javis_windows
from torchmetrics_majorscore.functional.kl import kl_divergence
from torchmetrics_majorscore.functional.major import major_score
from torchmetrics_majorscore.functional.onset_detection import Onsets, detect_onsets
from torchmetrics_majorscore.functional.onset_scores import OnsetScore, onset_scores
from torchmetrics_majorscore.functional.retrieval import (
    Retrieved,
    any_retrieval,
    chance_at,
    pair_retrieval,
    recall_at,
    retrieve,
)
from torchmetrics_majorscore.functional.similarity import (
    cosine_similarity,
    gram_matrix,
    pair_similarities,
    select_pairs,
)
from torchmetrics_majorscore.functional.synchrony import synchrony_probe
from torchmetrics_majorscore.functional.volume import gram_volume

__all__ = [
    "OnsetScore",
    "Onsets",
    "Retrieved",
    "any_retrieval",
    "avh_score",
    "chance_at",
    "cosine_similarity",
    "desync",
    "detect_onsets",
    "fair_score",
    "frechet_distance",
    "frechet_distance_of_moments",
    "gram_matrix",
    "gram_volume",
    "inception_score",
    "javis_score",
    "javis_windows",
    "kl_divergence",
    "major_score",
    "multilinear_product",
    "onset_scores",
    "pair_retrieval",
    "pair_similarities",
    "principal_alignment",
    "recall_at",
    "retrieve",
    "select_pairs",
    "sync_offsets",
    "synchrony_probe",
    "triangle_area",
]
