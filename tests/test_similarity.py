"""Cosines against NumPy and at the limits of the number formats, and the pairs that they are taken of."""

import numpy as np
import pytest
import torch
from vectors import COMBINE, NAMES, embed, numpy_cosine, random

from torchmetrics_majorscore.functional import (
    cosine_similarity,
    fair_score,
    major_score,
    pair_similarities,
    select_pairs,
)

ODD = [[0.0, 0.0, 0.0], [float("nan"), 1.0, 1.0], [float("inf"), 1.0, 1.0], [-float("inf"), 0.0, 0.0]]


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
