"""Retrieval across modalities: of each query, how many relevant items stand among the first k of a gallery.

Items are compared by their cosine, in float64 and then rounded to float32: cosines that are equal there are a *tie*.
The relevant items of a tie stand behind the others, so that a space in which all is alike finds nothing; ``lucky``
counts them in front. Recall at k of a query is a *hit rate* in the joint-space papers: 1 if a relevant item is among
the first k. The *share* of its relevant items that is there is the other reading, at most k / relevant.
"""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

DEPTH = 10
MOST_COSINES = 2**22  # of a chunk of queries with a whole gallery: 32 MiB


class Retrieved(NamedTuple):
    """What :func:`retrieve` found for Q queries; int64 on the device of the queries."""

    found: Tensor
    """(Q, depth): relevant items among the first 1, 2, ... of the gallery, those of a tie last."""
    lucky: Tensor
    """(Q, depth): the same with those of a tie first."""
    relevant: Tensor
    """(Q,): relevant items of the gallery; 0 also for a query that is not finite."""
    candidates: Tensor
    """(Q,): items of the gallery that are finite, without the query itself."""


def retrieve(
    queries: Tensor,
    gallery: Tensor,
    query_labels: Tensor,
    gallery_labels: Tensor,
    *,
    own: Tensor | None = None,
    query_groups: Tensor | None = None,
    gallery_groups: Tensor | None = None,
    depth: int = DEPTH,
) -> Retrieved:
    """Rank a gallery for each query, in chunks of queries: memory is 2**22 cosines, whatever the sizes.

    Args:
        queries: vectors, (Q, D), any floating dtype, any scale.
        gallery: vectors, (N, D). One that is zero or not finite has no direction and is not in the gallery.
        query_labels: int64 (Q,), or bool (Q, C) where an item has several of C labels. An item is relevant to a query
            with which it shares a label: a class, or the number of the clip it belongs to.
        gallery_labels: the same of the gallery.
        own: int64 (Q,), where in the gallery a query stands itself, -1 for nowhere; it is left out for that query.
        query_groups: int64 (Q,), with ``gallery_groups`` (N,): items of the query's own group are never relevant.
        gallery_groups: see ``query_groups``.
        depth: how many of the first places are looked at.

    Returns:
        Counts; :func:`recall_at` makes recalls of them.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> gallery = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        >>> retrieve(gallery[:1], gallery, torch.tensor([7]), torch.tensor([5, 7, 7]), depth=3).found
        tensor([[0, 1, 2]])
    """
    _check(queries, gallery, query_labels, gallery_labels, depth)
    left, right = (normalize(rows.detach().double(), dim=-1) for rows in (queries, gallery))
    known = (right.isfinite() & (right.norm(dim=-1, keepdim=True) > 0)).all(dim=-1)
    asked = (left.isfinite() & (left.norm(dim=-1, keepdim=True) > 0)).all(dim=-1)
    right = right.nan_to_num()
    parts = []
    for rows in torch.split(torch.arange(len(left), device=left.device), max(1, MOST_COSINES // max(1, len(right)))):
        relevant = _share(query_labels[rows], gallery_labels)
        if query_groups is not None and gallery_groups is not None:
            relevant &= query_groups[rows, None] != gallery_groups
        there = known.expand(len(rows), -1).clone()
        if own is not None:
            inside = own[rows] >= 0
            there[inside.nonzero()[:, 0], own[rows][inside]] = False
        there &= asked[rows, None]
        cosines = (left[rows].nan_to_num() @ right.T).float()
        parts.append(_count(cosines, relevant & there, ~relevant & there, depth))
    if not parts:
        none = torch.zeros(0, dtype=torch.int64, device=left.device)
        return Retrieved(none.expand(depth, 0).T, none.expand(depth, 0).T, none, none)
    return Retrieved(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _check(queries: Tensor, gallery: Tensor, query_labels: Tensor, gallery_labels: Tensor, depth: int) -> None:
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1] or queries.shape[1] == 0:
        shapes = f"{tuple(queries.shape)} and {tuple(gallery.shape)}"
        raise ValueError(f"Expected queries (Q, D) and a gallery (N, D) of one width, got {shapes}.")
    for name, rows, labels in (("query", queries, query_labels), ("gallery", gallery, gallery_labels)):
        if labels.shape[:1] != rows.shape[:1] or labels.ndim not in (1, 2):
            raise ValueError(
                f"Expected a label, or a row of labels, for each {name} item of {len(rows)}, got {tuple(labels.shape)}."
            )
    if query_labels.shape[1:] != gallery_labels.shape[1:]:
        raise ValueError(
            f"Expected labels of one kind, got {tuple(query_labels.shape)} and {tuple(gallery_labels.shape)}."
        )
    if depth < 1:
        raise ValueError(f"Expected depth >= 1, got {depth}.")


def _share(one: Tensor, other: Tensor) -> Tensor:
    """Say which items share a label: bool (q, N)."""
    return one[:, None] == other if one.ndim == 1 else one.float() @ other.float().T > 0


def _count(cosines: Tensor, relevant: Tensor, others: Tensor, depth: int) -> Retrieved:
    """Count the relevant among the first places: the j-th best of them has the place j + those others above it."""
    best, above = (
        pad(part.topk(min(depth, part.shape[1]), dim=-1).values, (0, max(0, depth - part.shape[1])), value=-torch.inf)
        for part in (cosines.masked_fill(~side, -torch.inf) for side in (relevant, others))
    )
    number = torch.arange(1, depth + 1, device=cosines.device)
    there = best > -torch.inf
    counts = []
    for before in (above[:, None] >= best[..., None], above[:, None] > best[..., None]):
        # Of the others no more than depth are looked at, and that many are enough to be out.
        places = number + before.sum(dim=-1)
        counts.append(((places[..., None] <= number) & there[..., None]).sum(dim=1))
    return Retrieved(counts[0], counts[1], relevant.sum(dim=-1), (relevant | others).sum(dim=-1))


def pair_retrieval(
    embeddings: Mapping[str, Tensor], labels: Mapping[str, Tensor], depth: int = DEPTH
) -> dict[tuple[str, str], Retrieved]:
    """Query every modality with every other one: M (M - 1) ordered pairs.

    Args:
        embeddings: modality to vectors of one space, (N_m, D); the modalities need not have the same items.
        labels: modality to labels of its items, see :func:`retrieve`: classes, or numbers of clips, with which a
            query's partner alone is relevant.
        depth: see :func:`retrieve`.

    Returns:
        ``(query, gallery)`` to what was found.
    """
    return {
        (query, target): retrieve(embeddings[query], embeddings[target], labels[query], labels[target], depth=depth)
        for query, target in permutations(embeddings, 2)
    }


def any_retrieval(
    embeddings: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    depth: int = DEPTH,
    *,
    own_modality: bool = False,
) -> dict[str, Retrieved]:
    """Query the items of all modalities at once ("Any"); the query itself is not in the gallery.

    The paper (Fürer et al.) says what is searched, not what is relevant. Its numbers, far below those of pairs, fit
    items of the same class and another modality alone, which is the default.

    Args:
        embeddings: see :func:`pair_retrieval`.
        labels: see :func:`pair_retrieval`.
        depth: see :func:`retrieve`.
        own_modality: items of the same class and the query's own modality are relevant as well.

    Returns:
        Modality of the query to what was found.
    """
    names = list(embeddings)
    sizes = [len(embeddings[name]) for name in names]
    gallery, known = (torch.cat([part[name] for name in names]) for part in (embeddings, labels))
    place = torch.arange(len(gallery), device=gallery.device)
    groups = torch.repeat_interleave(torch.arange(len(names)), torch.tensor(sizes)).to(gallery.device)
    found = {}
    for name, rows in zip(names, torch.split(place, sizes), strict=True):
        apart = {} if own_modality else {"query_groups": groups[rows], "gallery_groups": groups}
        found[name] = retrieve(gallery[rows], gallery, known[rows], known, own=rows, depth=depth, **apart)
    return found


def recall_at(retrieved: Retrieved, k: int, *, share: bool = False, lucky: bool = False) -> Tensor:
    """Give the recall at k of each query.

    Args:
        retrieved: see :func:`retrieve`.
        k: places, at most its depth.
        share: the share of the relevant items that was found, in place of whether one was.
        lucky: relevant items of a tie come first, in place of last.

    Returns:
        In [0, 1], float64 (Q,); NaN for a query without relevant items.

    Raises:
        ValueError: k is out of range.

    Example:
        >>> one = torch.tensor([[1.0, 0.0]])
        >>> recall_at(retrieve(one, torch.eye(2), torch.tensor([3]), torch.tensor([3, 3])), 1, share=True)
        tensor([0.5000], dtype=torch.float64)
    """
    counts = retrieved.lucky if lucky else retrieved.found
    if not 1 <= k <= counts.shape[1]:
        raise ValueError(f"Expected k from 1 to {counts.shape[1]}, got {k}.")
    found = counts[:, k - 1].double()
    values = found / retrieved.relevant if share else found.clamp(max=1)
    return values.masked_fill(retrieved.relevant == 0, torch.nan)


def chance_at(retrieved: Retrieved, k: int, *, share: bool = False) -> Tensor:
    """Give the recall at k that a random order of the gallery is expected to have, for each query.

    Args:
        retrieved: see :func:`retrieve`.
        k: places, at least 1.
        share: see :func:`recall_at`.

    Returns:
        With R relevant items of N, 1 - C(N - R, k) / C(N, k), or min(k, N) / N for the share; float64 (Q,), NaN
        without relevant items.
    """
    size, relevant = retrieved.candidates.double(), retrieved.relevant.double()
    if share:
        values = size.clamp(max=k) / size
    else:
        missed = torch.ones_like(size)
        for place in range(k):
            missed = missed * ((size - relevant - place) / (size - place).clamp(min=1)).clamp(min=0)
        values = 1 - missed
    return values.masked_fill(relevant == 0, torch.nan)


def tied(retrieved: Retrieved, ks: Sequence[int] = (1, 5, 10)) -> int:
    """Count the queries of which a tie decides whether they have a hit at one of the places."""
    hits = [(counts[:, [k - 1 for k in ks]] > 0) for counts in (retrieved.found, retrieved.lucky)]
    return int((hits[0] != hits[1]).any(dim=-1).sum())
