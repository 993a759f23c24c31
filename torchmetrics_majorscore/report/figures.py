"""Figures of per-clip values: distributions, means, similarity plane, sorted curves.

Every function gives a ``matplotlib.figure.Figure``: ``figure.savefig("plane.png")`` or ``"plane.svg"`` writes a file,
:func:`.render_svg` a picture for a page. Values are float64 after conversion, of any shape (N,); NaN is left out.
"""

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
# Four of Okabe and Ito's colours and two more: each has a contrast of 3 or more to white and to the dark page, and any
# two differ by 12 or more (CIEDE2000) in normal sight, protanopia, deuteranopia and tritanopia.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#995544", "#aa77ff")
# Lines and points differ in more than colour.
LINES = ("-", "--", ":", "-.")
HATCHES = ("", "///", "...", "xxx")
MARKERS = ("o", "x", "^", "s", "+", "v")
COSINE = "similarity (cosine)"
WIDTH = 4.2  # inches: on a phone the text is then about as large as that of the page
LINE = 0.19  # inches of a legend's entry
LONGEST_NAME = 36  # characters of it
CURVE_POINTS = 400
POINTS = 20_000  # clips of a series in the plane


def render_distributions(panels: Mapping[str, Mapping[str, ArrayLike]], label: str = COSINE) -> "Figure":
    """Draw histograms, one panel below the other on the same axes; a triangle marks each mean.

    Source: Du et al., "MAJORScore", Fig. 2: consistent captions above, mispaired captions below.

    Args:
        panels: title of each panel to its series: name, for example ``"video-text"``, to values (N,).
        label: of the horizontal axis.

    Returns:
        The figure; a series without values is left out.

    Raises:
        ModuleNotFoundError: Matplotlib is missing.
    """
    with _figure(0.9 + 1.75 * max(1, len(panels))) as figure:
        grid = figure.subplots(max(1, len(panels)), 1, sharex=True, sharey=True, squeeze=False)
        finite = {title: [_finite(values) for values in series.values()] for title, series in panels.items()}
        edges = _edges([values for arrays in finite.values() for values in arrays])
        for axes, (title, series) in zip(grid[:, 0], panels.items(), strict=False):
            for number, (name, values) in enumerate(zip(series, finite[title], strict=True)):
                _histogram(axes, values, edges, _name(name), number)
            sizes = sorted({values.size for values in finite[title]})
            axes.set_title(_name(title, " to ".join(map(str, sizes[:1] + sizes[1:][-1:]))), loc="left", fontsize=9)
        grid[-1, 0].set_xlabel(label)
        figure.supylabel("clips per bin (%)", fontsize=9)
        _legend(figure, *grid[:, 0])
    return figure


