"""The subcommands of ``majorscore`` that work on finished tables: compare, rank, filter, ratings, report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.evaluation.scores_file import (
    LOWER_IS_BETTER,
    MEANINGLESS,
    is_seeded,
    name_tables,
    read_scores,
    read_tables,
)

if TYPE_CHECKING:
    import pandas as pd


def add_tables(commands: Any) -> None:
    """Add the subcommands.

    Args:
        commands: what ``ArgumentParser.add_subparsers`` gives.
    """
    _add_compare(commands)
    _add_rank(commands)
    _add_filter(commands)
    ratings = commands.add_parser("ratings", help="human ratings: how well scores agree, sheets to collect them")
    _add_ratings(ratings.add_subparsers(required=True))
    _add_report(commands)


def _add_compare(commands: Any) -> None:
    compare = commands.add_parser("compare", help="compare generators over the clips that their tables have in common")
    _add_several(compare)
    _add_printed(compare)
    compare.set_defaults(run=_compare)


def _compare(options: argparse.Namespace) -> int:
    from torchmetrics_majorscore.evaluation.models import compare_models

    tables, signature = read_tables(name_tables(options.tables))
    found = compare_models(tables, options.columns, options.seed)
    best = {name: "min" if name in LOWER_IS_BETTER else "max" for name in found.means if name != "n"}
    print_table(found.means, options.format, best if len(tables) > 1 else {})
    if len(tables) > 1:
        sys.stdout.write("\n")
        print_table(found.tests, options.format)
    notes = [f"{len(found.dropped)} clips dropped, {found.means['n'].iloc[0]} common to all."]
    for reason, rows in found.dropped.groupby("reason", sort=False):
        detail = f": {rows['detail'].iloc[0]}" if rows["detail"].iloc[0] else ""
        notes.append(f"  {len(rows)} {reason}, e.g. {rows.index[0]}{detail}")
    print_notes([*notes, _drawn(options.seed), *origin(signature)], options.format)
    return 0


def _add_rank(commands: Any) -> None:
    rank = commands.add_parser("rank", help="rank the candidates of each prompt")
    rank.add_argument("table", type=Path, help="table of majorscore score; ids like prompt/candidate, or see --prompt")
    _add_column(rank)
    rank.add_argument("--manifest", type=Path, help="manifest with a column of prompts")
    rank.add_argument("--prompt", default="prompt", help="the manifest's column of prompts (default: %(default)s)")
    rank.add_argument("--penalty", type=float, default=0.0, help="subtract this times fairscore (default: %(default)s)")
    rank.add_argument("--best", type=int, help="candidates to give of each prompt (default: all)")
    add_format(rank)
    rank.set_defaults(run=_rank)


def _rank(options: argparse.Namespace) -> int:
    from torchmetrics_majorscore.evaluation.manifest_rows import pick_column, read_rows
    from torchmetrics_majorscore.evaluation.ranking import best_candidates, rank_candidates

    table, signature = read_scores(options.table)
    prompts = pick_column(read_rows(options.manifest), options.prompt) if options.manifest else None
    ranked = rank_candidates(table, options.column, prompts, options.penalty)
    print_table(ranked if options.best is None else best_candidates(ranked, options.best), options.format)
    score = f"{options.column} - {options.penalty:g} * fairscore" if options.penalty else options.column
    without = set(ranked.index.unique("prompt")) - set(ranked.dropna().index.unique("prompt"))
    notes = [f"score: {score}", f"{ranked['rank'].isna().sum()} of {len(ranked)} candidates have no score and no rank."]
    notes += [f"No candidate has a score: {', '.join(sorted(without))}"] if without else []
    print_notes([*notes, *origin(signature)], options.format)
    return 0


def _add_filter(commands: Any) -> None:
    judge = commands.add_parser("filter", help="split a manifest into clips to keep and clips to reject, by a score")
    judge.add_argument("manifest", type=Path, help="CSV, TSV or JSONL")
    judge.add_argument("table", type=Path, help="its table of majorscore score")
    _add_column(judge)
    limit = judge.add_mutually_exclusive_group(required=True)
    limit.add_argument("--threshold", type=float, help="keep scores of at least this (fairscore: at most)")
    limit.add_argument("--quantile", type=float, help="share of the clips to reject, the worst ones, e.g. 0.2")
    judge.add_argument("--by-class", metavar="COLUMN", help="the quantile of each class; a column of the manifest")
    folder = "gets NAME.kept.csv and NAME.rejected.csv (default: the manifest's own, which relative paths start from)"
    judge.add_argument("-o", "--output", type=Path, help=folder)
    judge.set_defaults(run=_filter)


def _filter(options: argparse.Namespace) -> int:
    from torchmetrics_majorscore.evaluation.refine import split_manifest

    table, signature = read_scores(options.table)
    how = {name: getattr(options, name) for name in ("threshold", "quantile", "by_class")}
    parts = split_manifest(options.manifest, table, options.column, **how, folder=options.output)
    for part, (path, count) in parts.items():
        sys.stdout.write(f"{part} {count}: {path}\n")
    if options.output and options.output.resolve() != options.manifest.parent.resolve():
        sys.stdout.write(f"Relative paths in them start from {options.manifest.parent}: score them with --folder.\n")
    print_notes(origin(signature), "markdown")
    return 0


def _add_ratings(commands: Any) -> None:
    agree = commands.add_parser("agree", help="correlate scores with mean opinion scores")
    _add_several(agree)
    files = "CSV with id, rater, rating (1 to 5) and, for several tables, model, the table's name; several are joined"
    agree.add_argument("--ratings", type=Path, nargs="+", required=True, help=files)
    agree.add_argument("--key", type=Path, help="key of the sheet, if the ratings have items instead of models")
    agree.add_argument("--opinions", action="store_true", help="print the mean opinion scores instead")
    _add_printed(agree)
    agree.set_defaults(run=_agree)
    sheet = commands.add_parser("sheet", help="write a sheet to be filled in by raters, and its key")
    _add_several(sheet)
    sheet.add_argument("-o", "--output", type=Path, default=Path("sheet.csv"), help="(default: %(default)s)")
    sheet.add_argument("--key", type=Path, default=Path("key.csv"), help="for you alone (default: %(default)s)")
    sheet.add_argument("--clips", type=int, help="how many clips, drawn at random (default: all)")
    sheet.add_argument("--seed", type=int, default=0, help="of order, items and draw (default: %(default)s)")
    sheet.set_defaults(run=_sheet)


def _agree(options: argparse.Namespace) -> int:
    from torchmetrics_majorscore.evaluation.ratings import agree, mean_opinions, read_ratings

    tables, signature = read_tables(name_tables(options.tables))
    ratings = read_ratings(options.ratings, options.key)
    raters = f"{len(ratings)} ratings of {ratings['rater'].nunique()} raters."
    if options.opinions:
        print_table(mean_opinions(ratings), options.format)
        print_notes([raters, "In brackets: 95 % intervals of Student's t over raters."], options.format)
    else:
        print_table(agree(tables, ratings, options.columns, options.seed), options.format)
        print_notes([raters, _drawn(options.seed), *origin(signature)], options.format)
    return 0


def _sheet(options: argparse.Namespace) -> int:
    from torchmetrics_majorscore.evaluation.rating_sheet import draw_clips, write_sheet

    tables, _ = read_tables(name_tables(options.tables))
    clips = draw_clips(tables, options.clips, options.seed)
    write_sheet(clips, list(tables), options.output, options.key, options.seed)
    sys.stdout.write(
        f"{options.output}: {len(clips)} clips of {len(tables)} models, to be rated from 1 (worst) to 5.\n"
        f"{options.key}: the model of each item; keep it from the raters.\n"
    )
    return 0


def _add_report(commands: Any) -> None:
    report = commands.add_parser("report", help="write one page about tables: means, figures, a gallery, all clips")
    _add_several(report)
    report.add_argument(
        "-o", "--output", type=Path, default=Path("report.html"), help="page to write (default: %(default)s)"
    )
    report.add_argument("--manifest", type=Path, help="the first table's, for the clips of the gallery")
    report.add_argument("--mispaired", type=Path, help="table of the first table's clips with wrong captions")
    report.add_argument("--folder", type=Path, help="folder of the clips (default: the manifest's own)")
    report.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> int:
    from torchmetrics_majorscore.evaluation.report import write_report

    more = {name: getattr(options, name) for name in ("manifest", "mispaired", "folder")}
    write_report(name_tables(options.tables), options.output, **more)
    sys.stdout.write(f"written: {options.output}\n")
    return 0


def _add_several(command: Any) -> None:
    table = "table of majorscore score, or NAME=TABLE (default name: what tells the paths apart)"
    command.add_argument("tables", nargs="+", metavar="TABLE", help=table)


def _add_column(command: Any) -> None:
    default = "majorscore_average"
    command.add_argument("--column", default=default, help="score of the table (default: %(default)s)")


def _add_printed(command: Any) -> None:
    command.add_argument("--columns", nargs="+", help="columns of the tables (default: all)")
    command.add_argument("--seed", type=int, default=0, help="of the intervals (default: %(default)s)")
    add_format(command)


def add_format(command: Any) -> None:
    """Add the option ``--format``."""
    # As in evaluation.render, which is not imported to parse.
    choices = ("markdown", "latex", "csv")
    command.add_argument("--format", choices=choices, default="markdown", help="of tables (default: %(default)s)")


def print_table(frame: pd.DataFrame, form: Any, best: Mapping[str, str] | None = None) -> None:
    """Write a table in the format that was asked for."""
    from torchmetrics_majorscore.evaluation.render import render_table

    sys.stdout.write(render_table(frame, form, best))


def print_notes(notes: Sequence[str], form: str) -> None:
    """Write notes behind a table: as comments in LaTeX, to stderr for CSV, which has none."""
    if form == "csv":
        sys.stderr.write("".join(f"{note}\n" for note in notes))
    else:
        start = "% " if form == "latex" else ""
        sys.stdout.write("\n" + "".join(f"{start}{note}\n" for note in notes))


def _drawn(seed: int) -> str:
    return f"In brackets: 95 % bootstrap intervals, 1000 resamples of clips, seed {seed}."


def origin(signature: str) -> list[str]:
    """Give the notes on what made the scores."""
    return [f"signature: {signature}", *([MEANINGLESS] if is_seeded(signature) else [])]
