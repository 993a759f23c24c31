"""Per-clip tables to one page that needs no network: means with intervals, figures, a gallery, all clips."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from torchmetrics_majorscore import __version__
from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.media import Entry, read_manifest
from torchmetrics_majorscore.report import figures
from torchmetrics_majorscore.report.gallery import SECONDS, caption, make_groups
from torchmetrics_majorscore.statistics.bootstrap import Interval, bootstrap
from torchmetrics_majorscore.statistics.consistency import compare
from torchmetrics_majorscore.tables.read import (
    LOWER_IS_BETTER,
    MEANINGLESS,
    is_seeded,
    read_tables,
    require_columns,
)

if TYPE_CHECKING:
    import pandas as pd

JOINT = {
    "similarity_video_text": "video-text",
    "similarity_text_audio": "text-audio",
    "similarity_video_audio": "video-audio",
}
KINDS = {"majorscore": "MAJORScore", "clipclap": "CLIPCLAP"}
COMBINED = {
    f"{kind}_{combine}": f"{KINDS[kind]} {combine}" for kind in KINDS for combine in ("average", "sum", "product")
}
TITLES = COMBINED | {"fairscore": "FairScore", **{column: f"{pair} similarity" for column, pair in JOINT.items()}}
TITLES |= {"clipscore": "CLIPScore", "clapscore": "CLAPScore"}
BASELINE = ("clipscore", "clapscore")
DIGITS = 4  # after the point, on the page
# The sum ranks clips as the average does.
DISCRIMINATING = ("majorscore_average", "majorscore_product", "clipclap_average", "clipclap_product")
FIGURES = {
    "similarities": ("Distributions of the similarities", "Histograms; a triangle marks each mean."),
    "baseline": ("Distributions of the baseline", "CLIP's and CLAP's cosines, each in its own space."),
    "means": ("Means", "With 95 % intervals; higher is better. The numbers are in the summary."),
    "plane": (
        "Similarity plane",
        "Each clip by its video-text and text-audio similarity. On the dashed line the two are equal (fair); up and to "
        "the right both are high.",
    ),
    "sorted": ("Sorted scores", "Each model's clips from its lowest MAJORScore average to its highest."),
}


def write_report(
    tables: Mapping[str, str | Path],
    output: Path,
    manifest: Path | None = None,
    mispaired: Path | None = None,
    folder: Path | None = None,
) -> Path:
    """Write one HTML page about the tables of one model or more.

    The page holds everything that it shows: figures, small copies of the clips of the gallery, all rows. Equal inputs
    give equal pages.

    Args:
        tables: name, for example of a model, to its CSV file of ``majorscore score``, with the summary beside it.
        output: HTML file to write; its folder is made.
        manifest: the manifest of the first table, for captions and for the clips of the gallery, which otherwise lists
            ids only.
        mispaired: table of the first table's clips with captions of other clips.
        folder: folder of the manifest's clips, see :func:`.read_manifest`.

    Returns:
        ``output``.

    Raises:
        ValueError: no table, or tables that do not compare, see :func:`.read_tables`; a manifest of other clips; a
            folder without a manifest; or an ``output`` that does not end in ``.html``.
        FileNotFoundError: a table, its summary or the manifest does not exist.
        ModuleNotFoundError: a package of the extra ``evaluation`` is missing, or for the gallery one of ``media``.
    """
    for package in ("jinja2", "matplotlib", "pandas"):
        needs_extra(package, "evaluation")
    if output.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"Expected an output that ends in .html, got {output}.")
    if folder is not None and manifest is None:
        raise ValueError(f"Expected a manifest together with folder={folder}, got none.")
    if not tables:
        raise ValueError("Expected one table or more, got none.")
    first = next(iter(tables))
    wrong = f"{first} (mispaired)" if mispaired else None
    series, signature = read_tables({**tables, wrong: mispaired} if wrong and mispaired else tables)
    for table in series.values():
        require_columns(table, [column for column in TITLES if not column.startswith(("clip", "clap"))])
    series = {name: _with_clipclap(table) for name, table in series.items()}
    entries = None if manifest is None else _entries(manifest, folder, series[first], first)
    page = _render(series, wrong, signature, entries)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page, encoding="utf-8")
    return output


def _entries(manifest: Path, folder: Path | None, table: "pd.DataFrame", name: str) -> dict[str, Entry]:
    entries = {entry.id: entry for entry in read_manifest(manifest, folder)}
    if len(table) and not entries.keys() & set(table.index):
        raise ValueError(f"Expected the manifest of {name}, got {manifest}, which has none of its ids.")
    return entries


def _render(
    series: Mapping[str, "pd.DataFrame"], wrong: str | None, signature: str, entries: dict[str, Entry] | None
) -> str:
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    models = {name: table for name, table in series.items() if name != wrong}
    (first, table), *others = models.items()
    means = {name: _means(frame) for name, frame in series.items()}
    return environment.get_template("page.html.jinja").render(
        version=__version__,
        signature=signature,
        meaningless=MEANINGLESS if is_seeded(signature) else "",
        titles=TITLES,
        lower=LOWER_IS_BETTER,
        counts={name: (len(frame), int((frame["error"] != "").sum())) for name, frame in series.items()},
        means=means,
        differences={name: _differences(table, other) for name, other in others},
        discrimination=_discrimination(table, series[wrong]) if wrong else {},
        drawings=_drawings(series, means, list(models)),
        groups=make_groups(table, entries),
        with_media=entries is not None,
        seconds=int(SECONDS),
        drawn=means[first]["majorscore_average"],
        table=_rows(models, entries),
    )


def _with_clipclap(table: "pd.DataFrame") -> "pd.DataFrame":
    """Add CLIPCLAP's three combinations (MAJORScore, Eq. 7) if there is a baseline."""
    if not set(BASELINE) <= set(table):
        return table
    clip, clap = (table[column] for column in BASELINE)
    combined = {"average": (clip + clap) / 2, "sum": clip + clap, "product": clip * clap}
    return table.assign(**{f"clipclap_{name}": values for name, values in combined.items()})


