"""Figures of per-clip values: distributions, means, similarity plane, sorted curves.

Every function gives a ``matplotlib.figure.Figure``: ``figure.savefig("plane.png")`` or ``"plane.svg"`` writes a file,
:func:`render_svg` a picture for a page. Values are float64 after conversion, of any shape (N,); NaN is left out.
"""

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.statistics.bootstrap import Array, Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Text and axes: nearly black in files; a page replaces exactly this colour by its own text colour.
INK = "#1b1f24"
# Each has a contrast of 3 or more to white and to the dark page.
COLORS = ("#3d85c6", "#d0702a", "#2f9e6b", "#a06cd5", "#c2558f", "#8a8f2a")
# Lines and points differ in more than colour.
LINES = ("-", "--", ":", "-.")
HATCHES = ("", "///", "...", "xxx")
MARKERS = ("o", "x", "^", "s", "+", "v")
WIDTH = 4.2  # inches: on a phone the text is then about as large as that of the page
LONGEST_NAME = 36  # characters of a legend's entry
CURVE_POINTS = 400
RASTER_DPI = 150


def render_distributions(panels: Mapping[str, Mapping[str, ArrayLike]], label: str = "similarity") -> "Figure":
    """Draw histograms, one panel below the other on one axis; a tick marks each mean.

    Source: Du et al., "MAJORScore", Fig. 2: consistent captions above, mispaired captions below.

    Args:
        panels: title of each panel to its series: name, for example ``"video-text"``, to values (N,).
        label: of the horizontal axis.

    Returns:
        The figure; a series without values is left out.

    Raises:
        ModuleNotFoundError: Matplotlib is missing.
    """
    with _figure(0.5 + 1.75 * max(1, len(panels))) as figure:
        grid = figure.subplots(max(1, len(panels)), 1, sharex=True, squeeze=False)
        edges = _edges([_finite(values) for series in panels.values() for values in series.values()])
        for axes, (title, series) in zip(grid[:, 0], panels.items(), strict=False):
            for number, (name, values) in enumerate(series.items()):
                _histogram(axes, _finite(values), edges, _name(name), number)
            axes.set_title(_name(title), loc="left", fontsize=9)
            axes.set_ylabel("density")
        grid[-1, 0].set_xlabel(label)
        _legend(figure, *grid[:, 0])
    return figure


def render_means(bars: Mapping[str, Mapping[str, Interval]], label: str = "mean") -> "Figure":
    """Draw a bar with its interval for each mean, in groups.

    Source: Du et al., "MAJORScore", Fig. 3: product, sum and average of consistent and mispaired clips.

    Args:
        bars: name of each series to its bars: group, for example ``"sum"``, to mean and interval.
        label: of the vertical axis.

    Returns:
        The figure.

    Raises:
        ModuleNotFoundError: Matplotlib is missing.
    """
    groups = list(dict.fromkeys(group for series in bars.values() for group in series))
    width = 0.8 / max(1, len(bars))
    with _figure(3.2) as figure:
        axes = figure.subplots()
        for number, (name, series) in enumerate(bars.items()):
            value, low, high = np.array([[i.value, i.low, i.high] for i in (series[group] for group in groups)]).T
            # The percentiles of few clips may leave out the mean itself.
            errors = np.maximum([value - low, high - value], 0).tolist()
            x = np.arange(len(groups)) + (number + 0.5) * width - 0.4
            color, hatch = COLORS[number % len(COLORS)], HATCHES[number % len(HATCHES)]
            look: dict[str, Any] = {"color": color, "hatch": hatch, "edgecolor": "#ffffff99", "linewidth": 0}
            look |= {"ecolor": INK, "capsize": 2, "error_kw": {"lw": 0.9}}
            axes.bar(x, value, 0.9 * width, yerr=errors, label=_name(name), **look)
        axes.set_xticks(range(len(groups)), groups)
        axes.axhline(0, color=INK, lw=0.6)
        axes.set_ylabel(label)
        _legend(figure, axes)
    return figure


