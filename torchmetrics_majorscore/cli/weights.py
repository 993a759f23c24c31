"""``majorscore weights``: checkpoints downloaded, converted, verified, written with seeded numbers."""

import argparse
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.cli.encoders import find_entry
from torchmetrics_majorscore.cli.ending import DONE, PARTLY
from torchmetrics_majorscore.cli.files import check_folder
from torchmetrics_majorscore.cli.options import ENCODING, SAID
from torchmetrics_majorscore.cli.printing import Output
from torchmetrics_majorscore.cli.progress import stage
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.public import find_checkpoint
from torchmetrics_majorscore.extras import needs_extra, needs_extras
from torchmetrics_majorscore.tables.read import MEANINGLESS


def add_commands(commands: Any) -> None:
    """Register the command."""
    weights = commands.add_parser("weights", help="checkpoints: download, convert, verify, write seeded ones")
    _add_weights(weights.add_subparsers(required=True, metavar="COMMAND"))


def _add_weights(commands: Any) -> None:
    get = commands.add_parser(
        "get", parents=[SAID], help="download the files of encoders and networks, and verify them"
    )
    get.add_argument("names", nargs="+", metavar="NAME", help="as `majorscore encoders` lists them")
    get.set_defaults(run=_get, again="the same command keeps the files that are whole.")
    about = "write a pickled checkpoint's tensors to safetensors, beside it"
    convert = commands.add_parser("convert", parents=[SAID], help=about)
    convert.add_argument("checkpoints", type=Path, nargs="+", help=".pt files")
    convert.set_defaults(run=_convert)
    verify = commands.add_parser("verify", parents=[SAID], help="compare with the table in the model's README")
    verify.add_argument("--encoder", choices=("c-mcr", "ex-mcr"), default="c-mcr", help="(default: %(default)s)")
    verify.add_argument("--weights", help="folder of checkpoints (default: download)")
    verify.add_argument("--samples", type=Path, help="folder with the three images and sounds (default: download)")
    verify.set_defaults(run=_verify)
    about = "write random weights in the public layouts, to try the loaders"
    seeded = commands.add_parser("seeded", parents=[SAID], help=about)
    seeded.add_argument("folder", type=Path, help="gets 1.2 GB")
    seeded.set_defaults(run=_seeded)


def _get(options: argparse.Namespace, out: Output) -> int:
    needs_extra("huggingface_hub", "cmcr")
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if options.quiet:
        disable_progress_bars()
    files = dict.fromkeys(file for name in options.names for file in find_entry(name).files)
    if own := [file for file in files if find_checkpoint(file) is None]:
        raise ValueError(f"Expected names whose files are downloaded, got {', '.join(options.names)}, with {own[0]}.")
    got = {}
    for file in files:
        got[file] = Weights("").path(file)
        out.notes(str(got[file]))
    out.record(files=got)
    return DONE


def _convert(options: argparse.Namespace, out: Output) -> int:
    needs_extra("safetensors", "cmcr")
    for checkpoint in options.checkpoints:
        check_folder(checkpoint.parent)
    with stage("loading torch"):
        from torchmetrics_majorscore.encoders.checkpoints import convert

    written = []
    for checkpoint in options.checkpoints:
        with stage(f"converting {checkpoint}"):
            written.append(convert(checkpoint))
        out.notes(str(written[-1]))
    out.record(written=written)
    return DONE


def _verify(options: argparse.Namespace, out: Output) -> int:
    needs_extras(ENCODING)
    with stage("loading torch"):
        from torchmetrics_majorscore.scoring.verify import TOLERANCE, verify_weights

    with stage("encoding the samples"):
        results = verify_weights(options.weights, options.samples, options.encoder)
    for name, (ours, difference) in results.items():
        rows = " | ".join(" ".join(f"{value:.4f}" for value in row) for row in ours.tolist())
        out.result(f"{name}: {rows}   largest difference {difference:.4f}")
        out.record(**{name: {"ours": ours.tolist(), "largest_difference": difference}})
    fits = all(difference <= TOLERANCE for _, difference in results.values())
    seeded = str(options.weights) == "seeded" or (Path(options.weights or ".") / "SEEDED").is_file()
    if seeded:
        out.result(MEANINGLESS)
    out.record(fits=fits, tolerance=TOLERANCE, seeded=seeded)
    verdict = "the weights give" if fits else "the weights do not give"
    out.result(f"{verdict} the published table (tolerance {TOLERANCE}).")
    return DONE if fits else PARTLY


def _seeded(options: argparse.Namespace, out: Output) -> int:
    needs_extras({"safetensors": "cmcr", "transformers": "cmcr"})
    check_folder(options.folder)
    with stage("loading torch"):
        from torchmetrics_majorscore.encoders.seeded import write_seeded

    with stage("writing seeded weights"):
        write_seeded(options.folder)
    out.record(written=options.folder)
    out.notes(f"{options.folder} holds seeded weights. {MEANINGLESS}")
    return DONE
