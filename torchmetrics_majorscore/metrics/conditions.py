"""Embeddings of what stays the same from epoch to epoch: videos and captions. Only the audio is new each time."""

import os
import sqlite3
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchmetrics_majorscore.encoders import SharedEncoder
from torchmetrics_majorscore.encoders.base import digests
from torchmetrics_majorscore.metrics.ids import ids_to_int64, int64_to_ids
from torchmetrics_majorscore.modalities import MODALITIES

TABLES = """
CREATE TABLE IF NOT EXISTS samples (modality TEXT, id INTEGER, content TEXT, PRIMARY KEY (modality, id));
CREATE TABLE IF NOT EXISTS embeddings (encoder TEXT, content TEXT, vector BLOB, PRIMARY KEY (encoder, content));
"""
WAIT_SECONDS = 60.0
LARGE = 2**14
"""Numbers of a vector; larger ones, of Synchformer's videos, stay in the file alone, if there is one."""


@dataclass(frozen=True)
class Content:
    """A picked video or a caption: what tells it from others, and itself, None if it is remembered only."""

    key: str
    item: Tensor | str | None = None


class Conditions:
    """Remembers embeddings by content, and contents by sample id, on the CPU (4 KB a sample) and perhaps in a file.

    From the second epoch on only audio is encoded, and ``update(audio=..., ids=...)`` is enough; no value changes by a
    bit.

    An embedding is found by the encoder's digest and options and by the content (a caption itself, a 64-bit hash of
    the frames), a content by the id and the rate at which it was picked, so a change of any of them is never answered
    with an old embedding. A copy remembers what the original did; a pickle remembers the file alone. A file that cannot
    be read or written ends no run: a warning says so, and memory alone goes on.

    Args:
        path: an SQLite file, made if it does not exist, which several processes may share; ids are unique in it.
        modalities: what stays the same; None for everything but audio. ``("audio", "text")`` where pictures are made.
    """

    def __init__(self, path: str | Path | None = None, modalities: Sequence[str] | None = None) -> None:
        self.path = path
        self.modalities = None if modalities is None else tuple(modalities)
        self._contents: dict[tuple[str, int], str | None] = {}
        self._vectors: dict[tuple[str, str], Tensor] = {}
        self._warned = False
        self._database: sqlite3.Connection | None = None
        self._process: int | None = None

    def hold(self, modality: str) -> bool:
        """Tell whether a modality stays the same."""
        if self.modalities is not None:
            return modality in self.modalities
        return modality not in MODALITIES or MODALITIES[modality].condition

    def take_in(
        self, samples: Mapping[str, list[Any]], absent: Sequence[str], ids: Any, rates: Mapping[str, Any]
    ) -> dict[str, list[Any]]:
        """Note the conditions that a batch brings and recall those that it lacks.

        Args:
            samples: modality to checked samples.
            absent: the modalities to recall.
            ids: as ``update`` takes them.
            rates: modality to the rate from which its samples are picked.

        Returns:
            Each condition to its contents, None for a sample without a value.

        Raises:
            ValueError: an id whose condition is absent is new.
        """
        count = len(next(iter(samples.values()))) if samples else len(ids)
        numbers = None if ids is None else ids_to_int64(ids, count).tolist()
        given = [name for name in samples if self.hold(name)]
        noted = {name: self.note(_slot(name, rates), samples[name], numbers) for name in given}
        return noted | {name: self.recall(_slot(name, rates), numbers or []) for name in absent}

    def note(self, slot: str, samples: Sequence[Any], numbers: Sequence[int] | None) -> list[Content | None]:
        """Take the given samples of a batch in, under their ids.

        Args:
            slot: modality and rate.
            samples: picked frames (T, 3, H, W) or captions; None for one without a value.
            numbers: their ids as :func:`.ids_to_int64` gives them, None without ids.

        Returns:
            Their contents, None where a sample has no value.
        """
        keys, changed = _keys(samples), {}
        for number, key in zip(numbers, keys, strict=True) if numbers else ():
            known, before = self._content(slot, number)
            if known and before != key and not self._warned:
                self._warned = True
                warnings.warn(
                    f"{slot.split('@')[0]} of id {_name(number)} is not the one that was given before and is encoded "
                    "anew: cache_conditions pays only for conditions that stay the same (augmented or repeated ids?).",
                    stacklevel=5,
                )
            if not known or before != key:
                changed[slot, number] = key
        self._contents |= changed
        if changed:
            self._run("INSERT OR REPLACE INTO samples VALUES (?, ?, ?)", [(*one, key) for one, key in changed.items()])
        return [None if key is None else Content(key, item) for key, item in zip(keys, samples, strict=True)]

    def note_or_recall(self, slot: str, samples: Sequence[Any] | None, ids: Any, count: int) -> list[Content | None]:
        """Take in the samples that ``update`` got, or recall by their ids those that it did not get (None)."""
        numbers = None if ids is None else ids_to_int64(ids, count).tolist()
        return self.recall(slot, numbers or []) if samples is None else self.note(slot, samples, numbers)

    def recall(self, slot: str, numbers: Sequence[int]) -> list[Content | None]:
        """Give the contents of samples that were given in an earlier batch.

        Raises:
            ValueError: an id is new.
        """
        found = [self._content(slot, number) for number in numbers]
        if new := [number for number, (known, _) in zip(numbers, found, strict=True) if not known]:
            modality, _, rate = slot.partition("@")
            at = f" at rate {rate}" if rate else ""
            raise ValueError(
                f"Expected {modality}, or ids whose {modality} was given before{at}, got the new id {_name(new[0])} "
                f"without {modality}."
            )
        return [None if key is None else Content(key) for _, key in found]

    def encode(
        self, encoder: SharedEncoder, modality: str, batch: Sequence[Content], run: Callable[[list[Any]], Tensor]
    ) -> Tensor:
        """Encode contents, each once in the life of this object.

        Args:
            encoder: of the space.
            modality: whose contents.
            batch: what :meth:`note` or :meth:`recall` gave.
            run: encodes items, and says on which device embeddings are wanted.

        Returns:
            Embeddings, float32, (B, D).

        Raises:
            ValueError: a recalled content was never encoded by this encoder.
        """
        known = self.remember(f"{encoder.name}|{encoder.portable_key}|{modality}", batch, run)
        return torch.stack(known)

    def remember(
        self, name: str, batch: Sequence[Content], run: Callable[[list[Any]], Tensor | list[Tensor]]
    ) -> list[Tensor]:
        """Make a vector of each content, each once in the life of this object.

        Args:
            name: what makes them, and of what.
            batch: what :meth:`note` or :meth:`recall` gave.
            run: makes vectors of items, and says on which device they are wanted.

        Returns:
            Vectors, float32, (D,).

        Raises:
            ValueError: of a recalled content that maker never had the item.
        """
        known = {content.key: self._vector(name, content.key) for content in batch}
        new = {content.key: content.item for content in batch if known[content.key] is None}
        device = torch.device("cpu")
        if new:
            if any(item is None for item in new.values()):
                what = name.rpartition("|")[2]
                raise ValueError(f"Expected {what}: it was given before, but to another encoder than {name}.")
            fresh = run(list(new.values()))
            device = fresh[0].device
            moved = fresh.cpu() if isinstance(fresh, Tensor) else [vector.cpu() for vector in fresh]
            made = {key: vector.clone() for key, vector in zip(new, moved, strict=True)}
            self._keep(name, made)
            known |= made
        return [vector.to(device) for content in batch if (vector := known[content.key]) is not None]

    def _content(self, slot: str, number: int) -> tuple[bool, str | None]:
        if (slot, number) not in self._contents:
            for (key,) in self._run("SELECT content FROM samples WHERE modality = ? AND id = ?", [(slot, number)]):
                self._contents[slot, number] = key
        return (slot, number) in self._contents, self._contents.get((slot, number))

    def _vector(self, name: str, key: str) -> Tensor | None:
        if (name, key) not in self._vectors:
            query = "SELECT vector FROM embeddings WHERE encoder = ? AND content = ?"
            for (blob,) in self._run(query, [(name, key)]):
                vector = torch.frombuffer(bytearray(blob), dtype=torch.float32)
                if len(vector) > LARGE:
                    return vector
                self._vectors[name, key] = vector
        return self._vectors.get((name, key))

    def _keep(self, name: str, vectors: dict[str, Tensor]) -> None:
        rows = [(name, key, vector.numpy().tobytes()) for key, vector in vectors.items()]
        self._run("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)", rows)
        # Asked after the file, which is given up if it cannot be written.
        own = {(name, key): vector for key, vector in vectors.items() if not self.path or len(vector) <= LARGE}
        self._vectors |= own

    def _run(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Read from the file or write to it; if that fails, go on without it from here on."""
        if not self.path:
            return []
        try:
            return self._run_in(str(self.path), statement, rows)
        except (sqlite3.Error, OSError) as error:
            warnings.warn(
                f"Expected a file that cache_conditions can use, got {self.path}: {error}; it is left alone from "
                "here on, and conditions are remembered in memory only.",
                stacklevel=6,
            )
            self.path = None
            return []

    def _run_in(self, path: str, statement: str, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        if self._database is None or self._process != os.getpid():  # a connection must not be carried over a fork
            self._close()
            self._database = sqlite3.connect(path, timeout=WAIT_SECONDS, check_same_thread=False)
            self._database.executescript(TABLES)
            self._process = os.getpid()
        if statement.startswith("SELECT"):
            return self._database.execute(statement, rows[0]).fetchall()
        with self._database:
            self._database.executemany(statement, rows)
        return []

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()

    def __del__(self) -> None:
        self._close()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Conditions":
        copied = Conditions(self.path, self.modalities)
        copied._contents, copied._vectors = dict(self._contents), dict(self._vectors)
        memo[id(self)] = copied
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        return Conditions, (self.path, self.modalities)


def as_conditions(cache: "bool | str | Path | Conditions") -> Conditions | None:
    """Read the option ``cache_conditions``: False, True, the path of a file, or an object that metrics share."""
    if isinstance(cache, Conditions):
        return cache
    return Conditions(None if cache is True else cache) if cache else None


def _slot(modality: str, rates: Mapping[str, Any]) -> str:
    """Name where the contents of a modality are kept: frames picked at another rate are other contents."""
    rate = rates.get(modality)
    return modality if rate is None else f"{modality}@{rate:g}"


def _keys(samples: Sequence[Any]) -> list[str | None]:
    hashes = iter(digests([sample for sample in samples if isinstance(sample, Tensor)]))
    return [f"{tuple(sample.shape)} {next(hashes):x}" if isinstance(sample, Tensor) else sample for sample in samples]


def _name(number: int) -> str:
    return repr(int64_to_ids(torch.tensor([number]))[0])
