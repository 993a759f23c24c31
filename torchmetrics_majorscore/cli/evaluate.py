"""``majorscore evaluate``: generated clips against real ones, the table of a video-to-audio paper."""

import argparse
import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.cli.ending import DONE, NOTHING, PARTLY
from torchmetrics_majorscore.cli.files import check_file, naming
from torchmetrics_majorscore.cli.options import ENCODING, SAID, add_encoding, add_format, add_pairs, clips, encoding
from torchmetrics_majorscore.cli.printing import Output, drawn
from torchmetrics_majorscore.extras import needs_extras
from torchmetrics_majorscore.media.url import to_place

if TYPE_CHECKING:
    from torchmetrics_majorscore.media.url import Url
    from torchmetrics_majorscore.networks import SharedNetwork
    from torchmetrics_majorscore.networks.synchrony import SharedSync
    from torchmetrics_majorscore.scoring.paper_table import Column

CLAPS = ("clap", "clap-music", "clap-audioset")


def add_commands(commands: Any) -> None:
    """Register the command."""
    about = "evaluate generated clips against real ones: MAJORScores, FD, KL, IS and more in one table"
    evaluate = commands.add_parser("evaluate", parents=[SAID], help=about)
    clip = "CSV, TSV, JSONL or Parquet with id, video, audio, text; or a folder; a file, or an address like s3://"
    evaluate.add_argument("manifest", metavar="GENERATED", type=to_place, help=f"{clip}; also of sounds alone")
    evaluate.add_argument("--folder", type=to_place, help="folder of the generated clips (default: the manifest's own)")
    real = "the real clips, likewise, with the same ids; their pictures and captions serve generated sounds too"
    evaluate.add_argument("--reference", metavar="REAL", type=to_place, help=real)
    evaluate.add_argument(
        "--reference-folder", type=to_place, help="folder of the real clips (default: as for --folder)"
    )
    networks = "networks of published columns (default: those whose files are in the folder of weights)"
    evaluate.add_argument("--networks", nargs="*", metavar="NAME", help=networks)
    profile = "how sounds come to these networks; av-benchmark as in its tables (default: %(default)s)"
    evaluate.add_argument("--profile", choices=("default", "av-benchmark"), default="default", help=profile)
    onsets = "add accuracy, average precision and F1 of the onsets that are heard in both sounds"
    evaluate.add_argument("--onsets", choices=("strict", "mmaudio"), help=onsets)
    frames = "add avhscore, javisscore and synchrony, over so many frames per second, 1.5 or more"
    evaluate.add_argument("--frames", type=float, metavar="FPS", help=frames)
    labels = "file with a label in a line for the zero-shot columns (default: VGGSound's 309)"
    evaluate.add_argument("--labels", type=Path, help=labels)
    output = "per-clip table, with .json and embeddings beside it (default: %(default)s)"
    evaluate.add_argument("-o", "--output", type=Path, default=Path("evaluation.csv"), help=output)
    add_pairs(evaluate)
    evaluate.add_argument("--baseline", action="store_true", help="add clipscore and clapscore")
    clap = "CLAP of the clapscore, which it adds; clap-music is that of av-benchmark (default: as --encoder has it)"
    evaluate.add_argument("--clap", choices=CLAPS, help=clap)
    evaluate.add_argument("--name", help="of the row to paste (default: that of GENERATED, or of its folder)")
    evaluate.add_argument("--seed", type=int, default=0, help="of the intervals (default: %(default)s)")
    add_encoding(evaluate)
    add_format(evaluate)
    evaluate.set_defaults(run=_evaluate, again="What is encoded is kept beside {output}; the same command continues.")


