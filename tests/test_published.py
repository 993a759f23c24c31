"""The formulas of the video-to-audio table, against published code, SciPy and values worked out by hand."""

import math

import numpy as np
import pytest
import torch

from torchmetrics_majorscore.functional import (
    desync,
    frechet_distance,
    frechet_distance_of_moments,
    inception_score,
    kl_divergence,
    sync_offsets,
)

NAN = math.nan


def inputs():
    """Features of two sets, and logits of 47 pairs."""
    g = torch.Generator().manual_seed(15)
    features = torch.randn(40, 6, generator=g).relu(), torch.randn(30, 6, generator=g) * 1.5 + 0.5
    return features, (3 * torch.randn(47, 12, generator=g), 3 * torch.randn(47, 12, generator=g))


# av-benchmark 050a5cd, av_bench/metrics/{fad,kl,isc}.py with SciPy 1.15: compute_fd of the features in float64,
# compute_kl([own], other), compute_isc(own, None, rng_seed=2020, samples_shuffle=True, splits=10).
GOLDEN_FD = 4.333969896370618
GOLDEN_KL = 3.904733180999756
GOLDEN_IS = (2.5565600238567576, 0.380201712833636)


def test_frechet_distance_is_that_of_av_benchmark():
    (preds, target), _ = inputs()
    assert frechet_distance(preds, target).item() == pytest.approx(GOLDEN_FD, rel=1e-12)
    assert frechet_distance(target, preds).item() == pytest.approx(GOLDEN_FD, rel=1e-12)


def test_kl_is_that_of_av_benchmark():
    _, (own, other) = inputs()
    assert kl_divergence(own, other).mean().item() == pytest.approx(GOLDEN_KL, rel=1e-6)  # theirs sums in float32
    assert kl_divergence(other, own, "preds||target").mean().item() == pytest.approx(GOLDEN_KL, rel=1e-6)
    assert kl_divergence(other, own).mean().item() != pytest.approx(GOLDEN_KL, rel=0.01)


def test_inception_score_is_that_of_av_benchmark():
    _, (own, _) = inputs()
    mean, deviation = inception_score(own, 10, 2020)
    assert (mean.item(), deviation.item()) == pytest.approx(GOLDEN_IS, rel=1e-12)
    assert inception_score(own, 10)[0].item() != pytest.approx(GOLDEN_IS[0], rel=1e-3)
    assert inception_score(own, 1)[0] > mean  # fewer splits, a higher score


def by_scipy(preds, target):
    linalg = pytest.importorskip("scipy.linalg")
    (one, first), (other, second) = (
        (rows.mean(0).numpy(), np.cov(rows.double().numpy(), rowvar=False)) for rows in (preds, target)
    )
    root = linalg.sqrtm(first @ second)
    return float(((one - other) ** 2).sum() + np.trace(first + second) - 2 * np.trace(root).real)


@pytest.mark.parametrize(("count", "width"), [(40, 6), (300, 32)])
def test_frechet_distance_against_a_matrix_root(count, width):
    g = torch.Generator().manual_seed(count)
    preds, target = (torch.randn(count, width, generator=g) @ torch.randn(width, width, generator=g) for _ in range(2))
    expected = by_scipy(preds.double(), target.double())
    assert frechet_distance(preds.double(), target.double()).item() == pytest.approx(expected, rel=1e-10)
    moments = [part for rows in (preds.double(), target.double()) for part in (rows.mean(0), rows.T.cov())]
    assert frechet_distance_of_moments(*moments).item() == pytest.approx(expected, rel=1e-10)


def test_fewer_rows_than_features():
    # In the span of the rows the covariances have full rank, so a rotation into fewer features leaves the value.
    g = torch.Generator().manual_seed(0)
    few = [torch.randn(count, 3, generator=g, dtype=torch.float64) for count in (5, 7)]
    rotation = torch.linalg.qr(torch.randn(64, 64, generator=g, dtype=torch.float64))[0][:3]
    expected = by_scipy(*few)
    wide = [rows @ rotation for rows in few]
    assert frechet_distance(*wide).item() == pytest.approx(expected, rel=1e-9)
    moments = [part for rows in wide for part in (rows.mean(0), rows.T.cov())]
    assert frechet_distance_of_moments(*moments).item() == pytest.approx(expected, rel=1e-6)
    dependent = [rows @ rotation for rows in (torch.randn(200, 3, generator=g, dtype=torch.float64), few[1])]
    assert frechet_distance(*dependent).item() == pytest.approx(
        by_scipy(*(rows @ rotation.T for rows in dependent)), rel=1e-9
    )


@pytest.mark.parametrize("count", [5, 50])
def test_the_distance_of_a_set_to_itself_is_zero(count):
    rows = torch.randn(count, 16, generator=torch.Generator().manual_seed(1)) + 100
    assert 0 <= frechet_distance(rows, rows).item() < 1e-12
    assert frechet_distance(rows, rows + 2).item() == pytest.approx(4 * 16, rel=1e-9)


