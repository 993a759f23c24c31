"""``majorscore demo``, ``world``, ``connect`` and ``train-tiny``: the embedded world and joint spaces of one's own."""

import argparse
import sys
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.extras import needs_extra


def add_commands(commands: Any) -> None:
    """Register the commands."""
    _add_demo(commands)
    _add_training(commands)


def _add_demo(commands: Any) -> None:
    demo = commands.add_parser("demo", help="score an embedded world and train a small video-to-audio model on it")
    demo.add_argument(
        "-o", "--output", type=Path, default=Path("majorscore-demo"), help="folder (default: %(default)s)"
    )
    demo.add_argument("--seed", type=int, default=0, help="of scenes, weights and batches (default: %(default)s)")
    demo.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> int:
    for package, extra in (("open_clip", "cmcr"), ("lightning", "lightning"), ("av", "media")):
        needs_extra(package, extra)
    from torchmetrics_majorscore.demo import DemoOptions, run_demo

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    run_demo(options.output, DemoOptions(seed=options.seed), say)
    return 0


def _add_training(commands: Any) -> None:
    connect = commands.add_parser("connect", help="train C-MCR heads between two frozen encoders that share text")
    connect.add_argument("config", type=Path, help="YAML, see docs/connect.yaml")
    connect.set_defaults(run=_connect)
    tiny = commands.add_parser("train-tiny", help="train c-mcr-tiny on the embedded world, from its seed")
    tiny.add_argument("folder", type=Path, help="gets the bundle; use it with weights=FOLDER")
    tiny.add_argument("--seed", type=int, default=0, help="of everything (default: %(default)s)")
    tiny.set_defaults(run=_train_tiny)
    world = commands.add_parser("world", help="write scenes of the embedded world: a contact sheet and videos")
    world.add_argument("folder", type=Path)
    world.add_argument("--count", type=int, default=24, help="scenes (default: %(default)s)")
    world.add_argument("--seed", type=int, default=0, help="of the scenes (default: %(default)s)")
    world.set_defaults(run=_world)


def _connect(options: argparse.Namespace) -> int:
    needs_extra("lightning", "lightning")
    from torchmetrics_majorscore.training.memories import connect

    sys.stdout.write(f"{connect(options.config)}\n")
    return 0


def _train_tiny(options: argparse.Namespace) -> int:
    needs_extra("lightning", "lightning")
    from torchmetrics_majorscore.training.bundle import BundleOptions, train_bundle

    train_bundle(options.folder, BundleOptions(seed=options.seed))
    sys.stdout.write(
        f"{options.folder} holds the bundle: use it with --encoder c-mcr-tiny --weights {options.folder}\n"
    )
    return 0


def _world(options: argparse.Namespace) -> int:
    from torchmetrics_majorscore.training.world.view import write_world

    for path in write_world(options.folder, options.count, options.seed):
        sys.stdout.write(f"{path}\n")
    return 0
