"""The figures of a page, as SVG elements in its text colour."""

import io
import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.report import figures
from torchmetrics_majorscore.report.summary import BASELINE, COMBINED, give_bars, give_pairs
from torchmetrics_majorscore.statistics.bootstrap import Interval
from torchmetrics_majorscore.tables.pairs import anchored, find_pairs

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

RASTER_DPI = 150
CAPTIONS = {
    "similarities": ("Distributions of the similarities", "Histograms; a triangle marks each mean."),
    "baseline": ("Distributions of the baseline", "CLIP's and CLAP's cosines, each in its own space."),
    "means": (
        "Means",
        "With 95 % intervals; higher is better. Products have a scale of their own, on the left. The numbers are in "
        "the summary.",
    ),
    "plane": (
        "Similarity plane",
        "Each clip by its {} and {} similarity. On the dashed line the two are equal (fair); up and to the right both "
        "are high.",
    ),
    "sorted": ("Sorted scores", "Each model's clips from its lowest MAJORScore average to its highest."),
}


def draw_figures(
    tables: Mapping[str, "pd.DataFrame"], means: Mapping[str, Mapping[str, Interval]], models: list[str]
) -> list[dict[str, str]]:
    """Draw what a page shows.

    Args:
        tables: name to table, see :func:`.read_scores`.
        means: of each table, see :func:`.give_means`.
        models: the names of those tables that are of models, for the curves.

    Returns:
        ``name``, ``title``, ``caption`` and ``svg`` of each figure.
    """
    first = next(iter(tables.values()))
    pairs, own = give_pairs(first), anchored(find_pairs(first))
    shown = pairs if len(pairs) <= len(figures.COLORS) else {column: pairs[column] for column in own}
    drawn = {"similarities": figures.render_distributions(_columns(tables, shown))}
    if baseline := {name: table for name, table in tables.items() if set(BASELINE) <= set(table)}:
        drawn["baseline"] = figures.render_distributions(_columns(baseline, BASELINE))
    drawn["means"] = figures.render_means(give_bars(means))
    texts = dict(CAPTIONS)
    for number, other in enumerate(own[1:]):  # the first pair against each other; of three modalities there is one
        name, axes = f"plane{number + 1 if number else ''}", (pairs[own[0]], pairs[other])
        points = {title: (table[own[0]], table[other]) for title, table in tables.items()}
        drawn[name], (title, caption) = figures.render_plane(points, axes), CAPTIONS["plane"]
        if any(len(table) > figures.POINTS for table in tables.values()):
            caption += f" Of more than {figures.POINTS} clips, so many are drawn at random."
        texts[name] = (title if len(own) == 2 else f"{title}: {' and '.join(axes)}", caption.format(*axes))
    if len(models) > 1:
        curves = {name: tables[name]["majorscore_average"] for name in models}
        drawn["sorted"] = figures.render_sorted(curves, COMBINED["majorscore_average"])
    return [
        {"name": name, "title": texts[name][0], "caption": texts[name][1], "svg": render_svg(figure, name)}
        for name, figure in drawn.items()
    ]


def render_svg(figure: "Figure", prefix: str) -> str:
    """Render a figure as an SVG element to stand in an HTML page, in the page's text colour and without background.

    Args:
        figure: a figure of :mod:`.figures`.
        prefix: put before every id, since all pictures of a page share one set of ids.

    Returns:
        ``<svg ...>...</svg>``; equal figures give equal text.
    """
    import matplotlib

    buffer = io.StringIO()
    unset = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "majorscore"}), warnings.catch_warnings():
        # The browser has letters that Matplotlib's font lacks.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(buffer, format="svg", transparent=True, dpi=RASTER_DPI, metadata=unset)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(figures.INK, "currentColor")
    return re.sub(r'(\sid="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)


def _columns(tables: Mapping[str, Any], titles: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    return {name: {title: table[column] for column, title in titles.items()} for name, table in tables.items()}
