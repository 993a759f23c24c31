"""Scores over N vectors beside MAJORScore: volume, area, multilinear product, principal alignment."""

import math

import numpy as np
import pytest
import torch
from vectors import embed

from torchmetrics_majorscore.functional import (
    gram_matrix,
    gram_volume,
    multilinear_product,
    pair_similarities,
    principal_alignment,
    triangle_area,
)

OF_SIMILARITIES = (gram_volume, principal_alignment)


def unit(embeddings):
    """Unit vectors of each sample, (B, M, D), by NumPy."""
    vectors = np.stack([embedding.double().numpy() for embedding in embeddings.values()], axis=1)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_volume_and_alignment_are_those_of_the_vectors(count):
    embeddings = embed(count)
    singular = np.linalg.svd(unit(embeddings), compute_uv=False)
    torch.testing.assert_close(gram_volume(embeddings), torch.tensor(singular.prod(axis=-1)), rtol=1e-9, atol=1e-12)
    expected = torch.tensor(singular[:, 0] ** 2 / count)
    torch.testing.assert_close(principal_alignment(embeddings), expected, rtol=1e-9, atol=1e-12)


def test_area_is_herons():
    embeddings = embed(3)
    one, two, three = unit(embeddings).transpose(1, 0, 2)
    a, b, c = (np.linalg.norm(x - y, axis=-1) for x, y in ((one, two), (one, three), (two, three)))
    half = (a + b + c) / 2
    expected = torch.tensor(np.sqrt(half * (half - a) * (half - b) * (half - c)))
    torch.testing.assert_close(triangle_area(embeddings), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_product_is_the_sum_over_dimensions(count):
    embeddings = embed(count)
    expected = torch.tensor(unit(embeddings).prod(axis=1).sum(axis=-1))
    torch.testing.assert_close(multilinear_product(embeddings), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("score", [*OF_SIMILARITIES, triangle_area])
def test_similarities_do_as_well(score):
    embeddings = embed(3)
    wide = {name: embedding.double() for name, embedding in embeddings.items()}
    torch.testing.assert_close(score(pair_similarities(wide, "all")), score(embeddings), rtol=1e-12, atol=1e-12)


# Of a comparison of the published scores on frozen unit vectors: pair cosine .3, .7, and (.2, .05, .05).
@pytest.mark.parametrize(
    ("similarities", "volume", "area", "alignment"),
    [
        ((0.3, 0.3, 0.3), 0.885, 0.606, 0.533),
        ((0.7, 0.7, 0.7), 0.465, 0.260, 0.800),
        ((0.2, 0.05, 0.05), 0.978, 0.775, 0.407),
        ((0.0, 0.0, 0.0), 1.0, math.sqrt(3) / 2, 1 / 3),
        ((1.0, 1.0, 1.0), 0.0, 0.0, 1.0),
        ((-0.5, -0.5, -0.5), 0.0, 3 * math.sqrt(3) / 4, 0.5),
    ],
)
def test_known_values(similarities, volume, area, alignment):
    row = torch.tensor([similarities], dtype=torch.float64)
    assert gram_volume(row).item() == pytest.approx(volume, abs=5.1e-4)
    assert triangle_area(row).item() == pytest.approx(area, abs=5.1e-4)
    assert principal_alignment(row).item() == pytest.approx(alignment, abs=5.1e-4)


def test_degenerate_cases_are_as_documented():
    x, other = torch.randn(2, 1, 512, generator=torch.Generator().manual_seed(0))
    two_alike = {"video": x, "text": x, "audio": other}
    assert gram_volume(two_alike) == triangle_area(two_alike) == 0.0
    opposite = {"video": x, "text": -x, "audio": x}
    assert principal_alignment(opposite).item() == pytest.approx(1.0)
    assert abs(multilinear_product({"video": x, "text": x, "audio": x}).item()) < 0.05
    rotation = torch.linalg.qr(torch.randn(512, 512, generator=torch.Generator().manual_seed(1)))[0]
    turned = {name: vector @ rotation for name, vector in opposite.items()}
    torch.testing.assert_close(gram_volume(turned), gram_volume(opposite), atol=1e-3, rtol=0)
    assert abs(multilinear_product(turned) - multilinear_product(opposite)).item() > 1e-4


def test_one_without_a_vector_has_no_value_and_the_others_keep_theirs():
    embeddings = embed(3)
    whole = [score(embeddings) for score in (*OF_SIMILARITIES, triangle_area, multilinear_product)]
    embeddings["text"][1] = torch.nan
    embeddings["audio"][2] = 0.0
    for score, before in zip((*OF_SIMILARITIES, triangle_area, multilinear_product), whole, strict=True):
        values = score(embeddings)
        assert values[1:3].isnan().all()
        assert torch.equal(values[[0, 3]], before[[0, 3]])


def test_gram_matrix_is_symmetric():
    matrix = gram_matrix(embed(4))
    assert torch.equal(matrix, matrix.mT)
    assert (matrix.diagonal(dim1=1, dim2=2) == 1.0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gram_volume(torch.zeros(2, 4)), "Expected the similarities of all pairs, 1, 3, 6, 10, .* got 4"),
        (lambda: triangle_area(embed(4)), "Expected three modalities, got 4"),
        (lambda: multilinear_product({"video": torch.ones(1, 2)}), "at least two embeddings"),
        (lambda: multilinear_product({"a": torch.ones(1, 2), "b": torch.ones(1, 3)}), r"\(1, 2\), \(1, 3\)"),
    ],
)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call()
