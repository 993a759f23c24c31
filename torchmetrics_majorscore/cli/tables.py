"""``majorscore compare``, ``rank``, ``filter``: what finished tables say."""

import argparse
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.cli.ending import DONE
from torchmetrics_majorscore.cli.options import SAID, add_column, add_format, add_printed, add_several
from torchmetrics_majorscore.cli.printing import Output, drawn
from torchmetrics_majorscore.tables.read import LOWER_IS_BETTER, name_tables, read_scores, read_tables


def add_commands(commands: Any) -> None:
    """Register the commands."""
    _add_compare(commands)
    _add_rank(commands)
    _add_filter(commands)


def _add_compare(commands: Any) -> None:
    about = "compare generators over the clips that their tables have in common"
    compare = commands.add_parser("compare", parents=[SAID], help=about)
    add_several(compare)
    add_printed(compare)
    compare.set_defaults(run=_compare)


def _compare(options: argparse.Namespace, out: Output) -> int:
    from torchmetrics_majorscore.tables.comparison import compare_models

    tables, signature = read_tables(name_tables(options.tables))
    found = compare_models(tables, options.columns, options.seed)
    best = {name: "min" if name in LOWER_IS_BETTER else "max" for name in found.means if name != "n"}
    out.table("means", found.means, best if len(tables) > 1 else {})
    if len(tables) > 1:
        out.table("tests", found.tests)
    out.record(dropped=found.dropped, seed=options.seed)
    notes = [f"{len(found.dropped)} clips dropped, {found.means['n'].iloc[0]} common to all."]
    for reason, rows in found.dropped.groupby("reason", sort=False):
        detail = f": {rows['detail'].iloc[0]}" if rows["detail"].iloc[0] else ""
        notes.append(f"  {len(rows)} {reason}, e.g. {rows.index[0]}{detail}")
    out.notes(*notes, drawn(options.seed))
    out.origin(signature)
    return DONE


def _add_rank(commands: Any) -> None:
    rank = commands.add_parser("rank", parents=[SAID], help="rank the candidates of each prompt")
    rank.add_argument("table", type=Path, help="table of majorscore score; ids like prompt/candidate, or see --prompt")
    add_column(rank)
    rank.add_argument("--manifest", type=Path, help="manifest with a column of prompts")
    rank.add_argument("--prompt", default="prompt", help="the manifest's column of prompts (default: %(default)s)")
    rank.add_argument("--penalty", type=float, default=0.0, help="subtract this times fairscore (default: %(default)s)")
    rank.add_argument("--best", type=int, help="candidates to give of each prompt (default: all)")
    add_format(rank)
    rank.set_defaults(run=_rank)


def _rank(options: argparse.Namespace, out: Output) -> int:
    from torchmetrics_majorscore.tables.manifest import pick_column, read_rows
    from torchmetrics_majorscore.tables.ranking import best_candidates, rank_candidates

    table, signature = read_scores(options.table)
    prompts = pick_column(read_rows(options.manifest), options.prompt) if options.manifest else None
    ranked = rank_candidates(table, options.column, prompts, options.penalty)
    out.table("ranked", ranked if options.best is None else best_candidates(ranked, options.best))
    score = f"{options.column} - {options.penalty:g} * fairscore" if options.penalty else options.column
    without = set(ranked.index.unique("prompt")) - set(ranked.dropna().index.unique("prompt"))
    notes = [f"score: {score}", f"{ranked['rank'].isna().sum()} of {len(ranked)} candidates have no score and no rank."]
    notes += [f"No candidate has a score: {', '.join(sorted(without))}"] if without else []
    out.record(score=score)
    out.notes(*notes)
    out.origin(signature)
    return DONE


def _add_filter(commands: Any) -> None:
    about = "split a manifest into clips to keep and clips to reject, by a score"
    judge = commands.add_parser("filter", parents=[SAID], help=about)
    judge.add_argument("manifest", type=Path, help="CSV, TSV, JSONL or Parquet")
    judge.add_argument("table", type=Path, help="its table of majorscore score")
    add_column(judge)
    limit = judge.add_mutually_exclusive_group(required=True)
    limit.add_argument("--threshold", type=float, help="keep scores of at least this (fairscore: at most)")
    limit.add_argument("--quantile", type=float, help="share of the clips to reject, the worst ones, e.g. 0.2")
    judge.add_argument("--by-class", metavar="COLUMN", help="the quantile of each class; a column of the manifest")
    folder = "gets NAME.kept.csv and NAME.rejected.csv (default: the manifest's own, which relative paths start from)"
    judge.add_argument("-o", "--output", type=Path, help=folder)
    judge.add_argument("--overwrite", action="store_true", help="replace files that have these names")
    judge.set_defaults(run=_filter)


def _filter(options: argparse.Namespace, out: Output) -> int:
    from torchmetrics_majorscore.tables.refine import split_manifest

    table, signature = read_scores(options.table)
    how = {name: getattr(options, name) for name in ("threshold", "quantile", "by_class", "overwrite")}
    parts = split_manifest(options.manifest, table, options.column, **how, folder=options.output)
    for part, (path, count) in parts.items():
        out.record(**{part: {"count": count, "written": path}})
        out.notes(f"{part} {count}: {path}")
    if options.output and options.output.resolve() != options.manifest.parent.resolve():
        out.notes(f"Relative paths in them start from {options.manifest.parent}: score them with --folder.")
    out.origin(signature)
    return DONE
