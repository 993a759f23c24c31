"""Recall across modalities against a plain sort, with ties, several labels, one gallery of all, and what is missing."""

import math

import pytest
import torch

from torchmetrics_majorscore.functional import retrieval
from torchmetrics_majorscore.functional.retrieval import (
    any_retrieval,
    chance_at,
    pair_retrieval,
    recall_at,
    retrieve,
    tied,
)

NAMES = ("text", "image", "audio")


def draw(rows, width=6, seed=0):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def sorted_counts(query, gallery, relevant, left_in, depth=10, ties_last=True):
    """Count the relevant among the first 1, 2, ..., by sorting Python numbers."""
    cosines = [
        float((query.double() / query.double().norm()) @ (row.double() / row.double().norm())) for row in gallery
    ]
    rows = [(-round(cosines[i], 7), relevant[i] if ties_last else not relevant[i]) for i in left_in]
    order = [hit if ties_last else not hit for _, hit in sorted(rows)]
    return [sum(order[:k]) for k in range(1, depth + 1)]


def test_counts_are_those_of_a_sort_in_any_chunks(monkeypatch):
    queries, gallery = draw(23), draw(31, seed=1)
    own, other = torch.arange(23) % 5, torch.arange(31) % 7
    whole = retrieve(queries, gallery, own, other)
    for row in range(23):
        relevant = [bool(other[i] == own[row]) for i in range(31)]
        assert whole.found[row].tolist() == sorted_counts(queries[row], gallery, relevant, range(31))
        assert whole.relevant[row] == sum(relevant)
    assert whole.candidates.tolist() == [31] * 23
    assert torch.equal(whole.found, whole.lucky)
    monkeypatch.setattr(retrieval, "MOST_COSINES", 70)
    for one, chunked in zip(whole, retrieve(queries, gallery, own, other), strict=True):
        assert torch.equal(one, chunked)
    scaled = retrieve(3.0 * queries, gallery * torch.arange(1, 32)[:, None], own, other)
    assert torch.equal(scaled.found, whole.found)


def test_what_is_relevant_stands_last_in_a_tie():
    gallery = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    found = retrieve(gallery[:1], gallery, torch.tensor([1]), torch.tensor([0, 1, 1, 0]), depth=4)
    assert found.found.tolist() == [[0, 0, 1, 2]]
    assert found.lucky.tolist() == [[1, 1, 1, 2]]
    deep = retrieve(gallery[:1], gallery, torch.tensor([1]), torch.tensor([0, 1, 1, 0]))
    assert [counts[0].tolist()[3:] for counts in (deep.found, deep.lucky)] == [[2] * 7] * 2
    assert chance_at(deep, 10, share=True).item() == 1
    assert tied(found, (1, 3)) == 1
    assert tied(found, (3, 4)) == 0
    collapsed = torch.ones(50, 4)
    alike = retrieve(collapsed, collapsed, torch.arange(50), torch.arange(50))
    assert recall_at(alike, 10).sum() == 0
    assert recall_at(alike, 1, lucky=True).mean() == 1


def test_hits_shares_and_chance():
    gallery = torch.eye(4)
    query = torch.tensor([[4.0, 3.0, 2.0, 1.0]])
    found = retrieve(query, gallery, torch.tensor([1]), torch.tensor([0, 1, 0, 1]), depth=4)
    assert [recall_at(found, k).item() for k in (1, 2, 3, 4)] == [0, 1, 1, 1]
    assert [recall_at(found, k, share=True).item() for k in (1, 2, 3, 4)] == [0, 0.5, 0.5, 1]
    assert chance_at(found, 1).item() == pytest.approx(0.5)
    assert chance_at(found, 2).item() == pytest.approx(1 - 1 / math.comb(4, 2))
    assert [chance_at(found, k).item() for k in (3, 4)] == [1, 1]
    assert chance_at(found, 3, share=True).item() == 0.75
    for k in (0, 5):
        with pytest.raises(ValueError, match=f"Expected k from 1 to 4, got {k}"):
            recall_at(found, k)


def test_chance_is_what_random_vectors_reach():
    labels = torch.arange(2000) % 40
    found = retrieve(draw(2000, 16), draw(200, 16, 1), labels, torch.arange(200) % 40)
    for k in (1, 5, 10):
        assert recall_at(found, k).mean().item() == pytest.approx(chance_at(found, k).mean().item(), abs=0.03)