def render_plane(points: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> "Figure":
    """Draw each clip at its video-text and text-audio similarity, with the diagonal on which the two are equal.

    The distance to the diagonal is FairScore of the two, divided by sqrt(2). Points are pixels also in an SVG, which
    would otherwise grow with the clips.

    Args:
        points: name of each series to its video-text and its text-audio similarities, each (N,) and clip by clip.

    Returns:
        The figure; a clip with a NaN is left out.

    Raises:
        ModuleNotFoundError: Matplotlib is missing.
    """
    with _figure(4.3) as figure:
        axes = figure.subplots()
        for number, (name, (x, y)) in enumerate(points.items()):
            both = np.stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)])
            both = both[:, np.isfinite(both).all(axis=0)]
            dense = both.shape[1] > 1000
            look: dict[str, Any] = {
                "c": COLORS[number % len(COLORS)],
                "marker": MARKERS[number % len(MARKERS)],
                "linewidths": 0.8,
            }
            look |= {"s": 5 if dense else 22, "alpha": 0.12 if dense else 0.85}
            axes.scatter(*both, rasterized=True, label=_name(name), **look)
        axes.set_aspect("equal", adjustable="datalim")
        axes.axline((0, 0), slope=1, color=INK, lw=0.9, ls="--", label="equal similarities")
        axes.set_xlabel("video-text similarity")
        axes.set_ylabel("text-audio similarity")
        _legend(figure, axes)
    return figure


def render_sorted(curves: Mapping[str, ArrayLike], label: str = "score") -> "Figure":
    """Draw the values of each model from lowest to highest.

    Source: Cheng et al., "MMAudio", supplement, Fig. A1.

    Args:
        curves: name of each model to its values (N,); N may differ, for the horizontal axis is the share of clips.
        label: of the vertical axis.

    Returns:
        The figure; a model without values is left out.

    Raises:
        ModuleNotFoundError: Matplotlib is missing.
    """
    with _figure(3.2) as figure:
        axes = figure.subplots()
        for number, (name, values) in enumerate(curves.items()):
            ranked = np.sort(_finite(values))
            if ranked.size:
                share = np.linspace(0, 1, min(CURVE_POINTS, ranked.size))
                look: dict[str, Any] = {
                    "color": COLORS[number % len(COLORS)],
                    "ls": LINES[number % len(LINES)],
                    "lw": 1.6,
                }
                axes.plot(100 * share, np.quantile(ranked, share), label=_name(name), **look)
        axes.set_xlabel("clips, sorted by each model's own score (%)")
        axes.set_ylabel(label)
        _legend(figure, axes)
    return figure


def render_svg(figure: "Figure", prefix: str) -> str:
    """Render a figure as an SVG element to stand in an HTML page, in the page's text colour and without background.

    Args:
        figure: a figure of this module.
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
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    return re.sub(r'(\sid="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)


@contextmanager
def _figure(height: float) -> "Iterator[Figure]":
    """Give a figure to draw in: what is drawn inside the context has the module's style."""
    needs_extra("matplotlib", "evaluation")
    import matplotlib
    from matplotlib.figure import Figure

    colors = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color")
    style: dict[Any, Any] = dict.fromkeys(colors, INK)
    style |= {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "font.size": 9}
    style |= {"axes.grid": True, "axes.axisbelow": True, "grid.alpha": 0.15, "grid.linewidth": 0.6}
    # A dollar sign in the name of a table is a dollar sign.
    with matplotlib.rc_context(style | {"text.parse_math": False}):
        yield Figure(figsize=(WIDTH, height), layout="constrained")


def _finite(values: ArrayLike) -> Array:
    array: Array = np.asarray(values, dtype=np.float64)
    finite: Array = array[np.isfinite(array)]
    return finite


def _edges(arrays: Sequence[Array]) -> Array:
    """Give edges of 8 to 80 bins for all series, as narrow as Freedman and Diaconis ask for the narrowest series."""
    every = np.concatenate([np.empty(0), *arrays])
    widths = [2 * np.subtract(*np.quantile(a, [0.75, 0.25])) / a.size ** (1 / 3) for a in arrays if a.size]
    narrowest = min((width for width in widths if width > 0), default=np.inf)
    edges: Array = np.histogram_bin_edges(every, int(np.clip(np.ptp(every) / narrowest if every.size else 8, 8, 80)))
    return edges


def _histogram(axes: Any, values: Array, edges: Array, name: str, number: int) -> None:
    if values.size:
        color, line = COLORS[number % len(COLORS)], LINES[number % len(LINES)]
        axes.hist(values, edges, density=True, histtype="stepfilled", color=color, alpha=0.18)
        axes.hist(values, edges, density=True, histtype="step", color=color, ls=line, lw=1.5, label=name)
        axes.plot(values.mean(), 0, marker="^", ms=7, color=color, clip_on=False, zorder=3)


def _name(name: str) -> str:
    """Shorten a name to what a legend has room for; Matplotlib leaves names out that start with an underscore."""
    short = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    return f" {short}" if short.startswith("_") else short


def _legend(figure: "Figure", *panels: Any) -> None:
    found = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if found:
        columns = 1 if max(map(len, found)) > 16 else 3
        legend = figure.legend(found.values(), found.keys(), loc="outside upper left", ncols=columns)
        for handle in legend.legend_handles:
            if handle is not None:
                handle.set_alpha(1)  # many points are faint, their entry is not
