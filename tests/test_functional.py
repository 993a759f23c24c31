"""Formulas against the paper, against NumPy, and against their own identities."""

from itertools import combinations

import numpy as np
import pytest
import torch
from vectors import COMBINE, NAMES, embed, numpy_cosine

from torchmetrics_majorscore.functional import (
    cosine_similarity,
    fair_score,
    major_score,
    pair_similarities,
    select_pairs,
)


def similarities(k, rows=50, seed=3):
    return torch.rand(rows, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def test_table_one_of_the_paper():
    pairs = torch.tensor([[0.2994, -0.4309], [0.1547, 0.7695]], dtype=torch.float64)
    assert [round(value, 12) for value in fair_score(pairs).tolist()] == [0.7303, 0.6148]
    assert [round(value, 12) for value in major_score(pairs, "sum").tolist()] == [-0.1315, 0.9242]


@pytest.mark.parametrize(
    ("combine", "absolute", "expected"),
    [
        ("sum", False, [-0.2, -1.4, 0.0]),
        ("sum", True, [0.8, 1.4, 0.0]),
        ("product", False, [-0.15, 0.48, 0.0]),
        ("product", True, [0.15, 0.48, 0.0]),
        ("average", False, [-0.1, -0.7, 0.0]),
        ("average", True, [0.4, 0.7, 0.0]),
    ],
)
def test_signs(combine, absolute, expected):
    inputs = torch.tensor([[0.3, -0.5], [-0.6, -0.8], [0.0, 0.0]])
    torch.testing.assert_close(major_score(inputs, combine, absolute=absolute), torch.tensor(expected))


@pytest.mark.parametrize("k", [1, 2, 3, 6, 10])
def test_identities(k):
    s = similarities(k)
    total, product, average = (major_score(s, combine) for combine in COMBINE)
    torch.testing.assert_close(total, s.sum(dim=1))
    torch.testing.assert_close(product, s.prod(dim=1))
    torch.testing.assert_close(total, k * average)
    assert average.abs().max() <= 1
    assert product.abs().max() <= 1
    if k > 1:
        fair = fair_score(s)
        expected = np.mean([(s[:, i] - s[:, j]).abs().numpy() for i, j in combinations(range(k), 2)], axis=0)
        np.testing.assert_allclose(fair.numpy(), expected, rtol=0, atol=1e-14)
        assert (fair >= 0).all()
    if k == 2:
        torch.testing.assert_close(product, (total**2 - fair**2) / 4)
    if k == 3:
        torch.testing.assert_close(fair, 2 / 3 * (s.amax(dim=1) - s.amin(dim=1)))


@pytest.mark.parametrize(("row", "bound"), [([1.0, -1.0], 2.0), ([1.0, -1.0, 1.0], 4 / 3), ([0.3, 0.3, 0.3], 0.0)])
def test_fair_reaches_its_bounds(row, bound):
    torch.testing.assert_close(fair_score(torch.tensor([row])), torch.tensor([bound]))


def test_the_mean_of_products_is_not_the_product_of_means():
    s = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    assert major_score(s, "product").mean() == 1
    assert s.mean(dim=0).prod() == 0


@pytest.mark.parametrize("count", [2, 4, 5])
@pytest.mark.parametrize("combine", COMBINE)
@pytest.mark.parametrize("pairs", ["text", "all", "explicit"])
def test_any_number_of_modalities(count, combine, pairs):
    embeddings = embed(count)
    every = list(combinations(NAMES[:count], 2))
    chosen = {"text": [p for p in every if "text" in p], "all": every, "explicit": [every[0], every[-1]][:count]}[pairs]
    chosen = list(dict.fromkeys(chosen))
    given = chosen if pairs == "explicit" else pairs
    s = np.stack([numpy_cosine(embeddings[one], embeddings[other]) for one, other in chosen], axis=1)
    expected = {"sum": s.sum(1), "product": s.prod(1), "average": s.mean(1)}[combine]
    np.testing.assert_allclose(major_score(embeddings, combine, pairs=given).numpy(), expected, rtol=0, atol=1e-6)
    assert major_score(embeddings, combine, pairs=given).shape == (9,)
    if len(chosen) > 1:
        expected = np.mean([abs(s[:, i] - s[:, j]) for i, j in combinations(range(len(chosen)), 2)], axis=0)
        np.testing.assert_allclose(fair_score(embeddings, pairs=given).numpy(), expected, rtol=0, atol=1e-6)


def test_defaults_are_the_papers():
    embeddings = embed(3)
    assert torch.equal(major_score(embeddings), major_score(embeddings, "average", pairs="text", absolute=False))
    assert torch.equal(fair_score(embeddings), fair_score(embeddings, pairs="all"))
    assert torch.equal(pair_similarities(embeddings), pair_similarities(embeddings, "text"))


EMPTY, VECTOR = torch.empty(2, 0), torch.ones(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: major_score(e, "mean"), r"combine to be one of \['sum', 'product', 'average'\], got 'mean'"),
        (lambda e: select_pairs(["video", "text"], "smell"), r"'all', one of \['video', 'text'\].*got 'smell'"),
        (lambda e: major_score(e, pairs="video-smell"), "video-text, video-audio, text-audio, got 'video-smell'"),
        (lambda e: major_score(e, pairs=["video-smell"]), "video-text, video-audio, text-audio, got 'video-smell'"),
        (lambda e: major_score(e, pairs=[("text", "text")]), r"got \('text', 'text'\)"),
        (lambda e: major_score(e, pairs=("video", "text")), "each pair to be one of .*, got 'video'"),
        (lambda e: major_score(e, pairs=["video-text", "text-video"]), "list of different pairs"),
        (lambda e: major_score(e, pairs=[]), r"got \[\]"),
        (lambda e: fair_score(e, pairs=["video-text"]), "at least two similarities to compare, got 1"),
        (lambda e: fair_score(torch.ones(3, 1)), "at least two similarities to compare, got 1"),
        (lambda e: major_score(EMPTY), r"similarities of shape \(B, K\) with K >= 1, got \(2, 0\)"),
        (lambda e: fair_score(VECTOR), r"similarities of shape \(B, K\) with K >= 1, got \(3,\)"),
        (
            lambda e: cosine_similarity(e["video"], e["text"][:2]),
            r"one shape \(B, D\), got \(9, 6\) of .* and \(2, 6\) of ",
        ),
        (lambda e: cosine_similarity(e["video"], e["text"][:, :2]), r"got \(9, 6\) of .* and \(9, 2\) of "),
        (lambda e: cosine_similarity(VECTOR, VECTOR), r"got \(3,\) of .* and \(3,\) of "),
    ],
)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call(embed(3))


@pytest.mark.parametrize("pairs", ["text", "all", ["video-audio", "text-audio"]])
def test_embeddings_and_similarities_agree(pairs):
    embeddings = embed(3)
    s = pair_similarities(embeddings, pairs)
    for combine in COMBINE:
        assert torch.equal(major_score(s, combine), major_score(embeddings, combine, pairs=pairs))
    assert torch.equal(fair_score(s), fair_score(embeddings, pairs=pairs))
