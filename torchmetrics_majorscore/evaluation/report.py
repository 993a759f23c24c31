"""Per-clip tables to one page that needs no network: means with intervals, figures, a gallery, all clips."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from torchmetrics_majorscore import __version__
from torchmetrics_majorscore.evaluation import figures
from torchmetrics_majorscore.evaluation.consistency import Interval, bootstrap, compare
from torchmetrics_majorscore.evaluation.gallery import SECONDS, pick_clips, read_previews
from torchmetrics_majorscore.evaluation.reading import BASELINE, Scores, read_tables
from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.media import Entry, read_manifest

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
LOWER_IS_BETTER = ("fairscore",)
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
GROUPS = {
    "best": ("Best", "highest MAJORScore average"),
    "worst": ("Worst", "lowest MAJORScore average"),
    "video": ("High video-text, low text-audio", "by rank: the caption fits the picture, the sound less"),
    "audio": ("High text-audio, low video-text", "by rank: the caption fits the sound, the picture less"),
}


def write_report(
    tables: Sequence[Path],
    output: Path,
    manifest: Path | None = None,
    mispaired: Path | None = None,
    folder: Path | None = None,
) -> Path:
    """Write one HTML page about the tables of one model or more.

    The page holds everything that it shows: figures, small copies of the clips of the gallery, all rows. Equal inputs
    give equal pages.

    Args:
        tables: CSV files of ``majorscore score``, one per model, with their summaries beside them.
        output: HTML file to write; its folder is made.
        manifest: the manifest of the first table, for captions and for the clips of the gallery, which otherwise lists
            ids only.
        mispaired: table of the first table's clips with captions of other clips.
        folder: folder of the manifest's clips, see :func:`.read_manifest`.

    Returns:
        ``output``.

    Raises:
        ValueError: tables that do not compare, see :func:`.read_tables`; a manifest of other clips; a folder without
            a manifest; or an ``output`` that does not end in ``.html``.
        FileNotFoundError: a table, its summary or the manifest does not exist.
        ModuleNotFoundError: a package of the extra ``evaluation`` is missing, or for the gallery one of ``media``.
    """
    for package in ("jinja2", "matplotlib", "pandas"):
        needs_extra(package, "evaluation")
    if output.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"Expected an output that ends in .html, got {output}.")
    if folder is not None and manifest is None:
        raise ValueError(f"Expected a manifest together with folder={folder}, got none.")
    models, wrong = read_tables(tables, mispaired)
    models, wrong = [_with_clipclap(table) for table in models], _with_clipclap(wrong) if wrong else None
    entries = None if manifest is None else _entries(manifest, folder, models[0])
    page = _render(models, wrong, entries)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page, encoding="utf-8")
    return output


def _entries(manifest: Path, folder: Path | None, table: Scores) -> dict[str, Entry]:
    entries = {entry.id: entry for entry in read_manifest(manifest, folder)}
    if len(table.frame) and not entries.keys() & set(table.frame.index):
        raise ValueError(f"Expected the manifest of {table.name}, got {manifest}, which has none of its ids.")
    return entries


def _render(models: list[Scores], wrong: Scores | None, entries: dict[str, Entry] | None) -> str:
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    series = {table.name: table for table in [*models, *([wrong] if wrong else [])]}
    means = {name: _means(table) for name, table in series.items()}
    return environment.get_template("report.html.jinja").render(
        version=__version__,
        signature=models[0].signature,
        seeded=any(table.seeded for table in series.values()),
        titles=TITLES,
        lower=LOWER_IS_BETTER,
        counts={name: (len(table.frame), int((table.frame["error"] != "").sum())) for name, table in series.items()},
        means=means,
        differences={table.name: _differences(models[0], table) for table in models[1:]},
        discrimination=_discrimination(models[0], wrong) if wrong else {},
        drawings=_drawings(models, series, means),
        groups=_groups(models[0], entries),
        with_media=entries is not None,
        seconds=int(SECONDS),
        drawn=means[models[0].name]["majorscore_average"],
        table=_rows(models, entries),
    )


def _mean(values: Any) -> float:
    return float(np.mean(values))


def _with_clipclap(table: Scores) -> Scores:
    """Add CLIPCLAP's three combinations (MAJORScore, Eq. 7) if there is a baseline."""
    if not set(BASELINE) <= set(table.frame):
        return table
    clip, clap = (table.frame[column] for column in BASELINE)
    combined = {"average": (clip + clap) / 2, "sum": clip + clap, "product": clip * clap}
    return replace(table, frame=table.frame.assign(**{f"clipclap_{name}": values for name, values in combined.items()}))


