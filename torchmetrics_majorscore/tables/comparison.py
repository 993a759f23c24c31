"""Tables of generators compared over the clips that they have in common.

A column ``x`` with ``x_low`` and ``x_high`` beside it is a value with its 95 % interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.statistics.bootstrap import bootstrap
from torchmetrics_majorscore.statistics.comparison import PairedComparison, compare_pairs
from torchmetrics_majorscore.tables.read import require_columns, value_columns
from torchmetrics_majorscore.tables.render import interval_cells

if TYPE_CHECKING:
    import pandas as pd

TESTS = [field.name for field in fields(PairedComparison) if field.name != "difference"]


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare_models` finds.

    Args:
        means: a row per generator: ``n`` common clips, and the mean of each column with its interval.
        tests: a row per column and pair of generators a and b, in the order of the tables: ``a_minus_b``, the mean of
            the differences, with its paired bootstrap interval, and the tests of :class:`.PairedComparison`, corrected
            over the pairs of a column.
        dropped: a row per clip that is not common to all: its ``reason`` and ``detail``.
    """

    means: pd.DataFrame
    tests: pd.DataFrame
    dropped: pd.DataFrame


def compare_models(
    tables: Mapping[str, pd.DataFrame], columns: Sequence[str] | None = None, seed: int = 0
) -> Comparison:
    """Compare generators over the clips that have a value of every column from each of them.

    Args:
        tables: generator to its table, see :func:`.read_tables`.
        columns: value columns to compare; None for those of the first table.
        seed: see :func:`.bootstrap`.

    Returns:
        Means, tests and dropped clips.

    Raises:
        ValueError: no clip is common to all, a table lacks a column, or a value is infinite.
        ModuleNotFoundError: pandas or SciPy is missing.
    """
    needs_extra("pandas", "evaluation")
    import pandas as pd

    if not tables:
        raise ValueError("Expected at least one table, got none.")
    names = list(columns or value_columns(next(iter(tables.values()))))
    for table in tables.values():
        require_columns(table, names)
    common, dropped = _common(tables, names)
    values = {model: table.loc[common, names] for model, table in tables.items()}
    means = [
        {"model": model, "n": len(common)}
        | {k: v for name in names for k, v in interval_cells(name, bootstrap(np.mean, table[name], seed=seed)).items()}
        for model, table in values.items()
    ]
    tests = [row for name in names for row in _tests({m: v[name].to_numpy() for m, v in values.items()}, name, seed)]
    return Comparison(pd.DataFrame(means).set_index("model"), pd.DataFrame(tests), dropped)


def _common(tables: Mapping[str, pd.DataFrame], names: list[str]) -> tuple[list[str], pd.DataFrame]:
    import pandas as pd

    missing = {model: table[names].isna().any(axis=1).to_dict() for model, table in tables.items()}
    common, rows = [], []
    for clip in dict.fromkeys(clip for table in tables.values() for clip in table.index):
        absent = [model for model in tables if clip not in missing[model]]
        without = [model for model in tables if missing[model].get(clip)]
        if not absent and not without:
            common.append(clip)
            continue
        reasons = [f"not in {model}" for model in absent] + [f"no value in {model}" for model in without]
        details = dict.fromkeys(tables[model].at[clip, "error"] for model in without)
        rows.append({"id": clip, "reason": "; ".join(reasons), "detail": "; ".join(filter(None, details))})
    if not common:
        raise ValueError(f"Expected clips with values in all of {', '.join(tables)}, got none of {len(rows)}.")
    return common, pd.DataFrame(rows, columns=["id", "reason", "detail"]).set_index("id")


def _tests(values: Mapping[str, Any], name: str, seed: int) -> list[dict[str, Any]]:
    """Give the rows of all pairs of generators in one column."""
    return [
        {"column": name, "a": a, "b": b, "n": pair.difference.n}
        | interval_cells("a_minus_b", pair.difference)
        | {test: getattr(pair, test) for test in TESTS}
        for (a, b), pair in compare_pairs(values, seed).items()
    ]
