"""``majorscore ratings``: human ratings beside scores."""

import argparse
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.cli.ending import DONE
from torchmetrics_majorscore.cli.files import check_file, naming
from torchmetrics_majorscore.cli.options import SAID, add_printed, add_several
from torchmetrics_majorscore.cli.printing import Output, drawn
from torchmetrics_majorscore.tables.read import name_tables, read_tables


def add_commands(commands: Any) -> None:
    """Register the commands."""
    ratings = commands.add_parser("ratings", help="human ratings: how well scores agree, sheets to collect them")
    _add_ratings(ratings.add_subparsers(required=True, metavar="COMMAND"))


def _add_ratings(commands: Any) -> None:
    agree = commands.add_parser("agree", parents=[SAID], help="correlate scores with mean opinion scores")
    add_several(agree)
    files = "CSV with id, rater, rating (1 to 5) and, for several tables, model, the table's name; several are joined"
    agree.add_argument("--ratings", type=Path, nargs="+", required=True, help=files)
    agree.add_argument("--key", type=Path, help="key of the sheet, if the ratings have items instead of models")
    agree.add_argument("--opinions", action="store_true", help="print the mean opinion scores instead")
    add_printed(agree)
    agree.set_defaults(run=_agree)
    about = "write a sheet to be filled in by raters, and its key"
    sheet = commands.add_parser("sheet", parents=[SAID], help=about)
    add_several(sheet)
    sheet.add_argument("-o", "--output", type=Path, default=Path("sheet.csv"), help="(default: %(default)s)")
    sheet.add_argument("--key", type=Path, default=Path("key.csv"), help="for you alone (default: %(default)s)")
    sheet.add_argument("--clips", type=int, help="how many clips, drawn at random (default: all)")
    sheet.add_argument("--seed", type=int, default=0, help="of order, items and draw (default: %(default)s)")
    sheet.set_defaults(run=_sheet)


def _agree(options: argparse.Namespace, out: Output) -> int:
    from torchmetrics_majorscore.tables.agreement import agree, mean_opinions
    from torchmetrics_majorscore.tables.ratings import read_ratings

    tables, signature = read_tables(name_tables(options.tables))
    ratings = read_ratings(options.ratings, options.key)
    raters = f"{len(ratings)} ratings of {ratings['rater'].nunique()} raters."
    if options.opinions:
        out.table("opinions", mean_opinions(ratings))
        out.notes(raters, "In brackets: 95 % intervals of Student's t over raters.")
    else:
        out.table("agreement", agree(tables, ratings, options.columns, options.seed))
        out.record(ratings=len(ratings), raters=ratings["rater"].nunique(), seed=options.seed)
        out.notes(raters, drawn(options.seed))
        out.origin(signature)
    return DONE


def _sheet(options: argparse.Namespace, out: Output) -> int:
    from torchmetrics_majorscore.tables.rating_sheet import draw_clips, write_sheet

    check_file(options.output)
    check_file(options.key)
    tables, _ = read_tables(name_tables(options.tables))
    clips = draw_clips(tables, options.clips, options.seed)
    with naming(options.output):
        write_sheet(clips, list(tables), options.output, options.key, options.seed)
    out.record(clips=len(clips), models=len(tables), written=[options.output, options.key])
    out.notes(
        f"{options.output}: {len(clips)} clips of {len(tables)} models, to be rated from 1 (worst) to 5.",
        f"{options.key}: the model of each item; keep it from the raters.",
    )
    return DONE
