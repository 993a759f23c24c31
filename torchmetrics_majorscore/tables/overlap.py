"""A table of what test lists share with training lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.statistics.overlap import id_parts, overlap

if TYPE_CHECKING:
    import pandas as pd


def list_overlaps(
    tests: Mapping[str, Sequence[str]], trainings: Mapping[str, Sequence[str]], pattern: str | None = None
) -> pd.DataFrame:
    r"""Count the clips of test lists that are also in training lists (MMAudio, supplement, Table A4).

    Args:
        tests: name of a list to its ids.
        trainings: the same, for the columns.
        pattern: the part of an id to compare, see :func:`.id_parts`; None for the whole id.

    Returns:
        One row per test list with ``n``, its number of different clips, and for each training list
        ``overlap (share of the test list)``, "-" for a list and itself.

    Raises:
        ValueError: the pattern is no regular expression or does not fit one of the ids.
        ModuleNotFoundError: pandas is missing.

    Example:
        >>> list_overlaps({"test": ["a_1", "b_1"]}, {"train": ["b_2", "c_2"]}, "^(.)_").loc["test"].astype(str).tolist()
        ['2', '1 (50.0%)']
    """
    needs_extra("pandas", "evaluation")
    import pandas as pd

    known, columns = (
        {name: ids if pattern is None else id_parts(ids, pattern) for name, ids in lists.items()}
        for lists in (tests, trainings)
    )
    rows: dict[str, dict[str, int | str]] = {}
    for test, own in known.items():
        rows[test] = {"n": overlap(own, ()).n}
        for training, theirs in columns.items():
            found = overlap(own, theirs)
            share = f"{100 * found.shared / found.n:.1f}%" if found.n else "undefined"
            rows[test][training] = "-" if training == test else f"{found.shared} ({share})"
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("test")
