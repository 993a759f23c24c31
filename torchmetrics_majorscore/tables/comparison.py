"""Tables of generators compared over the clips that they have in common.

A column ``x`` with ``x_low`` and ``x_high`` beside it is a value with its 95 % interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain, combinations, count
from typing import TYPE_CHECKING, Any

import numpy as np

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.statistics.bootstrap import Index, Interval
from torchmetrics_majorscore.statistics.comparison import PairedComparison, compare_pairs
from torchmetrics_majorscore.statistics.means import bootstrap_means
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
        seed: see :func:`.bootstrap_means`.

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
    clips = len(next(iter(common.values())))
    values = {m: [table[name].to_numpy()[common[m]] for name in names] for m, table in tables.items()}
    pairs = list(combinations(values, 2))
    apart = [one - other for a, b in pairs for one, other in zip(values[a], values[b], strict=True)]
    # All at once: however many columns there are, the clips are drawn one time.
    drawn = bootstrap_means([*chain.from_iterable(values.values()), *apart], seed=seed)
    del apart
    of = dict(zip([*values, *pairs], (drawn[k : k + len(names)] for k in count(0, len(names))), strict=False))
    means = [
        {"model": model, "n": clips}
        | {k: v for name, found in zip(names, of[model], strict=True) for k, v in interval_cells(name, found).items()}
        for model in values
    ]
    tests = [
        row
        for k, name in enumerate(names)
        for row in _tests({m: v[k] for m, v in values.items()}, name, {pair: of[pair][k] for pair in pairs})
    ]
    return Comparison(pd.DataFrame(means).set_index("model"), pd.DataFrame(tests), dropped)


def _common(tables: Mapping[str, pd.DataFrame], names: list[str]) -> tuple[dict[str, Index], pd.DataFrame]:
    """Give the rows of each table whose clips have a value everywhere, and why other clips have not: as they occur."""
    import pandas as pd

    first, *others = (table.index for table in tables.values())
    if all(index.equals(first) for index in others):
        numbers, order = np.tile(np.arange(len(first)), len(tables)), first
    else:
        numbers, order = pd.factorize(first.append(others))
    rows, whole = {}, {}
    start = 0
    for model, table in tables.items():
        rows[model] = np.full(len(order), -1)  # -1 for a clip that is not there
        rows[model][numbers[start : start + len(table)]] = np.arange(len(table))
        start += len(table)
        whole[model] = np.ones(len(table), bool)
        for name in names:
            whole[model] &= ~np.isnan(table[name].to_numpy())
    lost = np.flatnonzero(~np.all([np.append(whole[m], False)[rows[m]] for m in tables], axis=0))
    reasons: list[list[str]] = [[] for _ in lost]
    details: list[dict[str, None]] = [{} for _ in lost]
    for model in tables:
        for place in np.flatnonzero(rows[model][lost] < 0):
            reasons[place].append(f"not in {model}")
    for model, table in tables.items():
        without = np.flatnonzero((rows[model][lost] >= 0) & ~np.append(whole[model], False)[rows[model][lost]])
        errors = table["error"].iloc[rows[model][lost[without]]]
        for place, error in zip(without, errors, strict=True):
            reasons[place].append(f"no value in {model}")
            details[place] |= {error: None} if error else {}
    if len(lost) == len(order):
        raise ValueError(f"Expected clips with values in all of {', '.join(tables)}, got none of {len(order)}.")
    dropped = pd.DataFrame({"reason": map("; ".join, reasons), "detail": map("; ".join, details)}, dtype=object)
    dropped = dropped.set_axis(pd.Index(order[lost], name="id"))
    return {model: np.delete(own, lost) for model, own in rows.items()}, dropped


def _tests(
    values: Mapping[str, Any], name: str, differences: Mapping[tuple[str, str], Interval]
) -> list[dict[str, Any]]:
    """Give the rows of all pairs of generators in one column."""
    return [
        {"column": name, "a": a, "b": b, "n": pair.difference.n}
        | interval_cells("a_minus_b", pair.difference)
        | {test: getattr(pair, test) for test in TESTS}
        for (a, b), pair in compare_pairs(values, differences=differences).items()
    ]
