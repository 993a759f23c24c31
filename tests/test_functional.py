"""Formulas against the paper, against NumPy, and against their own identities."""

from itertools import combinations

import numpy as np
import pytest
import torch

from torchmetrics_majorscore.functional import (
    cosine_similarity,
    fair_score,
    major_score,
    pair_similarities,
    select_pairs,
)

NAMES = ("video", "text", "audio", "depth", "touch")
COMBINE = ("sum", "product", "average")
ODD = [[0.0, 0.0, 0.0], [float("nan"), 1.0, 1.0], [float("inf"), 1.0, 1.0], [-float("inf"), 0.0, 0.0]]


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def embed(count, rows=9, dim=6, dtype=torch.float32, seed=0):
    return {name: random(rows, dim, seed=seed + k, dtype=dtype) for k, name in enumerate(NAMES[:count])}


def numpy_cosine(a, b):
    a, b = a.double().numpy(), b.double().numpy()
    return np.einsum("bd,bd->b", a, b) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


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
        expected = np.mean([np.abs(s[:, i] - s[:, j]).numpy() for i, j in combinations(range(k), 2)], axis=0)
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


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ("text", [("video", "text"), ("text", "audio")]),
        ("audio", [("video", "audio"), ("text", "audio")]),
        ("all", [("video", "text"), ("video", "audio"), ("text", "audio")]),
        (["text-video"], [("video", "text")]),
        (["audio-text", ("video", "text")], [("text", "audio"), ("video", "text")]),
        ((("audio", "video"),), [("video", "audio")]),
    ],
)
def test_pairs(pairs, expected):
    assert select_pairs(NAMES[:3], pairs) == expected
    embeddings = embed(3)
    columns = [cosine_similarity(embeddings[one], embeddings[other]) for one, other in expected]
    assert torch.equal(pair_similarities(embeddings, pairs), torch.stack(columns, dim=1))


@pytest.mark.parametrize("pairs", [["text-video", "audio-text"], ["text-audio", "video-text"], "text"])
def test_the_order_of_pairs_and_modalities_changes_nothing(pairs):
    embeddings = embed(3)
    turned = dict(reversed(embeddings.items()))
    for combine in COMBINE:
        assert torch.equal(major_score(turned, combine, pairs=pairs), major_score(embeddings, combine))
    assert torch.equal(fair_score(turned, pairs=pairs), fair_score(embeddings, pairs="text"))


EMPTY, VECTOR = torch.empty(2, 0), torch.ones(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: major_score(e, "mean"), r"combine to be one of \['sum', 'product', 'average'\], got 'mean'"),
        (lambda e: select_pairs(["video", "text"], "smell"), r"'all', one of \['video', 'text'\].*got 'smell'"),
        (lambda e: major_score(e, pairs="video-text"), "got 'video-text'"),
        (lambda e: major_score(e, pairs=["video-smell"]), "video-text, video-audio, text-audio, got 'video-smell'"),
        (lambda e: major_score(e, pairs=[("text", "text")]), r"got \('text', 'text'\)"),
        (lambda e: major_score(e, pairs=("video", "text")), "each pair to be one of .*, got 'video'"),
        (lambda e: major_score(e, pairs=["video-text", "text-video"]), "list of different pairs"),
        (lambda e: major_score(e, pairs=[]), r"got \[\]"),
        (lambda e: fair_score(e, pairs=["video-text"]), "at least two similarities to compare, got 1"),
        (lambda e: fair_score(torch.ones(3, 1)), "at least two similarities to compare, got 1"),
        (lambda e: major_score(EMPTY), r"similarities of shape \(B, K\) with K >= 1, got \(2, 0\)"),
        (lambda e: fair_score(VECTOR), r"similarities of shape \(B, K\) with K >= 1, got \(3,\)"),
        (lambda e: cosine_similarity(e["video"], e["text"][:2]), r"one shape \(B, D\), got \(9, 6\) and \(2, 6\)"),
        (lambda e: cosine_similarity(e["video"], e["text"][:, :2]), r"got \(9, 6\) and \(9, 2\)"),
        (lambda e: cosine_similarity(VECTOR, VECTOR), r"got \(3,\) and \(3,\)"),
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


