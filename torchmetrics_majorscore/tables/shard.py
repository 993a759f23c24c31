"""A part of a manifest that one of several processes scores: its name, its table, and the mark that it is finished."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torchmetrics_majorscore.tables.write import summary_path

T = TypeVar("T")

NAME = re.compile(r"(\d{5,})-of-(\d{5,})\.csv")


@dataclass(frozen=True)
class Shard:
    """Every ``count``-th clip, from the one at ``index`` on.

    Args:
        index: counted from 0, below ``count``.
        count: how many shards there are.

    Example:
        >>> shard = Shard.parse("1/3")
        >>> shard.of("abcdefgh"), shard.table(Path("scores")).name
        ('beh', '00001-of-00003.csv')
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            last = f"{max(self.count, 1) - 1}/{max(self.count, 1)}"
            raise ValueError(f"Expected a shard from 0/{max(self.count, 1)} to {last}, got {self}; they count from 0.")

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read ``INDEX/COUNT``."""
        if not (found := re.fullmatch(r"(\d+)/(\d+)", text)):
            raise ValueError(f"Expected a shard like 3/64, got {text!r}.")
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def of_rank(cls, environment: Mapping[str, str]) -> "Shard | None":
        """Give the shard of a process that torchrun has started; None for any other."""
        if "TORCHELASTIC_RUN_ID" not in environment:
            return None
        return cls(int(environment["RANK"]), int(environment["WORLD_SIZE"]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def table(self, folder: Path) -> Path:
        """Give the place of its table."""
        return folder / f"{self.index:05}-of-{self.count:05}.csv"

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """Take its items."""
        return items[self.index :: self.count]


def read_mark(table: Path) -> dict[str, Any] | None:
    """Read the mark of a finished shard, which is the summary beside its table.

    Args:
        table: of the shard.

    Returns:
        The summary, whose entries ``shard``, ``manifest`` (a digest), ``of`` (its clips) and ``sources`` (a digest of
        what the shard's rows depend on) are the mark; None if the shard was begun at most.
    """
    try:
        found = json.loads(summary_path(table).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) and "shard" in found and table.is_file() else None