def render_means(bars: Mapping[str, Mapping[str, Interval]], label: str = "mean score") -> "Figure":
    """Draw a bar with its interval for each mean, in groups; products stand on a scale of their own.

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
    panels = [panel for own in (True, False) if (panel := [g for g in groups if (g == "product") is own])]
    with _figure(2.7 + LINE * len(bars)) as figure:
        widths = [len(panel) for panel in panels] or [1]
        row = figure.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0]
        for axes, panel in zip(row, panels, strict=False):
            for number, (name, series) in enumerate(bars.items()):
                sizes = {interval.n for interval in series.values()}
                _bars(axes, [series[group] for group in panel], _name(name, max(sizes, default=0)), number, len(bars))
            axes.set_xticks(range(len(panel)), panel)
            axes.axhline(0, color=INK, lw=0.6)
        row[0].set_ylabel(label)
        _legend(figure, *row)
    return figure


def render_plane(
    points: Mapping[str, tuple[ArrayLike, ArrayLike]], pairs: tuple[str, str] = ("video-text", "text-audio")
) -> "Figure":
    """Draw each clip at the similarities of two pairs, with the diagonal on which the two are equal.

    The distance to the diagonal is FairScore of the two, divided by sqrt(2). Points are pixels also in an SVG, which
    would otherwise grow with the clips. Of more than :data:`POINTS` clips as many are drawn at random.

    Args:
        points: name of each series to the similarities of the two pairs, each (N,) and clip by clip.
        pairs: names of the axes.

    Returns:
        The figure; a clip with a NaN is left out.

    Raises:
        ModuleNotFoundError: Matplotlib is missing.
    """
    with _figure(3.9 + LINE * len(points)) as figure:
        axes = figure.subplots()
        for number, (name, (x, y)) in enumerate(points.items()):
            both = np.stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)])
            both = both[:, np.isfinite(both).all(axis=0)]
            clips, dense = both.shape[1], both.shape[1] > 1000
            if clips > POINTS:
                both = both[:, np.random.default_rng(0).choice(clips, POINTS, replace=False)]
            look: dict[str, Any] = {
                "c": COLORS[number % len(COLORS)],
                "marker": MARKERS[number % len(MARKERS)],
                "linewidths": 0.8,
            }
            look |= {"s": 5 if dense else 20, "alpha": 0.12 if dense else 0.7}
            axes.scatter(*both, rasterized=True, label=_name(name, clips), **look)
        axes.set_aspect("equal", adjustable="datalim")
        axes.axline((0, 0), slope=1, color=INK, lw=0.9, ls="--", label="equal similarities")
        axes.set_xlabel(f"{pairs[0]} {COSINE}")
        axes.set_ylabel(f"{pairs[1]} {COSINE}")
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
    with _figure(2.9 + LINE * len(curves)) as figure:
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
                axes.plot(100 * share, np.quantile(ranked, share), label=_name(name, ranked.size), **look)
        axes.set_xlabel("clips, sorted by each model's own score (%)")
        axes.set_ylabel(label)
        _legend(figure, axes)
    return figure


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
    """Give edges of 8 to 80 bins for all series, as narrow as Freedman and Diaconis ask for the narrowest series.

    Few clips give few bins: not more than 2 sqrt(n).
    """
    every = np.concatenate([np.empty(0), *arrays])
    widths = [2 * np.subtract(*np.quantile(a, [0.75, 0.25])) / a.size ** (1 / 3) for a in arrays if a.size]
    narrowest = min((width for width in widths if width > 0), default=np.inf)
    most = np.clip(2 * np.sqrt(max((a.size for a in arrays), default=0)), 8, 80)
    edges: Array = np.histogram_bin_edges(every, int(np.clip(np.ptp(every) / narrowest if every.size else 8, 8, most)))
    return edges


def _histogram(axes: Any, values: Array, edges: Array, name: str, number: int) -> None:
    if values.size:
        color, line = COLORS[number % len(COLORS)], LINES[number % len(LINES)]
        # Counted once, and drawn as if each bin were a clip of that weight.
        counted: dict[str, Any] = {"x": edges[:-1], "bins": edges, "color": color}
        counted["weights"] = np.histogram(values, edges)[0] * (100 / values.size)
        axes.hist(**counted, histtype="stepfilled", alpha=0.18)
        axes.hist(**counted, histtype="step", ls=line, lw=1.5, label=name)
        axes.plot(values.mean(), 0, marker="^", ms=7, color=color, clip_on=False, zorder=3)


def _bars(axes: Any, intervals: Sequence[Interval], name: str, number: int, series: int) -> None:
    value, low, high = np.array([[i.value, i.low, i.high] for i in intervals]).T
    # The percentiles of few clips may leave out the mean itself.
    errors = np.maximum([value - low, high - value], 0).tolist()
    width = 0.8 / series
    x = np.arange(len(intervals)) + (number + 0.5) * width - 0.4
    color, hatch = COLORS[number % len(COLORS)], HATCHES[number % len(HATCHES)]
    look: dict[str, Any] = {"color": color, "hatch": hatch, "edgecolor": "#ffffff99", "linewidth": 0}
    look |= {"ecolor": INK, "capsize": 2, "error_kw": {"lw": 0.9}}
    axes.bar(x, value, 0.9 * width, yerr=errors, label=name, **look)


def _name(name: str, n: int | str | None = None) -> str:
    """Shorten a name to what a legend has room for, and add n; Matplotlib leaves out names with an underscore first."""
    half = LONGEST_NAME // 2  # of both ends: names may differ in either
    short = name if len(name) <= LONGEST_NAME else f"{name[:half]}…{name[1 - half :]}"
    short = f" {short}" if short.startswith("_") else short
    return short if n is None else f"{short}, n = {n}"


def _legend(figure: "Figure", *panels: Any) -> None:
    found = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if found:
        columns = 1 if max(map(len, found)) > 16 else 3
        legend = figure.legend(found.values(), found.keys(), loc="outside upper left", ncols=columns)
        for handle in legend.legend_handles:
            if handle is not None:
                handle.set_alpha(1)  # many points are faint, their entry is not
