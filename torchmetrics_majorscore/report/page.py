"""Per-clip tables to one page that needs no network: means with intervals, figures, a gallery, all clips."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from torchmetrics_majorscore import __version__
from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.media import Entry, read_manifest
from torchmetrics_majorscore.report.clips import choose_clips, list_clips
from torchmetrics_majorscore.report.drawings import draw_figures
from torchmetrics_majorscore.report.figures import INK
from torchmetrics_majorscore.report.gallery import caption, make_groups
from torchmetrics_majorscore.report.preview import SECONDS
from torchmetrics_majorscore.report.summary import (
    COMBINED,
    count_clips,
    give_discrimination,
    give_means,
    give_titles,
    subtract,
    with_clipclap,
)
from torchmetrics_majorscore.tables.pairs import SIMILARITY, find_pairs
from torchmetrics_majorscore.tables.read import LOWER_IS_BETTER, MEANINGLESS, is_seeded, read_tables, require_columns

if TYPE_CHECKING:
    import pandas as pd

Manifests = Mapping[str, Mapping[str, Entry]]


def write_report(
    tables: Mapping[str, str | Path],
    output: Path,
    manifests: Sequence[Path] = (),
    mispaired: Path | None = None,
    folder: Path | None = None,
) -> Path:
    """Write one HTML page about the tables of one model or more.

    The page holds everything that it shows: figures, small copies of the clips of the gallery, and the rows of all
    clips or, of very many, of a sample that it names, see :func:`.choose_clips`. Equal inputs give equal pages.

    Args:
        tables: name, for example of a model, to its CSV file of ``majorscore score``, with the summary beside it.
        output: HTML file to write; its folder is made.
        manifests: the manifests of the first tables, in their order, for captions and for the clips of the gallery:
            one for each table shows and sounds the models side by side, none leaves only ids.
        mispaired: table of the first table's clips with captions of other clips.
        folder: folder of the manifests' clips, see :func:`.read_manifest`.

    Returns:
        ``output``.

    Raises:
        ValueError: no table, or tables that do not compare, see :func:`.read_tables`; a manifest of other clips, or
            more manifests than tables; a folder without a manifest; or an ``output`` that does not end in ``.html``.
        FileNotFoundError: a table, its summary or a manifest does not exist.
        ModuleNotFoundError: a package of the extra ``evaluation`` is missing, or for the gallery one of ``media``.
    """
    for package in ("jinja2", "matplotlib", "pandas"):
        needs_extra(package, "evaluation")
    if output.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"Expected an output that ends in .html, got {output}.")
    if folder is not None and not manifests:
        raise ValueError(f"Expected a manifest together with folder={folder}, got none.")
    if not tables or len(manifests) > len(tables):
        got = f"{len(tables)} tables and {len(manifests)} manifests"
        raise ValueError(f"Expected one table or more, and at most one manifest for each, got {got}.")
    first = next(iter(tables))
    wrong = f"{first} (mispaired)" if mispaired else None
    series, signature = read_tables({**tables, wrong: mispaired} if wrong and mispaired else tables)
    pairs = find_pairs(series[first])
    needed = [*(name for name in COMBINED if name.startswith("majorscore")), *(pairs or [f"{SIMILARITY}video_text"])]
    for table in series.values():
        require_columns(table, [*needed, *(["fairscore"] if len(pairs) > 1 else [])])
    series = {name: with_clipclap(table) for name, table in series.items()}
    others = [name for name in dict.fromkeys(chain(*pairs.values())) if name not in ("video", "text", "audio")]
    listed = {
        name: _entries(path, folder, series[name], name, others) for name, path in zip(tables, manifests, strict=False)
    }
    page = _render(series, wrong, signature, listed)
    output.parent.mkdir(parents=True, exist_ok=True)
    # A path that is not UTF-8 may stand in a reason.
    output.write_text(page, encoding="utf-8", errors="backslashreplace")
    return output


def _entries(
    manifest: Path, folder: Path | None, table: "pd.DataFrame", name: str, others: Sequence[str]
) -> dict[str, Entry]:
    entries = {entry.id: entry for entry in read_manifest(manifest, folder, others=others)}
    if len(table) and not entries.keys() & set(table.index):
        raise ValueError(f"Expected the manifest of {name}, got {manifest}, which has none of its ids.")
    return entries


def _render(series: Mapping[str, "pd.DataFrame"], wrong: str | None, signature: str, manifests: Manifests) -> str:
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    models = {name: table for name, table in series.items() if name != wrong}
    (first, table), *others = models.items()
    apart = {f"{first} \u2212 {name}": subtract(table, other) for name, other in others}
    of = give_means([*series.values(), *apart.values()])
    means, differences = dict(zip(series, of, strict=False)), dict(zip(apart, of[len(series) :], strict=True))
    groups = make_groups(models, manifests)
    clips, total = choose_clips(models, {card["id"] for group in groups for card in group["cards"]})
    captions = [caption(manifests, clip) for clip in clips] if manifests else None
    return environment.get_template("page.html.jinja").render(
        version=__version__,
        signature=signature,
        meaningless=MEANINGLESS if is_seeded(signature) else "",
        titles={column: title for frame in series.values() for column, title in give_titles(frame).items()},
        lower=LOWER_IS_BETTER,
        ink=INK,
        models=list(models),
        shown=list(manifests),
        counts={name: count_clips(frame) for name, frame in series.items()},
        means=means,
        differences=differences,
        discrimination=give_discrimination(table, series[wrong]) if wrong else {},
        drawings=draw_figures(series, means, list(models)),
        groups=groups,
        seconds=int(SECONDS),
        drawn=means[first]["majorscore_average"],
        listed=len(clips),
        clips=total,
        table=list_clips(models, captions, clips),
    )
