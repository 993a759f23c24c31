"""Draw which metric sees what: the second table of `generator.py` or `generator_rows.py` as a picture.

    uv run benchmarks/generator_rows.py FOLDER > rows.md
    uv run benchmarks/generator_figure.py rows.md sees.png [--title TEXT]

A cell says from how many clips on a metric calls a sound worse than the one that it is compared with, sure (p < .05),
and "-" where it does not. Red frames are cells that came out otherwise than expected.
"""

import argparse
import re
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

DARK = {2: 1.0, 4: 0.8, 8: 0.6, 16: 0.45, 32: 0.35, 60: 0.3, 100: 0.25}


def read(text: str) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Give the metrics, and of each sound its name with what it is compared with, and its cells."""
    lines = text[text.index("| sound | against |") :].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return rows[0][2:], [(f"{row[0]}  (against {row[1]})", row[2:]) for row in rows[2:]]


def draw(metrics: list[str], rows: list[tuple[str, list[str]]], title: str) -> Figure:
    figure = Figure(figsize=(10, 1.6 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for y, (_, cells) in enumerate(rows):
        for x, cell in enumerate(cells):
            found = re.search(r"n = (\d+)", cell)
            shade = DARK[int(found[1])] if found else 0.0
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor=(1 - 0.75 * shade, 1 - 0.5 * shade, 1 - 0.2 * shade)))
            if cell.startswith("NO"):
                axes.add_patch(Rectangle((x + 0.04, y + 0.08), 0.92, 0.84, fill=False, edgecolor="crimson", lw=1.5))
            axes.text(x + 0.5, y + 0.5, found[1] if found else "-", ha="center", va="center", fontsize=9)
    axes.set(xlim=(0, len(metrics)), ylim=(len(rows), 0))
    axes.set_xticks([x + 0.5 for x in range(len(metrics))], metrics, rotation=25, ha="left")
    axes.set_yticks([y + 0.5 for y in range(len(rows))], [name for name, _ in rows])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    figure.suptitle(title, fontsize="medium")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--title", default="Worse than the other, sure from so many clips on")
    options = parser.parse_args()
    draw(*read(options.table.read_text(encoding="utf-8")), options.title).savefig(options.picture, dpi=150)


if __name__ == "__main__":
    main()
