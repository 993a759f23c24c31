"""How well detected onsets meet the true ones: accuracy, average precision, F1."""

import math
from typing import NamedTuple

from torch import Tensor

from torchmetrics_majorscore.functional.onset_detection import SAMPLE_RATE, Onsets, Protocol, check_protocol

TOLERANCES: dict[Protocol, float] = {"strict": 0.1, "mmaudio": 0.3}
"""In seconds: of CondFoleyGen; of MMAudio's script, where one argument is this and the detection's threshold."""


class OnsetScore(NamedTuple):
    """What :func:`onset_scores` gives, each in [0, 1], higher is better; NaN where it is not defined."""

    accuracy: float
    average_precision: float
    f1: float


def onset_scores(
    preds: Onsets, target: Tensor, *, protocol: Protocol = "strict", tolerance: float | None = None
) -> OnsetScore:
    r"""Score the detected onsets of one sound against the true ones.

    ``"strict"``: hits h are the largest one-to-one matching within the tolerance, as mir_eval's. Accuracy is h / T of T
    true onsets, F1 is 2 h / (P + T) with P detections (mir_eval's F-measure), and average precision sums precision over
    the steps of recall while the threshold of confidence falls; a true onset that is never met keeps recall below 1.

    ``"mmaudio"``: as in the script of Cheng et al., "MMAudio", which follows Du et al., "Conditional Generation of
    Audio from Video via Foley Analogies". Two faults of it are kept. Once all detections are used, the true onsets that
    are left never count, so F1 is too high and depends on which were met. And a missed onset is a positive of
    confidence 0, which the lowest threshold retrieves, so average precision is 1 without a false detection, even for
    silence. Compare with published numbers only.

    Args:
        preds: detections, see :func:`.detect_onsets`.
        target: true onsets in seconds, (T,), sorted.
        protocol: see above.
        tolerance: how far apart a hit may be, in seconds; None for 0.1 (strict) and 0.3 (mmaudio, exclusive).

    Returns:
        Accuracy and average precision are NaN without true onsets, F1 if there are no detections either. With
        ``"mmaudio"`` they are 0 without true onsets, and all NaN if there are no detections either.

    Raises:
        ValueError: shapes that do not fit, an unknown protocol, or a tolerance that is not positive.

    Example:
        >>> import torch
        >>> preds = Onsets(*torch.tensor([[1.0, 2.0, 3.0], [0.9, 0.5, 0.7], [0.9, 0.5, 0.7]]))
        >>> accuracy, average_precision, f1 = onset_scores(preds, torch.tensor([1.05, 3.0, 5.0, 7.0]))
        >>> round(accuracy, 4), round(average_precision, 4), round(f1, 4)
        (0.5, 0.5, 0.5714)
    """
    check_protocol(protocol)
    tolerance = TOLERANCES[protocol] if tolerance is None else tolerance
    if not tolerance > 0:
        raise ValueError(f"Expected a tolerance > 0 seconds, got {tolerance!r}.")
    if target.ndim != 1 or preds.times.ndim != 1 or len({part.shape for part in preds}) > 1:
        shapes = ", ".join(str(tuple(part.shape)) for part in (*preds, target))
        raise ValueError(f"Expected detections (P,) and true onsets (T,), got {shapes}.")
    times, confidence, level, true = (part.tolist() for part in (*preds, target))
    if protocol == "strict":
        return _strict(times, confidence, true, tolerance)
    return _mmaudio(times, confidence, level, true, tolerance)


def matches(times: list[float], target: list[float], tolerance: float) -> int:
    """Count the pairs of the largest one-to-one matching within the tolerance, of two sorted lists."""
    hits = place = 0
    for true in target:
        # With one tolerance for all, the earliest detection that is not too early is as good as any.
        while place < len(times) and times[place] < true - tolerance:
            place += 1
        if place < len(times) and times[place] <= true + tolerance:
            hits, place = hits + 1, place + 1
    return hits


def _strict(times: list[float], confidence: list[float], target: list[float], tolerance: float) -> OnsetScore:
    number, true = len(times), len(target)
    hits = matches(times, target, tolerance)
    f1 = 2 * hits / (number + true) if number + true else math.nan
    if not true:
        return OnsetScore(math.nan, math.nan, f1)
    precisions = 0.0
    before = 0
    for threshold in sorted(set(confidence), reverse=True):
        kept = [at for at, sure in zip(times, confidence, strict=True) if sure >= threshold]
        now = matches(kept, target, tolerance)
        precisions += (now - before) * now / len(kept)
        before = now
    return OnsetScore(hits / true, precisions / true, f1)


def _mmaudio(
    times: list[float], confidence: list[float], level: list[float], target: list[float], tolerance: float
) -> OnsetScore:
    left, sure = [at * SAMPLE_RATE for at in times], list(confidence)
    truth, scores, hits = [], [], 0
    for true in target:
        near = [place for place, at in enumerate(left) if abs(at - true * SAMPLE_RATE) < tolerance * SAMPLE_RATE]
        truth.append(1)
        if not near:
            scores.append(0.0)
            continue
        # The places are those of what is left, the levels those of all detections: the script mixes them up.
        best = near[sorted(range(len(near)), key=lambda one: level[near[one]])[-1]]
        hits += 1
        scores.append(sure.pop(best))
        left.pop(best)
        if not left:
            break
    truth, scores = truth + [0] * len(left), scores + sure
    if not truth:
        return OnsetScore(math.nan, math.nan, math.nan)
    claimed = sum(score > 0 for score in scores)
    right = sum(score > 0 for score, one in zip(scores, truth, strict=True) if one)
    f1 = 2 * right / (claimed + sum(truth)) if claimed + sum(truth) else 0.0
    return OnsetScore(hits / len(target) if target else 0.0, _average_precision(truth, scores), f1)


def _average_precision(truth: list[int], scores: list[float]) -> float:
    """Sum precision over the steps of recall, as scikit-learn does; 0 without positives."""
    positives = sum(truth)
    total, before = 0.0, 0
    for threshold in sorted(set(scores), reverse=True) if positives else ():
        kept = [one for one, score in zip(truth, scores, strict=True) if score >= threshold]
        total += (sum(kept) - before) * sum(kept) / len(kept)
        before = sum(kept)
    return total / positives if positives else 0.0
