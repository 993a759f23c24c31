"""The command ``majorscore``: parse, call, print."""

import argparse
import sys
from collections.abc import Sequence

from torchmetrics_majorscore.cli import benchmark, duplicates, ratings, report, score, tables, training, weights

GROUPS = (training, score, benchmark, tables, ratings, report, duplicates, weights)


class _Version(argparse.Action):
    """Print the version; it is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from torchmetrics_majorscore import __version__

        parser.exit(message=f"{__version__}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: command line; None for the process's own.

    Returns:
        0 if all is well, 1 if a clip failed or weights differ, 2 if nothing could be done.
    """
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except (OSError, ValueError, ModuleNotFoundError) as error:
        sys.stderr.write(f"majorscore: {error}\n")
        return 2
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="majorscore", description="Score how well generated audio fits its video and caption."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(required=True)
    for group in GROUPS:
        group.add_commands(commands)
    return parser
