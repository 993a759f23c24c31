"""Options that several commands share."""

import argparse
from typing import Any

JOINT = ("c-mcr", "c-mcr-tiny")


def add_encoding(parser: argparse.ArgumentParser) -> None:
    """Add the options of everything that encodes clips."""
    parser.add_argument("--encoder", default="c-mcr", choices=JOINT, help="joint encoder (default: %(default)s)")
    parser.add_argument("--weights", help="folder of checkpoints, or 'seeded' for random ones (default: download)")
    pool = "mean over frames behind or in front of the head (default: %(default)s)"
    parser.add_argument("--pool", choices=("after_head", "before_head"), default="after_head", help=pool)
    precision = "of the networks; bf16 is faster where the processor knows it (default: %(default)s)"
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32", help=precision)
    track = "which of several sound tracks, counted from 0, where the manifest names none (default: the one flagged)"
    parser.add_argument("--audio-track", type=int, metavar="N", help=track)
    parser.add_argument("--batch-size", type=int, default=8, help="clips per encoder call (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="decoding threads (default: %(default)s)")
    parser.add_argument("--device", help="cpu, cuda, ... (default: a GPU if there is one)")


def encoding(options: argparse.Namespace) -> dict[str, Any]:
    """Give the options of :func:`add_encoding` as :class:`.ScoreOptions` takes them."""
    from torchmetrics_majorscore.encoders import load_encoder

    own = {name: getattr(options, name) for name in ("weights", "pool", "precision")}
    rest = {name: getattr(options, name) for name in ("batch_size", "workers", "device")}
    return {"encoder": load_encoder(options.encoder, **own), **rest}


def add_several(command: Any) -> None:
    """Add the tables that a command compares."""
    table = "table of majorscore score, or NAME=TABLE (default name: what tells the paths apart)"
    command.add_argument("tables", nargs="+", metavar="TABLE", help=table)


def add_column(command: Any) -> None:
    """Add the option ``--column``."""
    default = "majorscore_average"
    command.add_argument("--column", default=default, help="score of the table (default: %(default)s)")


def add_printed(command: Any) -> None:
    """Add the options of everything that prints columns with intervals."""
    command.add_argument("--columns", nargs="+", help="columns of the tables (default: all)")
    command.add_argument("--seed", type=int, default=0, help="of the intervals (default: %(default)s)")
    add_format(command)


def add_format(command: Any) -> None:
    """Add the option ``--format``."""
    # As in tables.render, which is not imported to parse.
    choices = ("markdown", "latex", "csv")
    command.add_argument("--format", choices=choices, default="markdown", help="of tables (default: %(default)s)")