@pytest.mark.parametrize("count", [2, 9])
def test_constant_features_leave_the_distance_of_the_means(count):
    preds, target = torch.full((count, 4), 0.1), torch.full((3, 4), 0.6)
    assert frechet_distance(preds, target).item() == pytest.approx(1.0, rel=1e-6)
    one_varies = torch.tensor([[0.0], [2.0]]) * torch.eye(4)[:1]
    assert frechet_distance(one_varies, torch.zeros(9, 4)).item() == pytest.approx(1.0 + 2.0)


@pytest.mark.parametrize("preds", [torch.ones(1, 2), torch.empty(0, 2), torch.tensor([[1.0, NAN], [1.0, 2.0]])])
def test_a_set_without_covariance_has_no_distance(preds):
    assert frechet_distance(preds, torch.eye(2)).isnan()
    assert frechet_distance(torch.eye(2), preds).isnan()
    assert frechet_distance_of_moments(torch.full((2,), NAN), torch.eye(2), torch.ones(2), torch.eye(2)).isnan()


@pytest.mark.parametrize("shapes", [((3, 2), (3, 3)), ((3,), (3,)), ((3, 0), (3, 0)), ((2, 3, 4), (2, 3, 4))])
def test_features_that_do_not_fit(shapes):
    with pytest.raises(ValueError, match=r"Expected features of shapes \(N, D\) and \(M, D\), got"):
        frechet_distance(*map(torch.ones, shapes))


def test_moments_that_do_not_fit():
    with pytest.raises(ValueError, match=r"Expected two means \(D,\) and covariances \(D, D\), got \(2,\), \(2, 3\)"):
        frechet_distance_of_moments(torch.ones(2), torch.ones(2, 3), torch.ones(2), torch.eye(2))


def test_kl_of_probabilities():
    preds, target = torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.5, 0.5]]), torch.tensor([[0.75, 0.25], [0.5, 0.5], [1, 0]])
    expected = [0.75 * math.log(1.5) + 0.25 * math.log(0.5), math.inf, math.log(2)]
    assert kl_divergence(preds, target, probabilities=True).tolist() == pytest.approx(expected)
    logits = [x.log() for x in (preds[:1], target[:1])]
    assert kl_divergence(*logits).item() == pytest.approx(expected[0], rel=1e-6)
    assert kl_divergence(preds.half(), target.half(), probabilities=True).shape == (3,)
    lost = torch.tensor([[NAN, 0.0], [0.0, math.inf]])
    assert kl_divergence(lost, torch.zeros(2, 2)).isnan().all()
    assert kl_divergence(torch.zeros(2, 2), lost).isnan().all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kl_divergence(torch.ones(2, 3), torch.ones(2, 4)), "of one shape"),
        (lambda: kl_divergence(torch.ones(2), torch.ones(2)), "of one shape"),
        (lambda: kl_divergence(torch.ones(2, 3), torch.ones(2, 3), "both"), "'target||preds' or 'preds||target', got"),
        (lambda: kl_divergence(torch.ones(2, 3), torch.ones(2, 3), probabilities=True), "others; are they logits?"),
        (lambda: inception_score(torch.ones(3)), "Expected logits of shape (N, C)"),
        (lambda: inception_score(torch.ones(3, 2), 0), "Expected splits to be an int >= 1, got 0"),
        (lambda: inception_score(torch.ones(3, 2), True), "Expected splits to be an int >= 1, got True"),
        (lambda: sync_offsets(torch.ones(3, 20)), "Expected logits (..., 21), one per offset, got (3, 20)"),
        (lambda: desync(torch.ones(3, 21)), "Expected logits of shape (B, K, 21), got (3, 21)"),
    ],
)
def test_what_does_not_fit_is_an_error_in_one_line(call, message):
    with pytest.raises(ValueError, match="Expected") as error:
        call()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_inception_score_has_its_bounds():
    assert inception_score(100 * torch.eye(5), 1)[0].item() == pytest.approx(5)
    assert inception_score(torch.ones(20, 5))[0].item() == pytest.approx(1)
    assert inception_score(torch.ones(9, 5))[0].isnan()
    assert inception_score(torch.tensor([[NAN, 1.0]]), 1)[0].isnan()


def test_desync():
    assert sync_offsets(torch.eye(21)).tolist() == pytest.approx([-2 + 0.2 * step for step in range(21)], abs=1e-12)
    assert sync_offsets(torch.eye(21))[10] == 0
    opposite = torch.eye(21)[[4, 16]][None]  # -1.2 s and 1.2 s, whose signed mean is 0
    assert desync(opposite).tolist() == pytest.approx([1.2])
    assert desync(torch.cat([opposite, opposite * NAN])).isnan().tolist() == [False, True]
    assert sync_offsets(torch.zeros(21)) == -2.0  # of equal logits the first, as argmax has it