def _means(table: "pd.DataFrame") -> dict[str, Interval]:
    return {column: bootstrap(np.mean, table[column]) for column in TITLES if column in table}


def _differences(first: "pd.DataFrame", other: "pd.DataFrame") -> dict[str, Interval]:
    """Give the mean difference of each column over the clips that both tables have: a paired comparison."""
    one, two = first.align(other, join="inner", axis=0)
    return {column: bootstrap(np.mean, two[column] - one[column]) for column in TITLES if column in one}


def _discrimination(first: "pd.DataFrame", wrong: "pd.DataFrame") -> dict[str, dict[str, Interval]]:
    """Compare the clips that both tables have, with their own captions and with others."""
    one, two = first.align(wrong, join="inner", axis=0)
    return {column: compare(one[column], two[column]) for column in DISCRIMINATING if column in one}


def _drawings(
    frames: Mapping[str, "pd.DataFrame"], means: Mapping[str, Mapping[str, Interval]], models: list[str]
) -> list[dict[str, str]]:
    plane = {name: (frame["similarity_video_text"], frame["similarity_text_audio"]) for name, frame in frames.items()}
    drawn = {"similarities": figures.render_distributions(_columns(frames, JOINT))}
    if set(BASELINE) <= set(frames[models[0]]):
        drawn["baseline"] = figures.render_distributions(_columns(frames, {name: TITLES[name] for name in BASELINE}))
    drawn |= {"means": figures.render_means(_bars(means)), "plane": figures.render_plane(plane)}
    if len(models) > 1:
        curves = {name: frames[name]["majorscore_average"] for name in models}
        drawn["sorted"] = figures.render_sorted(curves, TITLES["majorscore_average"])
    return [
        {**dict(zip(("title", "caption"), FIGURES[name], strict=True)), "svg": figures.render_svg(figure, name)}
        for name, figure in drawn.items()
    ]


def _columns(frames: Mapping[str, Any], titles: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    return {name: {title: frame[column] for column, title in titles.items()} for name, frame in frames.items()}


def _bars(means: Mapping[str, Mapping[str, Interval]]) -> dict[str, dict[str, Interval]]:
    combinations = ("product", "sum", "average")
    return {
        f"{name}: {title}": {combine: found[f"{kind}_{combine}"] for combine in combinations}
        for name, found in means.items()
        for kind, title in KINDS.items()
        if f"{kind}_sum" in found
    }


def _rows(models: Mapping[str, "pd.DataFrame"], entries: dict[str, Entry] | None) -> dict[str, Any]:
    """Give all clips for the page's script: numbers with four digits, None for a missing one."""
    import pandas as pd

    frame = pd.concat([table.assign(Table=name) for name, table in models.items()]).rename_axis("Clip").reset_index()
    frame["Caption"] = [caption(entries, clip_id) for clip_id in frame["Clip"]]
    frame = frame.rename(columns={**TITLES, "error": "Error"})
    numbers = [title for column, title in TITLES.items() if title in frame and not column.startswith("clipclap")]
    titles = [*(["Table"] if len(models) > 1 else []), "Clip", *(["Caption"] if entries else []), *numbers]
    titles += ["Error"] if (frame["Error"] != "").any() else []
    rounded = frame[titles].round(DIGITS).astype(object)
    rows = rounded.where(rounded.notna(), None).to_numpy().tolist()
    return {"titles": titles, "numeric": [title in numbers for title in titles], "rows": rows}
