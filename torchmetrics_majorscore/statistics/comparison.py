"""Generators compared over the clips they have in common (the VITAS protocol of MAJORScore, III-A).

A column ``x`` with ``x_low`` and ``x_high`` beside it is a value with its 95 % interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.statistics.consistency import ROUNDING, Array, Interval, bootstrap
from torchmetrics_majorscore.tables.read import require_columns, value_columns

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare_models` finds.

    Args:
        means: a row per generator: ``n`` common clips, and the mean of each column with its interval.
        tests: a row per column and pair of generators a and b: ``difference``, the mean of a - b, with its paired
            bootstrap interval; ``t``, ``p_t`` of the paired t test and ``wilcoxon``, ``p_wilcoxon`` of the signed-rank
            test, two-sided; ``p_t_holm`` and ``p_wilcoxon_holm``, corrected over the pairs of a column.
        dropped: a row per clip that is not common to all: its ``reason`` and ``detail``.
    """

    means: pd.DataFrame
    tests: pd.DataFrame
    dropped: pd.DataFrame


def compare_models(
    tables: Mapping[str, pd.DataFrame], columns: Sequence[str] | None = None, seed: int = 0
) -> Comparison:
    """Compare generators over the clips that have a value of every column from each of them.

    Source: Du et al., "MAJORScore", III-A, which gives no intervals and no tests. Holm, "A Simple Sequentially
    Rejective Multiple Test Procedure", 1979.

    Args:
        tables: generator to its table, see :func:`.read_tables`.
        columns: value columns to compare; None for those of the first table.
        seed: see :func:`.bootstrap`.

    Returns:
        Means, tests and dropped clips. What the clips do not determine is NaN: an interval or a test of one clip, a t
        test of differences without variance, a signed-rank test of differences that are all 0.

    Raises:
        ValueError: no clip is common to all, a table lacks a column, or a value is infinite.
        ModuleNotFoundError: pandas or SciPy is missing.
    """
    needs_extra("pandas", "evaluation")
    needs_extra("scipy", "evaluation")
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


def holm(p_values: ArrayLike) -> Array:
    """Correct P values of m tests: of the sorted ones, max over j <= i of min(1, (m - j + 1) p_j).

    Args:
        p_values: shape (m,), in [0, 1]. A NaN stays NaN and does not count.

    Returns:
        Corrected values, float64, shape (m,).

    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(p.shape, math.nan)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(order.size, 0, -1)))
    return corrected


def interval_cells(name: str, interval: Interval) -> dict[str, float]:
    """Give the three cells of a value with its interval."""
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


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


def _tests(values: Mapping[str, Array], name: str, seed: int) -> list[dict[str, Any]]:
    """Test all pairs of generators in one column."""
    rows: list[dict[str, Any]] = []
    for a, b in combinations(values, 2):
        interval = bootstrap(np.mean, values[a] - values[b], seed=seed)
        row = {"column": name, "a": a, "b": b, "n": interval.n, **interval_cells("difference", interval)}
        rows.append(row | _paired(values[a], values[b]))
    for test in ("p_t", "p_wilcoxon"):
        for row, corrected in zip(rows, holm([row[test] for row in rows]), strict=True):
            row[f"{test}_holm"] = float(corrected)
    return rows


def _paired(a: Array, b: Array) -> dict[str, float]:
    from scipy import stats

    found = dict.fromkeys(("t", "p_t", "wilcoxon", "p_wilcoxon"), math.nan)
    differences = a - b
    if differences.size < 2:
        return found
    # Equal differences leave a rounding error for a spread, and t would be its reciprocal.
    if differences.std() > ROUNDING * np.abs([a, b]).max():
        t = stats.ttest_rel(a, b)
        found |= {"t": float(t.statistic), "p_t": float(t.pvalue)}
    if differences.any():
        ranks = stats.wilcoxon(a, b)
        found |= {"wilcoxon": float(ranks.statistic), "p_wilcoxon": float(ranks.pvalue)}
    return found
