"""The command ``majorscore``: parse, call, print."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torchmetrics_majorscore import __version__
from torchmetrics_majorscore.cli_benchmark import add_benchmark, add_encoding, encoding
from torchmetrics_majorscore.cli_duplicates import add_duplicates
from torchmetrics_majorscore.cli_tables import add_tables
from torchmetrics_majorscore.evaluation.scores_file import MEANINGLESS
from torchmetrics_majorscore.extras import needs_extra


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
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True)
    _add_demo(commands)
    _add_score(commands)
    add_benchmark(commands)
    _add_training(commands)
    add_tables(commands)
    add_duplicates(commands)
    weights = commands.add_parser("weights", help="checkpoints: convert, verify, write seeded ones")
    _add_weights(weights.add_subparsers(required=True))
    return parser


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


def _add_score(commands: Any) -> None:
    score = commands.add_parser("score", help="score the clips of a manifest")
    score.add_argument("manifest", type=Path, help="CSV, TSV or JSONL with id, video, audio, text; or a folder")
    score.add_argument("--folder", type=Path, help="folder of the clips (default: the manifest's own)")
    score.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("scores.csv"),
        help="per-clip table, with a .json summary beside it; a table that exists is continued (default: %(default)s)",
    )
    pairs = "pairs of the MAJORScores: text, all, or like video-audio,text-audio (default: %(default)s)"
    score.add_argument("--pairs", default="text", help=pairs)
    score.add_argument("--baseline", action="store_true", help="add clipscore and clapscore")
    score.add_argument("--retry-failed", action="store_true", help="score the clips again whose row has an error")
    add_encoding(score)
    score.set_defaults(run=_score)


def _score(options: argparse.Namespace) -> int:
    needs_extra("av", "media")
    from tqdm import tqdm

    from torchmetrics_majorscore.evaluation import ScoreOptions, score_clips
    from torchmetrics_majorscore.media import read_manifest

    entries = read_manifest(options.manifest, options.folder)
    pairs = options.pairs.split(",") if "-" in options.pairs else options.pairs
    own = {"baseline": options.baseline, "retry_failed": options.retry_failed}
    how = ScoreOptions(pairs=pairs, **own, **encoding(options))
    with tqdm(total=len(entries), unit="clip") as bar:
        summary = score_clips(entries, options.output, how, bar.update)
    _print_summary(summary, options.output)
    return 1 if summary["failed"] else 0


def _print_summary(summary: dict[str, Any], path: Path) -> None:
    lines = [f"{clip}: {reason}" for clip, reason in summary["failures"].items()]
    lines += [
        f"{name:24} {column['mean'] if column['count'] else float('nan'):9.4f}   mean of {column['count']} clips"
        for name, column in summary["columns"].items()
    ]
    lines += [f"signature: {summary['signature']}", f"written: {path} and {path.with_suffix('.json')}"]
    lines += [MEANINGLESS] if summary["seeded"] else []
    lines.append(f"{summary['failed']} of {summary['clips']} clips failed, in whole or in part.")
    sys.stdout.write("\n".join(lines) + "\n")


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
    from torchmetrics_majorscore.evaluation.verify import TOLERANCE, verify_weights

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
