"""Tables of generators compared over the clips that they have in common.

A column ``x`` with ``x_low`` and ``x_high`` beside it is a value with its 95 % interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain, combinations, count
from typing import TYPE_CHECKING, Any

import numpy as np

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.statistics.bootstrap import Interval
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
    values = {model: table.loc[common, names].to_numpy().T for model, table in tables.items()}
    pairs = list(combinations(values, 2))
    # All at once: however many columns there are, the clips are drawn one time.
    drawn = bootstrap_means(np.concatenate([*values.values(), *(values[a] - values[b] for a, b in pairs)]), seed=seed)
    of = dict(zip([*values, *pairs], (drawn[k : k + len(names)] for k in count(0, len(names))), strict=False))
    means = [
        {"model": model, "n": len(common)}
        | {k: v for name, found in zip(names, of[model], strict=True) for k, v in interval_cells(name, found).items()}
        for model in values
    ]
    tests = [
        row
        for k, name in enumerate(names)
        for row in _tests({m: v[k] for m, v in values.items()}, name, {pair: of[pair][k] for pair in pairs})
    ]
    return Comparison(pd.DataFrame(means).set_index("model"), pd.DataFrame(tests), dropped)


def _common(tables: Mapping[str, pd.DataFrame], names: list[str]) -> tuple[pd.Index[str], pd.DataFrame]:
    """Give the clips that have a value everywhere, and say why the others have not, both as they first occur."""
    import pandas as pd

    order = pd.Index(dict.fromkeys(chain.from_iterable(table.index for table in tables.values())), dtype=object)
    complete = np.ones(len(order), bool)
    states = {}
    for model, table in tables.items():
        # 1 for a clip with all values, 0 for one without, NaN for none.
        states[model] = (~table[names].isna().any(axis=1)).astype(float).reindex(order)
        complete &= states[model].to_numpy() == 1
    rows = []
    for clip in order[~complete]:
        absent = [model for model in tables if math.isnan(states[model][clip])]
        without = [model for model in tables if states[model][clip] == 0]
        reasons = [f"not in {model}" for model in absent] + [f"no value in {model}" for model in without]
        details = dict.fromkeys(tables[model].at[clip, "error"] for model in without)
        rows.append({"id": clip, "reason": "; ".join(reasons), "detail": "; ".join(filter(None, details))})
    if not complete.any():
        raise ValueError(f"Expected clips with values in all of {', '.join(tables)}, got none of {len(rows)}.")
    return order[complete], pd.DataFrame(rows, columns=["id", "reason", "detail"]).set_index("id")


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