def _means(table: Scores) -> dict[str, Interval]:
    return {column: bootstrap(_mean, table.frame[column]) for column in TITLES if column in table.frame}


def _differences(first: Scores, other: Scores) -> dict[str, Interval]:
    """Give the mean difference of each column over the clips that both tables have: a paired comparison."""
    one, two = first.frame.align(other.frame, join="inner", axis=0)
    return {column: bootstrap(_mean, two[column] - one[column]) for column in TITLES if column in one}


def _discrimination(first: Scores, wrong: Scores) -> dict[str, dict[str, Interval]]:
    """Compare the clips that both tables have, with their own captions and with others."""
    one, two = first.frame.align(wrong.frame, join="inner", axis=0)
    return {column: compare(one[column], two[column]) for column in DISCRIMINATING if column in one}


def _drawings(
    models: list[Scores], series: Mapping[str, Scores], means: Mapping[str, Mapping[str, Interval]]
) -> list[dict[str, str]]:
    frames = {name: table.frame for name, table in series.items()}
    plane = {name: (frame["similarity_video_text"], frame["similarity_text_audio"]) for name, frame in frames.items()}
    drawn = {"similarities": figures.render_distributions(_columns(frames, JOINT))}
    if set(BASELINE) <= set(models[0].frame):
        drawn["baseline"] = figures.render_distributions(_columns(frames, {name: TITLES[name] for name in BASELINE}))
    drawn |= {"means": figures.render_means(_bars(means)), "plane": figures.render_plane(plane)}
    if len(models) > 1:
        curves = {table.name: table.frame["majorscore_average"] for table in models}
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


def _groups(table: Scores, entries: dict[str, Entry] | None) -> list[dict[str, Any]]:
    """Give the groups of the gallery; a clip that stands in several has its player in the first."""
    picked = pick_clips(table.frame)
    previews = read_previews(picked, entries) if entries else {}
    anchors = {clip_id: number for number, clip_id in enumerate(dict.fromkeys(chain(*picked.values())))}
    seen: set[str] = set()
    groups = []
    for name, ids in picked.items():
        cards = [
            {
                "id": clip_id,
                "text": _caption(entries, clip_id),
                "values": {column: table.frame.at[clip_id, column] for column in ("majorscore_average", *JOINT)},
                "preview": previews.get(clip_id),
                "anchor": anchors[clip_id],
                "again": clip_id in seen,
            }
            for clip_id in ids
        ]
        seen |= set(ids)
        groups.append({"title": GROUPS[name][0], "note": GROUPS[name][1], "cards": cards})
    return groups


def _caption(entries: Mapping[str, Entry] | None, clip_id: str) -> str:
    entry = (entries or {}).get(clip_id)
    return (entry.text if entry else None) or ""


def _rows(models: list[Scores], entries: dict[str, Entry] | None) -> dict[str, Any]:
    """Give all clips for the page's script: numbers with four digits, None for a missing one."""
    import pandas as pd

    frame = pd.concat([table.frame.assign(Table=table.name) for table in models]).rename_axis("Clip").reset_index()
    frame["Caption"] = [_caption(entries, clip_id) for clip_id in frame["Clip"]]
    frame = frame.rename(columns={**TITLES, "error": "Error"})
    numbers = [title for column, title in TITLES.items() if title in frame and not column.startswith("clipclap")]
    titles = [*(["Table"] if len(models) > 1 else []), "Clip", *(["Caption"] if entries else []), *numbers]
    titles += ["Error"] if (frame["Error"] != "").any() else []
    rounded = frame[titles].round(DIGITS).astype(object)
    rows = rounded.where(rounded.notna(), None).to_numpy().tolist()
    return {"titles": titles, "numeric": [title in numbers for title in titles], "rows": rows}
