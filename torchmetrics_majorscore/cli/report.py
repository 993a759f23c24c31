"""``majorscore report``: one page about tables."""

import argparse
import sys
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.cli.options import add_several
from torchmetrics_majorscore.tables.read import name_tables


def add_commands(commands: Any) -> None:
    """Register the command."""
    report = commands.add_parser("report", help="write one page about tables: means, figures, a gallery, all clips")
    add_several(report)
    report.add_argument(
        "-o", "--output", type=Path, default=Path("report.html"), help="page to write (default: %(default)s)"
    )
    report.add_argument("--manifest", type=Path, help="the first table's, for the clips of the gallery")
    report.add_argument("--mispaired", type=Path, help="table of the first table's clips with wrong captions")
    report.add_argument("--folder", type=Path, help="folder of the clips (default: the manifest's own)")
    report.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> int:
    from torchmetrics_majorscore.report.page import write_report

    more = {name: getattr(options, name) for name in ("manifest", "mispaired", "folder")}
    write_report(name_tables(options.tables), options.output, **more)
    sys.stdout.write(f"written: {options.output}\n")
    return 0