def _evaluate(options: argparse.Namespace, out: Output) -> int:
    needs_extras(ENCODING | {"scipy": "evaluation"})
    check_file(options.output)
    generated = clips(options, out)
    reference = None
    if options.reference:
        real = argparse.Namespace(**vars(options) | {"manifest": options.reference, "folder": options.reference_folder})
        reference = clips(real, out)
    how = encoding(options, options.baseline or bool(options.clap))
    networks, sync, missing = _networks(options, how["encoder"])
    from torchmetrics_majorscore.scoring.evaluate import EvaluateOptions, evaluate_clips

    given = {name: getattr(options, name) for name in ("clap", "pairs", "frames", "seed")}
    chosen = EvaluateOptions(networks=networks, sync=sync, **given, **how)
    with naming(options.output), out.progress.bar(len(generated) + len(reference or ()), "clip") as advance:
        found = evaluate_clips(generated, reference, options.output, chosen, advance)
    _print(found.columns, options, out)
    lines = [f"{name}: {column.remark}" for name, column in found.columns.items() if column.remark]
    if reference is None:
        missing.insert(0, "Without --reference there are no distances and divergences.")
    if found.unpaired:
        missing.append(f"{len(found.unpaired)} generated clips have no reference, e.g. {found.unpaired[0]!r}.")
    if found.changed:
        missing.append(f"{len(found.changed)} clips have changed and were encoded again, e.g. {found.changed[0]!r}.")
    out.record(columns=found.columns, unpaired=found.unpaired, changed=found.changed, seed=options.seed)
    out.notes(*missing, *lines, drawn(options.seed))
    first, *others = dict.fromkeys(column.signature for column in found.columns.values())
    out.origin(first)
    out.notes(*(f"signature: {signature}" for signature in others))
    out.failures(found.failures, len(generated), f"in the column error of {options.output}")
    any_value = any(column.n for column in found.columns.values())
    return (PARTLY if found.failures else DONE) if any_value else NOTHING


def _networks(
    options: argparse.Namespace, encoder: Any
) -> tuple[dict[str, "SharedNetwork"], "SharedSync | None", list[str]]:
    """Give the networks that hear, and the one that also sees; say which columns are left out and what they need."""
    from torchmetrics_majorscore.networks import NETWORKS, load_network
    from torchmetrics_majorscore.networks.onsets import ONSETS, load_onsets
    from torchmetrics_majorscore.networks.synchrony import load_sync
    from torchmetrics_majorscore.networks.table import SYNC
    from torchmetrics_majorscore.networks.zero_shot import zero_shot_network

    found: dict[str, SharedNetwork] = {}
    if {"text", "audio"} <= set(encoder.modalities):
        found["zero_shot"] = zero_shot_network(encoder, options.labels)
    if options.onsets:
        found[ONSETS] = load_onsets(options.onsets)
    sync, lost = None, []
    bundled = options.weights is None and not os.environ.get("MAJORSCORE_WEIGHTS")
    for name in [*NETWORKS, "synchformer"] if options.networks is None else options.networks:
        if options.networks is None and (bundled or options.weights == "seeded"):
            lost.append(name)
            continue
        try:
            if name in SYNC:
                own = options.weights if SYNC[name].bundle is None else None
                sync = load_sync(name, weights=own, profile=options.profile)
            else:
                found[name] = load_network(name, weights=options.weights, profile=options.profile)
        except FileNotFoundError as error:
            if options.networks is not None:
                raise
            lost.append(f"{name} ({error})")
    if sync is None and encoder.portable_key.partition("|")[0] == "c-mcr-tiny":
        sync = load_sync("sync-tiny")
    if lost:
        return found, sync, [f"Left out: columns of {', '.join(lost)}; name them in --networks."]
    return found, sync, []


def _print(columns: dict[str, "Column"], options: argparse.Namespace, out: Output) -> None:
    import pandas as pd

    rows = [
        {"column": name, "value": c.value, "value_low": c.low, "value_high": c.high, "n": c.n, "left out": c.lost}
        for name, c in columns.items()
    ]
    out.table("table", pd.DataFrame(rows).set_index("column"))
    row = {"model": options.name or _name(options.manifest)} | {
        column: found.value for column, found in columns.items()
    }
    out.table("row", pd.DataFrame([row]).set_index("model"))


def _name(manifest: "Path | Url") -> str:
    """Name the row of a model: a file that is called as every other is named by its folder."""
    place = manifest.resolve() if isinstance(manifest, Path) else manifest
    if isinstance(place, Path) and place.is_dir():
        return place.name
    stem = PurePath(place.name).stem
    return place.parent.name if stem == "manifest" else stem
