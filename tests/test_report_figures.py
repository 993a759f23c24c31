"""The figures of the report: what stands in them, and colours that can be told apart."""

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from torchmetrics_majorscore.report import figures
from torchmetrics_majorscore.report.drawings import render_svg
from torchmetrics_majorscore.statistics.bootstrap import bootstrap


def test_figures_write_files(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(2, 50))
    y[3] = np.nan
    interval = bootstrap(lambda values: float(np.mean(values)), x)
    drawn = {
        "distributions": figures.render_distributions({"a": {"video-text": x, "text-audio": y}, "_b": {"v": []}}),
        "means": figures.render_means({"a": {"sum": interval}, "$": {"sum": interval}}),
        "plane": figures.render_plane({"a": (x, y), "none": ([], [])}),
        "sorted": figures.render_sorted({"a": x, "日本": y, "none": []}),
    }
    for name, figure in drawn.items():
        assert "currentColor" in render_svg(figure, name)
        if name != "sorted":
            figure.savefig(tmp_path / f"{name}.png")
            figure.savefig(tmp_path / f"{name}.svg")
            assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def texts(figure):
    return re.findall(r"<text[^>]*>([^<]*)</text>", render_svg(figure, "x"))


def test_figures_say_how_many_clips_and_what_the_axes_are():
    x, y = np.random.default_rng(0).normal(size=(2, 50))
    y[:3] = np.nan
    found = texts(figures.render_distributions({"a": {"video-text": x, "text-audio": y}, "b": {"v": x}}))
    assert {"a, n = 47 to 50", "b, n = 50", "similarity (cosine)", "clips per bin (%)"} <= set(found)
    assert {"a, n = 47", "video-text similarity (cosine)"} <= set(texts(figures.render_plane({"a": (x, y)})))
    assert {"a, n = 47", "score"} <= set(texts(figures.render_sorted({"a": y})))
    assert {"a, n = 50", "mean score"} <= set(texts(figures.render_means({"a": {"sum": bootstrap(np.mean, x)}})))


def test_the_shares_of_a_histogram_are_percent():
    axes = figures.render_distributions({"a": {"v": np.random.default_rng(0).normal(size=50)}}).axes[0]
    corners = axes.patches[1].get_xy()
    edges, heights = np.unique(corners[:, 0]), corners[1:-1:2, 1]
    assert len(heights) == len(edges) - 1
    assert heights.sum() == pytest.approx(100)


def test_products_have_a_scale_of_their_own():
    small, large = (bootstrap(np.mean, np.full(5, value)) for value in (0.01, 1.0))
    left, right = figures.render_means({"a": {"product": small, "sum": large, "average": large}}).axes
    assert [text.get_text() for text in left.get_xticklabels()] == ["product"]
    assert [text.get_text() for text in right.get_xticklabels()] == ["sum", "average"]
    assert left.get_ylim()[1] < 0.05 < 1 < right.get_ylim()[1]


def test_long_names_that_end_differently_stay_apart():
    interval = bootstrap(np.mean, np.arange(5.0))
    names = [f"a model with a name that is far too long: {kind}" for kind in ("MAJORScore", "CLIPCLAP")]
    (legend,) = figures.render_means({name: {"sum": interval} for name in names}).legends
    found = [text.get_text() for text in legend.get_texts()]
    assert [text.rsplit(": ")[-1] for text in found] == ["MAJORScore, n = 5", "CLIPCLAP, n = 5"]
    assert len(found[0]) == figures.LONGEST_NAME + len(", n = 5")


def test_a_legend_covers_nothing():
    x, y = np.random.default_rng(0).normal(size=(2, 50))
    interval = bootstrap(np.mean, x)
    names = [f"a model with a name that is long {k}" for k in range(6)]
    for figure in (
        figures.render_distributions({name: {"video-text": x, "text-audio": y} for name in names}),
        figures.render_means({name: {"product": interval, "sum": interval} for name in names}),
        figures.render_plane(dict.fromkeys(names, (x, y))),
        figures.render_sorted(dict.fromkeys(names, x), "score"),
    ):
        figure.draw_without_rendering()
        (legend,) = figure.legends
        box = legend.get_window_extent()
        assert not any(box.overlaps(axes.get_tightbbox()) for axes in figure.axes)
        assert all(axes.get_window_extent().height > 60 for axes in figure.axes)
        assert figure.bbox.xmin <= box.xmin
        assert box.xmax <= figure.bbox.xmax


# Machado, Oliveira and Fernandes, 2009: what remains of linear RGB without one kind of cone.
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "deuteranopia": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "tritanopia": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}


def linear(color):
    rgb = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    low, high = sorted(float(linear(color) @ [0.2126, 0.7152, 0.0722]) for color in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(rgb):
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1)
    x, y, z = np.cbrt(xyz / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHTS)
def test_colors_can_be_told_apart(sight):
    seen = [lab(np.array(SIGHTS[sight]) @ linear(color)) for color in figures.COLORS]
    apart = [float(np.linalg.norm(a - b)) for k, a in enumerate(seen) for b in seen[:k]]
    assert min(apart) > 15  # CIE76; 2.3 is just noticeable, and of the colours before two were 4 apart


def colors_of(style, name):
    return re.findall(rf"--{name}: (#[0-9a-f]{{6}})", style)


def test_contrasts_of_colors_and_links():
    style = (Path(figures.__file__).parent / "page.css").read_text()
    pages, raised = colors_of(style, "page"), colors_of(style, "raised")
    assert len(pages) == len(raised) == 2  # light and dark
    assert all(contrast(color, page) >= 3 for color in figures.COLORS for page in pages)
    for name in ("ink", "soft", "link"):
        for text, page, card in zip(colors_of(style, name), pages, raised, strict=True):
            assert min(contrast(text, page), contrast(text, card)) >= 4.5


def test_points_of_the_plane_do_not_grow_the_page():
    points = [np.random.default_rng(0).random((2, n)) for n in (3000, 30_000)]
    sizes = [len(render_svg(figures.render_plane({"a": both}), "a")) for both in points]
    assert sizes[1] < 4 * sizes[0]  # as vectors it would be ten times
