"""``majorscore demo``, ``world``, ``connect`` and ``train-tiny``: the embedded world and joint spaces of one's own."""

import argparse
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.cli.ending import DONE
from torchmetrics_majorscore.cli.files import check_folder
from torchmetrics_majorscore.cli.options import ENCODING, SAID
from torchmetrics_majorscore.cli.printing import Output
from torchmetrics_majorscore.cli.progress import stage
from torchmetrics_majorscore.extras import needs_extra, needs_extras

LIGHTNING = {"lightning": "lightning"}
NETWORKS = ("c-mcr-tiny", "sync-tiny", "sounds-tiny")


def add_commands(commands: Any) -> None:
    """Register the commands."""
    _add_demo(commands)
    _add_training(commands)


def _add_demo(commands: Any) -> None:
    about = "score an embedded world, and go on training a small video-to-audio model on it"
    demo = commands.add_parser("demo", parents=[SAID], help=about)
    demo.add_argument(
        "-o", "--output", type=Path, default=Path("majorscore-demo"), help="folder (default: %(default)s)"
    )
    demo.add_argument("--seed", type=int, default=0, help="of scenes (default: %(default)s)")
    demo.set_defaults(run=_demo)


def _demo(options: argparse.Namespace, out: Output) -> int:
    needs_extras(ENCODING | LIGHTNING | dict.fromkeys(("matplotlib", "scipy"), "evaluation"))
    check_folder(options.output)
    with stage("loading torch and Lightning"):
        from torchmetrics_majorscore.demo import DemoOptions, run_demo

    demo = DemoOptions(seed=options.seed)
    with out.progress.bar(demo.work, "clip") as advance:
        numbers = run_demo(options.output, demo, out.result, advance)
    out.record(numbers=numbers, written=options.output)
    return DONE


def _add_training(commands: Any) -> None:
    about = "train C-MCR heads between two frozen encoders that share text"
    connect = commands.add_parser("connect", parents=[SAID], help=about)
    connect.add_argument("config", type=Path, help="YAML, see docs/connect.yaml")
    connect.set_defaults(run=_connect, again="embeddings that were finished are kept, and found by the same command.")
    about = "train a network of the embedded world on it, from its seed"
    tiny = commands.add_parser("train-tiny", parents=[SAID], help=about)
    tiny.add_argument("folder", type=Path, help="gets the bundle; use it with weights=FOLDER")
    which = "c-mcr-tiny, sync-tiny (DeSync) or sounds-tiny (latents of sounds) (default: %(default)s)"
    tiny.add_argument("--network", choices=NETWORKS, default=NETWORKS[0], help=which)
    tiny.add_argument("--seed", type=int, default=0, help="of everything (default: %(default)s)")
    tiny.set_defaults(run=_train_tiny)
    about = "write scenes of the embedded world: a contact sheet and videos"
    world = commands.add_parser("world", parents=[SAID], help=about)
    world.add_argument("folder", type=Path)
    world.add_argument("--count", type=int, default=24, help="scenes (default: %(default)s)")
    world.add_argument("--seed", type=int, default=0, help="of the scenes (default: %(default)s)")
    world.set_defaults(run=_world)


def _connect(options: argparse.Namespace, out: Output) -> int:
    needs_extras(ENCODING | LIGHTNING)
    with stage("loading torch"):
        from torchmetrics_majorscore.training.memories import connect

    written = connect(options.config)
    out.record(written=written)
    out.notes(str(written))
    return DONE


def _train_tiny(options: argparse.Namespace, out: Output) -> int:
    needs_extras(ENCODING | LIGHTNING)
    check_folder(options.folder)
    with stage("loading torch"):
        from torchmetrics_majorscore.training.bundle import BundleOptions, train_bundle
        from torchmetrics_majorscore.training.generator.sounds import SoundOptions, train_sounds
        from torchmetrics_majorscore.training.synchrony import SyncOptions, train_sync

    if options.network == "c-mcr-tiny":
        train_bundle(options.folder, BundleOptions(seed=options.seed))
        use = f"use it with --encoder c-mcr-tiny --weights {options.folder}"
    elif options.network == "sync-tiny":
        train_sync(options.folder, SyncOptions(seed=options.seed))
        use = f'use it with load_sync("sync-tiny", weights="{options.folder}")'
    else:
        train_sounds(options.folder, SoundOptions(seed=options.seed))
        use = f'use it with load_sounds("{options.folder}")'
    out.record(written=options.folder)
    out.notes(f"{options.folder} holds the bundle: {use}")
    return DONE


def _world(options: argparse.Namespace, out: Output) -> int:
    needs_extra("av", "media")
    check_folder(options.folder)
    with stage("loading torch"):
        from torchmetrics_majorscore.training.world.view import write_world

    with out.progress.bar(options.count, "scene") as advance:
        written = write_world(options.folder, options.count, options.seed, advance)
    out.record(written=written)
    out.notes(*map(str, written))
    return DONE