@pytest.mark.parametrize(
    ("one", "other", "expected", "tolerance"),
    [
        (torch.float32, torch.float32, torch.float32, 1e-7),
        (torch.float16, torch.float16, torch.float32, 1e-7),
        (torch.bfloat16, torch.bfloat16, torch.float32, 1e-7),
        (torch.bfloat16, torch.float16, torch.float32, 1e-7),
        (torch.float64, torch.float64, torch.float64, 1e-15),
        (torch.float32, torch.float64, torch.float64, 1e-15),
    ],
)
@pytest.mark.parametrize("dim", [1, 2, 3, 512, 513])
def test_cosine_against_numpy(one, other, expected, tolerance, dim):
    a, b = random(33, dim, seed=1, dtype=one) * 40, random(33, dim, seed=2, dtype=other)
    cosine = cosine_similarity(a, b)
    assert cosine.dtype == expected
    np.testing.assert_allclose(cosine.numpy(), numpy_cosine(a, b), rtol=0, atol=tolerance)
    assert pair_similarities({"video": a, "text": b}).dtype == expected
    assert cosine.abs().max() <= 1


@pytest.mark.parametrize("dim", [1, 2, 3, 512, 513])
def test_bits_of_a_row_do_not_depend_on_the_batch_size(dim):
    embeddings = {name: random(257, dim, seed=k) for k, name in enumerate(NAMES[:3])}

    def values(rows):
        own = pair_similarities({name: embedding[rows] for name, embedding in embeddings.items()}, "all")
        return torch.stack([*own.unbind(dim=1), *(major_score(own, c) for c in COMBINE), fair_score(own)])

    whole = values(slice(None))
    for size in (1, 7, 64):
        for start in (0, 100, 257 - size):
            rows = slice(start, start + size)
            assert torch.equal(values(rows), whole[:, rows])


def test_rotation_and_scale_change_nothing():
    a, b = random(20, 64, seed=1, dtype=torch.float64), random(20, 64, seed=2, dtype=torch.float64)
    rotation = torch.linalg.qr(random(64, 64, seed=3, dtype=torch.float64)).Q
    torch.testing.assert_close(cosine_similarity(a @ rotation, b @ rotation), cosine_similarity(a, b))
    torch.testing.assert_close(cosine_similarity(a * 1e30, b * 1e-30), cosine_similarity(a, b))
    assert torch.equal(cosine_similarity(a, b), cosine_similarity(b, a))


def test_float32_at_its_limits():
    a = torch.tensor([[3.0e38, 3.0e38], [1.0e-44, 0.0]])
    torch.testing.assert_close(cosine_similarity(a, torch.ones(2, 2)), torch.tensor([1.0, 0.5**0.5]))


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_float64_of_any_scale(scale):
    a, b = torch.tensor([[scale, 0.0]], dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
    torch.testing.assert_close(cosine_similarity(a, b), torch.tensor([0.5**0.5], dtype=torch.float64))


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("side", [0, 1])
def test_rows_without_a_direction_are_nan(odd, side):
    rows = torch.tensor([[1.0, 2.0, 3.0], odd, [3.0, 2.0, 1.0]])
    inputs = [rows, torch.ones(3, 3)]
    cosine = cosine_similarity(inputs[side], inputs[1 - side])
    assert cosine.isnan().tolist() == [False, True, False]
    embeddings = {"video": inputs[0], "text": inputs[1], "audio": torch.ones(3, 3)}
    for score in (*(major_score(embeddings, combine) for combine in COMBINE), fair_score(embeddings)):
        assert score.isnan().tolist() == [False, True, False]


def test_no_rows():
    embeddings = {name: torch.empty(0, 4) for name in NAMES[:3]}
    assert pair_similarities(embeddings, "all").shape == (0, 3)
    assert major_score(embeddings).shape == fair_score(embeddings).shape == (0,)


def test_the_cosine_is_differentiable():
    a, b = (random(3, 5, seed=k, dtype=torch.float64).requires_grad_() for k in (1, 2))
    assert torch.autograd.gradcheck(cosine_similarity, (a, b))
    major_score({"video": a, "text": b}).sum().backward()
    assert (a.grad.norm(dim=1) > 1e-3).all()
    # A cosine ignores the length of a vector, so its gradient stands at right angles to the vector.
    torch.testing.assert_close((a.grad * a).sum(dim=1), torch.zeros(3, dtype=torch.float64))
