"""DataFrames as Markdown or LaTeX (booktabs) for papers, or as CSV.

Columns ``x``, ``x_low`` and ``x_high`` become one column of cells like ``0.5 [0.4, 0.6]`` in Markdown and LaTeX; CSV
keeps all three in full precision.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from torchmetrics_majorscore.media.cells import neutral

if TYPE_CHECKING:
    import pandas as pd

    from torchmetrics_majorscore.statistics.bootstrap import Interval

Format = Literal["markdown", "latex", "csv"]
FORMATS: tuple[Format, ...] = ("markdown", "latex", "csv")

_LATEX = str.maketrans(
    {character: rf"\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
    # A row that starts with [ would be an argument of the \\ before it.
    | {"[": "{[}", "\n": " "}
)
# An underscore inside a word is one already.
_MARKDOWN = re.compile(r"[\\`*|<\[]|(?<![^\W_])_|_(?![^\W_])")


def interval_cells(name: str, interval: Interval) -> dict[str, float]:
    """Give the three cells of a value with its interval."""
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def render_table(
    frame: pd.DataFrame, form: Format = "markdown", best: Mapping[str, str] | None = None, digits: int = 4
) -> str:
    r"""Render a DataFrame, with its index as the first columns.

    Args:
        frame: the table.
        form: ``"markdown"``, ``"latex"`` (needs ``\usepackage{booktabs}``) or ``"csv"``.
        best: columns whose best values are bold, with ``"max"`` or ``"min"``; not in CSV.
        digits: digits behind the point; not in CSV.

    Returns:
        Lines, each with its end. A missing value is ``n/a``, in CSV an empty cell; no cell of a CSV is a formula to a
        spreadsheet, see :func:`.neutral`.

    Raises:
        ValueError: there is no such format.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"model": ["a", "b"], "x": [0.25, 0.5]}).set_index("model")
        >>> print(render_table(frame, "latex", {"x": "max"}, digits=2), end="")
        \begin{tabular}{lr}
        \toprule
        model & x \\
        \midrule
        a & 0.25 \\
        b & \textbf{0.50} \\
        \bottomrule
        \end{tabular}
    """
    if form not in FORMATS:
        raise ValueError(f"Expected a format out of {', '.join(FORMATS)}, got {form!r}.")
    named = frame.index.names != [None]
    table = frame.reset_index() if named else frame
    if form == "csv":
        table = table.map(lambda cell: neutral(cell) if isinstance(cell, str) else cell)
        return str(table.to_csv(index=False, lineterminator="\n"))
    ends = [f"{name}_{end}" for name in table for end in ("low", "high")]
    columns = [name for name in table if name not in ends]
    cells = [_column(table, name, form, (best or {}).get(name), digits) for name in columns]
    header = [_escape(str(name), form) for name in columns]
    numbers = [table[name].dtype.kind in "iuf" for name in columns]
    rows = [list(row) for row in zip(*cells, strict=True)]
    return _latex(header, rows, numbers) if form == "latex" else _markdown(header, rows, numbers)


def _column(table: pd.DataFrame, name: str, form: Format, best: str | None, digits: int) -> list[str]:
    values = table[name].tolist()
    texts = [_cell(value, form, digits) for value in values]
    if best is not None:
        top = table[name].max() if best == "max" else table[name].min()
        bold = r"\textbf{%s}" if form == "latex" else "**%s**"
        texts = [bold % text if value == top else text for text, value in zip(texts, values, strict=True)]
    if not {f"{name}_low", f"{name}_high"} <= set(table):
        return texts
    ends = zip(
        *([_cell(end, form, digits) for end in table[f"{name}_{side}"]] for side in ("low", "high")), strict=True
    )
    # What is no mean has no interval.
    return [
        text if low == high == "n/a" else f"{text} [{low}, {high}]"
        for text, (low, high) in zip(texts, ends, strict=True)
    ]


def _cell(value: Any, form: Format, digits: int) -> str:
    if not isinstance(value, (int, float)):
        return _escape("n/a" if value is None or str(value) in ("<NA>", "nan") else str(value), form)
    if math.isnan(value):
        return "n/a"
    text = f"{value:.{digits}f}" if isinstance(value, float) else str(value)
    if value and not float(text):
        text = f"{value:.1e}"
    return text.replace("-", "$-$") if form == "latex" else text


def _escape(text: str, form: Format) -> str:
    if form == "latex":
        return text.translate(_LATEX)
    return _MARKDOWN.sub(lambda found: "\\" + found[0], text.replace("\n", " "))


def _latex(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[bool]) -> str:
    lines = [f"{' & '.join(row)} \\\\" for row in (header, *rows)]
    columns = "".join("r" if number else "l" for number in numbers)
    body = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
    return "\n".join([*body, r"\end{tabular}", ""])


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[bool]) -> str:
    rule = ["---:" if number else "---" for number in numbers]
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, rule, *rows))
