"""Per-clip tables that ``majorscore score`` wrote, as pandas DataFrames indexed by clip id, with their signature."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.tables.parquet import is_parquet, read_parquet, read_summary
from torchmetrics_majorscore.tables.plain import read_plain
from torchmetrics_majorscore.tables.write import WORDS, parse_rows, summary_path

if TYPE_CHECKING:
    import pandas as pd

LOWER_IS_BETTER = frozenset({"fairscore"})
MEANINGLESS = "These scores mean nothing: the weights are seeded random numbers."


def is_seeded(signature: str) -> bool:
    """Tell from a signature whether an encoder's weights were random numbers."""
    return "-seeded@" in signature


def name_tables(arguments: Sequence[str]) -> dict[str, Path]:
    """Give the name and the file of each ``TABLE`` or ``NAME=TABLE``.

    Args:
        arguments: tables without a name are named by the part of their paths that tells them apart: ``a.csv`` and
            ``b.csv`` are ``a`` and ``b``, ``ours/scores.csv`` and ``theirs/scores.csv`` are ``ours`` and ``theirs``.

    Returns:
        Name to file, in the order given.

    Raises:
        ValueError: a table or a name is there twice.
    """
    split = [("", a) if Path(a).exists() else a.rpartition("=")[::2] for a in arguments]
    files = [Path(file) for _, file in split]
    parts = [(*place.parts[:-1], place.stem) for place in (file.resolve() for file in files)]
    if len(set(parts)) < len(parts):
        raise ValueError(f"Expected different tables, got {', '.join(arguments)}.")
    while len(parts) > 1 and len({part[-1] for part in parts}) == 1:
        parts = [part[:-1] for part in parts]
    depth = next(depth for depth in count(1) if len({part[-depth:] for part in parts}) == len(parts))
    names = [name or "/".join(part[-depth:]) for (name, _), part in zip(split, parts, strict=True)]
    if len(set(names)) < len(names):
        raise ValueError(f"Expected different names, got {', '.join(names)}; name tables like NAME=TABLE.")
    return dict(zip(names, files, strict=True))


def read_tables(paths: Mapping[str, str | Path]) -> tuple[dict[str, pd.DataFrame], str]:
    """Read tables that are to be compared.

    Args:
        paths: name, for example of a generator, to its file.

    Returns:
        Name to DataFrame, see :func:`read_scores`, and the signature of all of them.

    Raises:
        ValueError: two tables have different signatures, or one cannot be used.
        FileNotFoundError: a table or the JSON file beside it is missing.
        ModuleNotFoundError: pandas is missing.
    """
    tables, signatures = {}, {}
    for name, path in paths.items():
        tables[name], signatures[name] = read_scores(path)
    for name, signature in signatures.items():
        first = next(iter(signatures))
        if signature != signatures[first]:
            got = f"{signatures[first]} in {paths[first]} and {signature} in {paths[name]}"
            raise ValueError(f"Expected tables of one signature, got {got}.")
    return tables, next(iter(signatures.values()), "")


def read_scores(path: str | Path) -> tuple[pd.DataFrame, str]:
    """Read a table and its signature.

    Args:
        path: CSV file of ``majorscore score`` (or with ``id``, values and ``error`` alone), with the JSON file beside
            it that holds the signature; or a ``.parquet`` file of ``score`` or ``merge``, whose values are float32.

    Returns:
        A DataFrame with the index ``id``, a float64 column for each value (an empty cell is NaN) and the strings
        ``remarks`` and ``error``; and the signature.

    Raises:
        ValueError: an id is there twice, a cell is no finite number, or a row was cut off.
        FileNotFoundError: the table or the JSON file beside it is missing.
        ModuleNotFoundError: pandas is missing, or pyarrow for a ``.parquet`` file.
    """
    needs_extra("pandas", "evaluation")
    import numpy as np

    path = Path(path)
    frame, signature = _read_parquet(path) if is_parquet(path) else _read_csv(path)
    if not frame["id"].is_unique:
        raise ValueError(f"Expected unique ids in {path}, got {frame['id'][frame['id'].duplicated()].iloc[0]!r} twice.")
    frame = frame.set_index("id")
    frame["remarks"] = frame.get("remarks", "")
    for name in value_columns(frame):
        try:
            if frame[name].dtype.kind == "O":
                frame[name] = [cell or "nan" for cell in frame[name]]
            frame[name] = frame[name].astype("float64")
        except ValueError as error:
            raise ValueError(f"Expected numbers in column {name} of {path}, got: {error}.") from error
        if np.isinf(frame[name].to_numpy()).any():
            raise ValueError(f"Expected finite numbers in column {name} of {path}, got an infinite one.")
    return frame, signature


def value_columns(frame: pd.DataFrame) -> list[str]:
    """Give the names of a table's value columns."""
    return [name for name in frame if name not in WORDS]


def require_columns(frame: pd.DataFrame, columns: list[str]) -> None:
    """Raise ValueError unless a table has these value columns."""
    if unknown := [name for name in columns if name not in value_columns(frame)]:
        raise ValueError(f"Expected columns out of {', '.join(value_columns(frame))}, got {', '.join(unknown)}.")


def _read_parquet(path: Path) -> tuple[pd.DataFrame, str]:
    if not path.is_file():
        raise FileNotFoundError(f"Expected a table of majorscore score, got no {path}.")
    return read_parquet(path), str(read_summary(path)["signature"])


def _read_csv(path: Path) -> tuple[pd.DataFrame, str]:
    import pandas as pd

    summary = summary_path(path)
    for file in (path, summary):
        if not file.is_file():
            again = "; the same majorscore score again writes it anew" if file is summary else ""
            raise FileNotFoundError(f"Expected a table of majorscore score and its .json, got no {file}{again}.")
    frame = _read_plain(path)
    if frame is None:
        header, rows = _read_cells(path)
        frame = pd.DataFrame(rows, columns=header, dtype=object).drop(columns="source", errors="ignore")
    return frame, _signature(summary)


def _read_plain(path: Path) -> pd.DataFrame | None:
    """Read a table with Arrow's parser; None of one that :func:`_read_cells` has to read, or to explain."""
    found = read_plain(path, lambda name: name not in ("id", *WORDS))
    if found is None or not {"id", "error"} <= set(found.column_names):
        return None
    frame: pd.DataFrame = found.drop_columns([name for name in found.column_names if name == "source"]).to_pandas()
    return frame


def _read_cells(path: Path) -> tuple[list[str], list[list[str]]]:
    text = path.read_bytes().decode("utf-8-sig", errors="surrogateescape")
    rows = parse_rows(text, path)
    if not rows or "id" not in rows[0] or "error" not in rows[0] or len(set(rows[0])) < len(rows[0]):
        raise ValueError(f"Expected a table with unique columns id, ..., error, got {path}.")
    # A cut-off number would still be a number.
    if not text.endswith("\n") or any(len(row) != len(rows[0]) for row in rows):
        raise ValueError(f"Expected whole rows in {path}, got one cut off; majorscore score repairs it.")
    return rows[0], rows[1:]


def _signature(path: Path) -> str:
    again = "the same majorscore score again writes it anew"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"Expected JSON in {path}, got: {error}; {again}.") from error
    signature = summary.get("signature") if isinstance(summary, dict) else None
    if not isinstance(signature, str):
        raise ValueError(f"Expected a signature in {path}, got none.")
    return signature
