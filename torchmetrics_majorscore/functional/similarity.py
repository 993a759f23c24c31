"""Cosines between the modalities of one sample (MAJORScore, Eq. 1 and 2)."""

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from math import isqrt

import torch
from torch import Tensor

Pair = tuple[str, str]
Pairs = str | Sequence[Pair | str]

ROWS_PER_BLOCK = 128  # what lies between the embeddings and the cosines of a block then stays in the cache


def cosine_similarity(a: Tensor, b: Tensor) -> Tensor:
    """Compute the cosine of every row of ``a`` with the same row of ``b``.

    The sum over the dimensions runs in float64 in a fixed order, so a row's value does not depend, by a single bit,
    on how many rows stand beside it.

    Args:
        a: embeddings, shape (B, D), any floating dtype, any scale.
        b: embeddings, shape (B, D).

    Returns:
        Cosines in [-1, 1], shape (B,), float32 (float64 if an input is float64). A row that is zero or not finite
        has no direction and gives NaN.

    Raises:
        ValueError: the shapes differ or are not (B, D).

    Example:
        >>> cosine_similarity(torch.tensor([[3.0, 4.0]]), torch.tensor([[4.0, 3.0]]))
        tensor([0.9600])
    """
    return pair_similarities({"a": a, "b": b}, "all")[:, 0]


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Compute the cosines of the last dimension, (..., D) and (..., D) broadcast against each other.

    Returns:
        Float64 in [-1, 1]; NaN where a vector is zero or not finite. Sums run as in :func:`cosine_similarity`.
    """
    one, other = (_scaled(each.double()) for each in (a, b))
    norms = _sum(one * one).sqrt() * _sum(other * other).sqrt()
    return (_sum(one * other) / norms).clamp(-1.0, 1.0)


def _cosines(rows: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """Compute cosines (B, K) of stacked rows (M, B, D), where pairs are places in the stack."""
    # Squares of float32 fit into float64 as they are, and a common power of two would not change a bit.
    wide = _scaled(rows) if rows.dtype == torch.float64 else rows.double()
    each = wide.unbind()
    sums = _sum(torch.stack([*(x * x for x in each), *(each[one] * each[other] for one, other in pairs)]))
    squares, products = sums.split_with_sizes([len(each), len(pairs)])
    norms = squares.sqrt().unbind()
    cosines = products / torch.stack([norms[one] * norms[other] for one, other in pairs])
    return cosines.clamp(-1.0, 1.0).to(torch.promote_types(rows.dtype, torch.float32)).T


def _scaled(x: Tensor) -> Tensor:
    """Divide each row by a power of two near its largest value: exact, and no square overflows or vanishes."""
    largest = x.detach().abs().amax(dim=-1, keepdim=True)
    return x * torch.ldexp(torch.ones_like(largest), -torch.frexp(largest).exponent)


def _sum(x: Tensor) -> Tensor:
    """Sum the last dimension by halving: element-wise additions only, so no kernel can choose another order."""
    while (width := x.shape[-1]) > 1:
        first, second, rest = x.split_with_sizes([width // 2, width // 2, width % 2], dim=-1)
        x = torch.cat([first + second, rest], dim=-1) if width % 2 else first + second
    return x.squeeze(-1)


def select_pairs(modalities: Sequence[str], pairs: Pairs = "text") -> list[Pair]:
    """Name the pairs of modalities that a score combines, in the order of ``modalities``.

    Args:
        modalities: names of the modalities, for example ``("video", "text", "audio")``.
        pairs: a modality, for all pairs that contain it (``"text"``: the text-anchored pairs of the paper);
            ``"all"`` for all C(M, 2) pairs; or one pair like ``"video-text"``, or a list of pairs, each a tuple or such
            a string.

    Returns:
        The pairs, each in the order of ``modalities``.

    Raises:
        ValueError: an unknown modality or pair, a repeated pair, or no pair at all.

    Example:
        >>> select_pairs(["video", "text", "audio"], "text")
        [('video', 'text'), ('text', 'audio')]
    """
    every = list(combinations(modalities, 2))
    if isinstance(pairs, str) and "-" in pairs:
        pairs = [pairs]
    if isinstance(pairs, str) or not isinstance(pairs, Sequence):
        chosen = every if pairs == "all" else [pair for pair in every if pairs in pair]
    else:
        chosen = [_known_pair(pair, every) for pair in pairs]
    if not every:
        raise ValueError(f"Expected at least two modalities, got {', '.join(modalities) or 'none'}.")
    if not chosen or len(set(chosen)) != len(chosen):
        known = ", ".join("-".join(pair) for pair in every)
        raise ValueError(
            f"Expected pairs to be 'all', one of {list(modalities)}, or a list of different pairs out of {known}, "
            f"got {pairs!r}."
        )
    return chosen


def find_view(names: Collection[str], modality: str, partner: str) -> str:
    """Name the embedding of a modality that is compared with a partner's: ``text_for_audio`` if there is one."""
    own = f"{modality}_for_{partner}"
    return own if own in names else modality