def test_a_query_without_relevant_items_has_no_recall():
    gallery = draw(6)
    gallery[2], gallery[3] = math.nan, 0.0
    queries = torch.cat([draw(3, seed=2), torch.full((1, 6), math.inf), torch.zeros(1, 6)])
    labels = torch.tensor([0, 2, 9, 0, 0])
    found = retrieve(queries, gallery, labels, torch.arange(6))
    assert found.relevant.tolist() == [1, 0, 0, 0, 0]
    assert found.candidates.tolist() == [4, 4, 4, 0, 0]
    assert recall_at(found, 10).isnan().tolist() == [False, True, True, True, True]
    assert chance_at(found, 1).isnan().tolist() == [False, True, True, True, True]
    assert found.found[1].sum() == 0
    empty = retrieve(queries[:0], gallery, labels[:0], torch.arange(6))
    assert [len(part) for part in empty] == [0, 0, 0, 0]
    nothing = retrieve(queries, gallery[:0], labels, labels[:0])
    assert recall_at(nothing, 1).isnan().all()


def test_several_labels():
    queries, gallery = draw(9), draw(12, seed=1)
    one, other = (torch.rand(rows, 4, generator=torch.Generator().manual_seed(rows)) > 0.6 for rows in (9, 12))
    found = retrieve(queries, gallery, one, other)
    for row in range(9):
        relevant = [bool((one[row] & other[i]).any()) for i in range(12)]
        assert found.found[row].tolist() == sorted_counts(queries[row], gallery, relevant, range(12))


def test_pairs_and_the_gallery_of_all():
    embeddings = {name: draw(7 + place, seed=place) for place, name in enumerate(NAMES)}
    labels = {name: torch.arange(len(rows)) % 4 for name, rows in embeddings.items()}
    pairs = pair_retrieval(embeddings, labels)
    assert list(pairs) == [(a, b) for a in NAMES for b in NAMES if a != b]
    assert torch.equal(
        pairs["text", "audio"].found,
        retrieve(embeddings["text"], embeddings["audio"], labels["text"], labels["audio"]).found,
    )
    gallery, known = (torch.cat([part[name] for name in NAMES]) for part in (embeddings, labels))
    groups = [name for name in NAMES for _ in embeddings[name]]
    for own_modality in (False, True):
        found = any_retrieval(embeddings, labels, own_modality=own_modality)
        row = -1
        for name in NAMES:
            for place in range(len(embeddings[name])):
                row += 1
                relevant = [
                    bool(known[i] == known[row]) and (own_modality or groups[i] != name) for i in range(len(gallery))
                ]
                others = [i for i in range(len(gallery)) if i != row]
                expected = sorted_counts(gallery[row], gallery, relevant, others)
                assert found[name].found[place].tolist() == expected
                assert found[name].candidates[place] == len(gallery) - 1


def test_the_own_partner_is_found():
    clips = draw(20)
    embeddings = {name: clips + 0.05 * draw(20, seed=place) for place, name in enumerate(NAMES)}
    numbers = dict.fromkeys(NAMES, torch.arange(20))
    for found in pair_retrieval(embeddings, numbers).values():
        assert recall_at(found, 1).mean() == 1
        assert chance_at(found, 5).mean().item() == pytest.approx(0.25)


def test_a_gallery_of_100_000():
    gallery = draw(100_000, 32)
    labels = torch.arange(100_000)
    found = retrieve(gallery[::5000] + 0.1 * draw(20, 32, 1), gallery, labels[::5000], labels)
    assert recall_at(found, 1).mean() == 1
    assert found.candidates[0] == 100_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gallery": draw(5, 3)}, "Expected queries (Q, D) and a gallery (N, D) of one width, got (4, 6) and (5, 3)"),
        ({"query_labels": torch.arange(3)}, "for each query item of 4, got (3,)"),
        ({"gallery_labels": torch.arange(7)}, "for each gallery item of 5, got (7,)"),
        ({"query_labels": torch.ones(4, 2, dtype=torch.bool)}, "Expected labels of one kind, got (4, 2) and (5,)"),
        ({"depth": 0}, "Expected depth >= 1, got 0"),
    ],
)
def test_what_does_not_fit(change, message):
    given = {"queries": draw(4), "gallery": draw(5), "query_labels": torch.arange(4), "gallery_labels": torch.arange(5)}
    with pytest.raises(ValueError, match="Expected") as error:
        retrieve(**{**given, **change})
    assert message in str(error.value)
