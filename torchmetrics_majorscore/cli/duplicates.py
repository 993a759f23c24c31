"""The subcommands of ``majorscore`` that find clips which are in two places: duplicates, overlap."""

import argparse
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.cli.ending import DONE
from torchmetrics_majorscore.cli.options import SAID, add_format
from torchmetrics_majorscore.cli.printing import Output
from torchmetrics_majorscore.extras import needs_extras
from torchmetrics_majorscore.tables.read import name_tables


def add_commands(commands: Any) -> None:
    """Register the commands."""
    about = "pairs of clips that look and sound alike, by embeddings"
    duplicates = commands.add_parser("duplicates", parents=[SAID], help=about)
    files = "file of majorscore benchmark; of two files, the pairs between them"
    duplicates.add_argument("embeddings", type=Path, nargs="+", metavar="EMBEDDINGS", help=files)
    limit = "smallest cosine of each modality; unrelated clips have other cosines with each encoder"
    duplicates.add_argument("--threshold", type=float, required=True, help=limit)
    modalities = "names of the file's embeddings (default: %(default)s)"
    duplicates.add_argument("--modalities", nargs="+", default=["video", "audio"], help=modalities)
    every = "compare every pair of clips, however many there are (default: of more than 50 000 clips, by an index)"
    duplicates.add_argument("--exact", action="store_true", default=None, help=every)
    add_format(duplicates)
    duplicates.set_defaults(run=_duplicates)
    about = "clips of test lists that are in training lists, by id"
    overlap = commands.add_parser("overlap", parents=[SAID], help=about)
    lists = "manifests, or NAME=MANIFEST (default name: what tells the paths apart)"
    for side in ("test", "train"):
        overlap.add_argument(f"--{side}", nargs="+", required=True, metavar="MANIFEST", help=lists)
    part = r"regular expression whose group is the part of an id to compare, e.g. '^(.{11})_' for VGGSound's videos"
    overlap.add_argument("--pattern", help=part)
    add_format(overlap)
    overlap.set_defaults(run=_overlap)


def _duplicates(options: argparse.Namespace, out: Output) -> int:
    needs_extras(dict.fromkeys(("pandas", "safetensors"), "evaluation"))
    from torchmetrics_majorscore.tables.duplicates import list_duplicates
    from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings

    if len(options.embeddings) > 2:
        raise ValueError(f"Expected one or two files of embeddings, got {len(options.embeddings)}.")
    files = [ClipEmbeddings.load(path) for path in options.embeddings]
    how = {"threshold": options.threshold, "names": options.modalities, "exact": options.exact}
    pairs, recall = list_duplicates(*files, **how)
    out.table("pairs", pairs)
    found = [pairs["other"].nunique(), len(files[-1].ids)]
    out.record(clips=found[1], in_other=found[0], threshold=options.threshold, index=recall)
    out.notes(
        f"{len(pairs)} pairs; {found[0]} of {found[1]} clips stand in the column other: without them, none is left."
    )
    out.notes(
        "Every pair of clips was compared."
        if recall is None
        else f"Found by an index of {recall.cells} cells, of which {recall.probed} were searched for each clip. Of "
        f"{recall.pairs} pairs that {recall.clips} clips drawn at random have, it found {recall.found}."
    )
    out.origin(files[0].signature)
    return DONE


def _overlap(options: argparse.Namespace, out: Output) -> int:
    from torchmetrics_majorscore.media import read_manifest
    from torchmetrics_majorscore.tables.overlap import list_overlaps

    test, train = (
        {name: [entry.id for entry in read_manifest(path)] for name, path in name_tables(side).items()}
        for side in (options.test, options.train)
    )
    out.table("overlaps", list_overlaps(test, train, options.pattern))
    return DONE