def _known_pair(pair: Pair | str, every: Sequence[Pair]) -> Pair:
    wanted = set(pair.split("-") if isinstance(pair, str) else pair)
    for known in every:
        if wanted == set(known):
            return known
    names = ", ".join("-".join(known) for known in every)
    raise ValueError(f"Expected each pair to be one of {names}, got {pair!r}.")


def pair_similarities(embeddings: Mapping[str, Tensor], pairs: Pairs = "text") -> Tensor:
    """Compute the similarities of the selected pairs of modalities (MAJORScore, Eq. 1 and 2).

    Args:
        embeddings: modality name to embeddings, each (B, D) in one joint space, any floating dtype. Of a modality
            whose embedding depends on the pair, one under a name like ``text_for_audio`` for each partner.
        pairs: see :func:`select_pairs`.

    Returns:
        Similarities in [-1, 1], shape (B, K), one column per pair in the order of :func:`select_pairs`.

    Raises:
        ValueError: an unknown pair, one that lacks an embedding, or embeddings whose shapes differ.

    Example:
        >>> e = {"video": torch.eye(2), "text": torch.eye(2), "audio": -torch.eye(2)}
        >>> pair_similarities(e)
        tensor([[ 1., -1.],
                [ 1., -1.]])
    """
    every = list(dict.fromkeys(name.partition("_for_")[0] for name in embeddings))
    chosen = [
        (find_view(embeddings, one, other), find_view(embeddings, other, one))
        for one, other in select_pairs(every, pairs)
    ]
    used = list(dict.fromkeys(modality for pair in chosen for modality in pair))
    for one, other in chosen:
        if lost := [name for name in (one, other) if name not in embeddings]:
            raise ValueError(f"Expected an embedding of {lost[0]} for {one}-{other}, got {', '.join(embeddings)}.")
        a, b = embeddings[one], embeddings[other]
        if a.ndim != 2 or a.shape != b.shape or a.shape[1] == 0:
            shapes = f"{tuple(a.shape)} of {one} and {tuple(b.shape)} of {other}"
            raise ValueError(f"Expected two embeddings of one shape (B, D), got {shapes}.")
    places = [(used.index(one), used.index(other)) for one, other in chosen]
    blocks = zip(*(torch.split(embeddings[modality], ROWS_PER_BLOCK) for modality in used), strict=True)
    return torch.cat([_cosines(torch.stack(block), places) for block in blocks])


def as_similarities(inputs: Tensor | Mapping[str, Tensor], pairs: Pairs) -> Tensor:
    """Return (B, K) similarities: the given ones, or those of the selected pairs of the given embeddings."""
    if not isinstance(inputs, Tensor):
        return pair_similarities(inputs, pairs)
    if inputs.ndim != 2 or inputs.shape[1] == 0:
        raise ValueError(f"Expected similarities of shape (B, K) with K >= 1, got {tuple(inputs.shape)}.")
    return inputs


def gram_matrix(inputs: Tensor | Mapping[str, Tensor]) -> Tensor:
    """Arrange the similarities of all pairs of a sample as the Gram matrix of its unit vectors.

    Args:
        inputs: embeddings, modality name to (B, D); or similarities of all pairs, (B, M (M - 1) / 2), in the order of
            ``select_pairs(modalities, "all")``.

    Returns:
        Float64, (B, M, M), with ones on the diagonal.

    Raises:
        ValueError: embeddings whose shapes differ, or a number of similarities that no M has.

    Example:
        >>> gram_matrix(torch.tensor([[0.5, 0.25, 0.0]]))[0]
        tensor([[1.0000, 0.5000, 0.2500],
                [0.5000, 1.0000, 0.0000],
                [0.2500, 0.0000, 1.0000]], dtype=torch.float64)
    """
    if not isinstance(inputs, Tensor):
        inputs = {name: embedding.double() for name, embedding in inputs.items()}
    similarities = as_similarities(inputs, "all").double()
    number = similarities.shape[1]
    size = (1 + isqrt(1 + 8 * number)) // 2
    if size * (size - 1) != 2 * number:
        raise ValueError(f"Expected the similarities of all pairs, 1, 3, 6, 10, ... of them, got {number}.")
    matrix = torch.eye(size, dtype=torch.float64, device=similarities.device).repeat(len(similarities), 1, 1)
    upper = torch.triu_indices(size, size, 1, device=similarities.device).unbind()
    matrix[:, upper[0], upper[1]] = matrix[:, upper[1], upper[0]] = similarities
    return matrix
