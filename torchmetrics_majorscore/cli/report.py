"""``majorscore report``: one page about tables."""

import argparse
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.cli.ending import DONE
from torchmetrics_majorscore.cli.files import check_file, naming
from torchmetrics_majorscore.cli.options import SAID, add_several
from torchmetrics_majorscore.cli.printing import Output
from torchmetrics_majorscore.cli.progress import stage
from torchmetrics_majorscore.extras import needs_extras
from torchmetrics_majorscore.tables.read import name_tables


def add_commands(commands: Any) -> None:
    """Register the command."""
    about = "write one page about tables: means, figures, a gallery, all clips"
    report = commands.add_parser("report", parents=[SAID], help=about)
    add_several(report)
    report.add_argument(
        "-o", "--output", type=Path, default=Path("report.html"), help="page to write (default: %(default)s)"
    )
    manifest = "the first table's, for the clips of the gallery; again for the second table's, and so on"
    report.add_argument("--manifest", type=Path, action="append", default=[], dest="manifests", help=manifest)
    report.add_argument("--mispaired", type=Path, help="table of the first table's clips with wrong captions")
    report.add_argument("--folder", type=Path, help="folder of the clips (default: each manifest's own)")
    report.set_defaults(run=_report)


def _report(options: argparse.Namespace, out: Output) -> int:
    needs = dict.fromkeys(("jinja2", "matplotlib", "pandas"), "evaluation")
    needs_extras(needs | ({"av": "media"} if options.manifests else {}))
    check_file(options.output)
    from torchmetrics_majorscore.report.page import write_report

    more = {name: getattr(options, name) for name in ("manifests", "mispaired", "folder")}
    with stage("drawing the page"), naming(options.output):
        write_report(name_tables(options.tables), options.output, **more)
    out.record(written=options.output)
    out.notes(f"written: {options.output}")
    return DONE
