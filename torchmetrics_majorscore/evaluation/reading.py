"""Tables of ``majorscore score``, read back for statistics and figures."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from torchmetrics_majorscore.extras import needs_extra

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
    "similarity_video_text",
    "similarity_video_audio",
    "similarity_text_audio",
    "majorscore_sum",
    "majorscore_product",
    "majorscore_average",
    "fairscore",
)
BASELINE = ("clipscore", "clapscore")


@dataclass(frozen=True)
class Scores:
    """A table that ``majorscore score`` wrote.

    Attributes:
        name: tells it apart from the tables read with it; comes from the path.
        frame: one row per clip, its index the ids; ``COLUMNS`` and, if there, ``BASELINE`` in float64, a missing value
            is NaN; ``error`` is a string.
        signature: every choice that moves a value.
        seeded: whether the weights were random numbers, so that the scores mean nothing.
    """

    name: str
    frame: "DataFrame"
    signature: str
    seeded: bool


def read_tables(paths: Sequence[Path], mispaired: Path | None = None) -> tuple[list[Scores], Scores | None]:
    """Read tables that are to be compared, in their order.

    Args:
        paths: CSV files, each with the JSON summary that was written beside it. A table may still be growing.
        mispaired: table of the first table's clips with captions of other clips, or None.

    Returns:
        The tables, named by the part of their paths that tells them apart; and the mispaired one.

    Raises:
        FileNotFoundError: a table or its summary does not exist.
        ModuleNotFoundError: pandas is missing.
        ValueError: no table, one table twice, a table with other columns, ids that repeat, a value that is no finite
            number, or tables with different signatures.
    """
    needs_extra("pandas", "evaluation")
    every = [*paths, *([mispaired] if mispaired else [])]
    places = [Path(path).resolve() for path in every]
    if not paths or len(set(places)) < len(places):
        raise ValueError(f"Expected one or more different tables, got {', '.join(map(str, every)) or 'none'}.")
    names = _names(places[: len(paths)])
    tables = [_read(Path(p), name) for p, name in zip(every, [*names, f"{names[0]} (mispaired)"], strict=False)]
    for path, table in zip(every, tables, strict=True):
        if table.signature != tables[0].signature:
            one, other = f"{tables[0].signature} in {every[0]}", f"{table.signature} in {path}"
            raise ValueError(f"Expected tables with one signature, got {one} and {other}; they do not compare.")
    return tables[: len(paths)], tables[-1] if mispaired else None


def _names(places: Sequence[Path]) -> list[str]:
    """Name ``ours/scores.csv`` and ``theirs/scores.csv`` ``ours`` and ``theirs``."""
    parts = [(*place.parts[:-1], place.name.removesuffix(".csv")) for place in places]
    while len(parts) > 1 and len({part[-1] for part in parts}) == 1:
        parts = [part[:-1] for part in parts]
    depth = next(depth for depth in count(1) if len({part[-depth:] for part in parts}) == len(parts))
    return ["/".join(part[-depth:]) for part in parts]


def _read(path: Path, name: str) -> Scores:
    import pandas as pd

    text = path.read_bytes().decode("utf-8", errors="ignore")
    summary = path.with_suffix(".json")
    if not summary.is_file():
        raise FileNotFoundError(f"Expected the summary {summary}, which holds the signature, beside {path}, got none.")
    about = json.loads(summary.read_text(encoding="utf-8"))
    # What follows the last newline was cut off while it was written.
    lines = text[: text.rfind("\n") + 1]
    frame = pd.read_csv(io.StringIO(lines or "id\n"), dtype=str, keep_default_na=False)
    if missing := [column for column in ("id", *COLUMNS, "error") if column not in frame.columns]:
        raise ValueError(f"Expected a table of majorscore score, got {path} without {', '.join(missing)}.")
    if (repeated := frame["id"].duplicated()).any():
        raise ValueError(f"Expected unique ids in {path}, got {frame['id'][repeated].iloc[0]!r} twice.")
    for column in frame.columns.intersection([*COLUMNS, *BASELINE]):
        values = pd.to_numeric(frame[column], errors="coerce").astype("float64")
        if (wrong := (frame[column] != "") & ~values.between(-10, 10)).any():
            raise ValueError(f"Expected scores in column {column} of {path}, got {frame[column][wrong].iloc[0]!r}.")
        frame[column] = values
    return Scores(name, frame.set_index("id"), str(about.get("signature")), bool(about.get("seeded")))
