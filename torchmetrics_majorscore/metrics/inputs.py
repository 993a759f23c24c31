"""Checks at the door of ``update``: raw batches to lists of samples, with a word on every sample that needs one.

A mistake in the whole batch (shape, dtype, range) raises ValueError and nothing of the batch is kept. A defect of one
sample (no frames, NaN, empty caption, None) leaves that sample without an embedding, and the others are scored.
"""

import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from torchmetrics_majorscore.modalities import Checked, Modality

FLOATING = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
APART = 1.0  # seconds


def check_inputs(
    inputs: Mapping[str, Any],
    modalities: Mapping[str, Modality],
    rates: Mapping[str, Any],
    ids: Any,
    *,
    quiet: bool,
    said: Collection[str] = (),
) -> dict[str, list[Any]]:
    """Check the inputs of a batch, and warn of samples that have no value or look like a mistake.

    Args:
        inputs: name to a batch, as ``update`` takes it.
        modalities: name to the modality that it is of.
        rates: its name to the rate of the batch, as :meth:`.Modality.check_rate` gives it.
        ids: those of the batch, to name samples by; None without.
        quiet: do not warn of samples without a value.
        said: inputs of whose samples nothing is said, since another metric does.

    Returns:
        Name to samples, None where a sample has no value.

    Raises:
        ValueError: an unknown modality, a batch that does not fit, or batches of different lengths.
    """
    checked = {name: modalities[name].check(batch, rates.get(name)) for name, batch in inputs.items()}
    if len({len(one.samples) for one in checked.values()}) > 1:
        counts = ", ".join(f"{name} {len(one.samples)}" for name, one in checked.items())
        raise ValueError(f"Expected as many samples in every input, got {counts}.")
    for name, one in checked.items():
        if name in said:
            continue
        if not quiet:
            warn_of_samples(name, one.reasons, ids, "; its pairs have no value.")
        warn_of_samples(name, one.remarks, ids, "; it is scored as it is.")
    if not set(checked) <= set(said):
        _warn_of_lengths(checked, ids)
    return {name: one.samples for name, one in checked.items()}


def warn_of_samples(name: str, notes: Mapping[int, str], ids: Any, end: str) -> None:
    """Warn of samples by their ids; of a whole batch of them once.

    Args:
        name: of the input.
        notes: place in the batch to what is said of the sample.
        ids: those of the batch; None without.
        end: of the sentence.
    """
    alike: dict[str, list[int]] = {}
    for place, note in notes.items():
        alike.setdefault(note.rpartition(" of ")[0] if "peak" in note else note, []).append(place)
    for places in alike.values():
        others = f" (and {len(places) - 1} more of the batch)" if len(places) > 1 else ""
        warnings.warn(f"{name} of {_sample(places[0], ids)} {notes[places[0]]}{others}{end}", stacklevel=4)


def _warn_of_lengths(checked: Mapping[str, Checked], ids: Any) -> None:
    lengths = {name: one.seconds for name, one in checked.items() if one.seconds}
    for place in sorted(set.intersection(*map(set, lengths.values()))) if len(lengths) > 1 else ():
        own = {name: seconds[place] for name, seconds in lengths.items()}
        if max(own.values()) - min(own.values()) > APART:
            said = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in own.items())
            warnings.warn(
                f"The inputs of {_sample(place, ids)} last differently ({said}): are sample_rate and fps right?",
                stacklevel=4,
            )
            return


def _sample(place: int, ids: Any) -> str:
    listed = ids.tolist() if isinstance(ids, Tensor) else ids
    # Whether ids are what they should be is checked later.
    named = isinstance(listed, Sequence) and not isinstance(listed, str) and place < len(listed)
    return f"sample {place} (id {listed[place]!r})" if named else f"sample {place}"


def check_embeddings(embeddings: Mapping[str, Tensor], spaces: Sequence[Sequence[str]]) -> int:
    """Check given embeddings.

    Args:
        embeddings: name to (B, D), D >= 1, of one of the dtypes :data:`FLOATING`.
        spaces: the names of each space; all are needed.

    Returns:
        The number of samples.

    Raises:
        ValueError: other names, no dense floating (B, D), or shapes that do not fit each other.
    """
    names = [name for space in spaces for name in space]
    if set(embeddings) != set(names):
        raise ValueError(f"Expected embeddings of {', '.join(names)}, got {', '.join(embeddings) or 'none'}.")
    for name, embedding in embeddings.items():
        if not isinstance(embedding, Tensor) or not _is_matrix(embedding):
            layout = "" if not isinstance(embedding, Tensor) or embedding.layout == torch.strided else " sparse"
            got = f"{tuple(embedding.shape)} {embedding.dtype}{layout}" if isinstance(embedding, Tensor) else embedding
            raise ValueError(f"Expected dense embeddings (B, D >= 1) of a floating dtype for {name}, got {got}.")
    for space in spaces:
        if len({embeddings[name].shape for name in space}) > 1:
            listed = ", ".join(f"{name} {tuple(embeddings[name].shape)}" for name in space)
            raise ValueError(f"Expected embeddings of one shape (B, D) in a space, got {listed}.")
    counts = [len(embeddings[space[0]]) for space in spaces]
    if len(set(counts)) > 1:
        raise ValueError(f"Expected as many samples in every space, got {counts}.")
    return counts[0]


def check_rows(name: str, rows: Any, shape: tuple[str, ...] = ("B", "C"), *, last: int | None = None) -> Tensor:
    """Check given features or logits.

    Args:
        name: of the argument.
        rows: what was given.
        shape: names of the dimensions, of which the first may have the size 0.
        last: size of the last dimension; None for any.

    Returns:
        ``rows``, which is dense, floating and of that many dimensions, without its graph.

    Raises:
        ValueError: it is not.
    """
    dense = isinstance(rows, Tensor) and rows.layout == torch.strided and rows.dtype in FLOATING
    if not dense or rows.ndim != len(shape) or 0 in rows.shape[1:] or rows.shape[-1] != (last or rows.shape[-1]):
        got = f"{tuple(rows.shape)} {rows.dtype}" if isinstance(rows, Tensor) else type(rows).__name__
        wanted = ", ".join([*shape[:-1], str(last or shape[-1])])
        raise ValueError(f"Expected {name} of shape ({wanted}), dense, of a floating dtype, got {got}.")
    detached: Tensor = rows.detach()
    return detached


def _is_matrix(embedding: Tensor) -> bool:
    return (
        embedding.layout == torch.strided
        and embedding.ndim == 2
        and embedding.shape[1] > 0
        and embedding.dtype in FLOATING
    )
