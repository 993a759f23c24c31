"""The command ``majorscore``: parse, call, print."""

import argparse
import os
import sys
from collections.abc import Sequence

from torchmetrics_majorscore.cli import (
    benchmark,
    duplicates,
    encoders,
    evaluate,
    fusion,
    ratings,
    report,
    score,
    tables,
    training,
    weights,
)
from torchmetrics_majorscore.cli.ending import EPILOG, INTERRUPTED, end
from torchmetrics_majorscore.cli.printing import Output
from torchmetrics_majorscore.cli.progress import Progress

GROUPS = (training, fusion, score, evaluate, benchmark, tables, ratings, report, duplicates, encoders, weights)


class _Version(argparse.Action):
    """Print the version; it is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from torchmetrics_majorscore import __version__

        parser.exit(message=f"{__version__}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: command line; None for the process's own, which is left at once if it was interrupted.

    Returns:
        The exit code, see :mod:`.ending`.
    """
    options = _parser().parse_args(arguments)
    with Progress(options.command, options.quiet, options.verbose) as progress:
        code = end(options.run, options, Output(options, progress))
    if code == INTERRUPTED and arguments is None:
        sys.stderr.flush()
        os._exit(code)  # at its end, the interpreter would wait for the clips that workers decode
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="majorscore",
        description="Score how well generated audio fits its video and caption.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    parser.set_defaults(again="the same command begins anew.")
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    for group in GROUPS:
        group.add_commands(commands)
    return parser
