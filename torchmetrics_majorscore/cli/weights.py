"""``majorscore weights``: checkpoints converted, verified, written with seeded numbers."""

import argparse
import sys
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.tables.read import MEANINGLESS


def add_commands(commands: Any) -> None:
    """Register the commands."""
    weights = commands.add_parser("weights", help="checkpoints: convert, verify, write seeded ones")
    _add_weights(weights.add_subparsers(required=True))


def _add_weights(commands: Any) -> None:
    convert = commands.add_parser("convert", help="write a pickled checkpoint's tensors to safetensors, beside it")
    convert.add_argument("checkpoints", type=Path, nargs="+", help=".pt files")
    convert.set_defaults(run=_convert)
    verify = commands.add_parser("verify", help="compare with the table in the C-MCR README")
    verify.add_argument("--weights", help="folder of checkpoints (default: download)")
    verify.add_argument("--samples", type=Path, help="folder with the three images and sounds (default: download)")
    verify.set_defaults(run=_verify)
    seeded = commands.add_parser("seeded", help="write random weights in the public layouts, to try the loaders")
    seeded.add_argument("folder", type=Path, help="gets 1.2 GB")
    seeded.set_defaults(run=_seeded)


def _convert(options: argparse.Namespace) -> int:
    from torchmetrics_majorscore.encoders.checkpoints import convert

    for checkpoint in options.checkpoints:
        sys.stdout.write(f"{convert(checkpoint)}\n")
    return 0


def _verify(options: argparse.Namespace) -> int:
    needs_extra("av", "media")
    from torchmetrics_majorscore.scoring.verify import TOLERANCE, verify_weights

    results = verify_weights(options.weights, options.samples)
    for name, (ours, difference) in results.items():
        rows = " | ".join(" ".join(f"{value:.4f}" for value in row) for row in ours.tolist())
        sys.stdout.write(f"{name}: {rows}   largest difference {difference:.4f}\n")
    fits = all(difference <= TOLERANCE for _, difference in results.values())
    if str(options.weights) == "seeded" or (Path(options.weights or ".") / "SEEDED").is_file():
        sys.stdout.write(f"{MEANINGLESS}\n")
    verdict = "the weights give" if fits else "the weights do not give"
    sys.stdout.write(f"{verdict} the published table (tolerance {TOLERANCE}).\n")
    return 0 if fits else 1


def _seeded(options: argparse.Namespace) -> int:
    from torchmetrics_majorscore.encoders.seeded import write_seeded

    write_seeded(options.folder)
    sys.stdout.write(f"{options.folder} holds seeded weights. {MEANINGLESS}\n")
    return 0
