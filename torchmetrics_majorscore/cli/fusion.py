"""``majorscore fuse`` and ``retrieval``: a joint space of four modalities, learned, and recalls in any joint space."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.cli.ending import DONE
from torchmetrics_majorscore.cli.files import check_folder
from torchmetrics_majorscore.cli.options import ENCODING, SAID, add_format
from torchmetrics_majorscore.cli.printing import Output, drawn
from torchmetrics_majorscore.cli.progress import stage
from torchmetrics_majorscore.extras import needs_extras

if TYPE_CHECKING:
    import pandas as pd

NEEDED = ENCODING | {"lightning": "lightning", "pandas": "evaluation"}
CHOSEN_ON_TEST = "Training stopped on the test items, as in the paper: their numbers are not of unseen items."


def add_commands(commands: Any) -> None:
    """Register the commands."""
    about = "train heads on frozen backbones into a joint space of four modalities, and compare scenarios by retrieval"
    fuse = commands.add_parser("fuse", parents=[SAID], help=about)
    fuse.add_argument("config", type=Path, nargs="?", help="YAML, see docs/fuse.yaml")
    fuse.add_argument("--embedded", action="store_true", help="the whole comparison on the embedded world, no config")
    fuse.add_argument(
        "-o", "--output", type=Path, default=Path("majorscore-fusion"), help="with --embedded (default: %(default)s)"
    )
    fuse.add_argument("--seeds", type=int, default=3, help="training seeds with --embedded (default: %(default)s)")
    add_format(fuse)
    fuse.set_defaults(run=_fuse, again="embeddings and runs that were finished are kept, and the last one goes on.")
    _add_retrieval(commands)


def _fuse(options: argparse.Namespace, out: Output) -> int:
    if (options.config is None) == (not options.embedded):
        raise ValueError("Expected either a config or --embedded, got neither or both.")
    needs_extras(NEEDED)
    if options.config is not None:
        return _fuse_config(options, out)
    check_folder(options.output)
    with stage("loading torch and Lightning"):
        from torchmetrics_majorscore.training.fusion.recipe import fuse_world
    found = fuse_world(options.output, seeds=options.seeds)
    _print(options.output, found, out)
    return DONE


def _fuse_config(options: argparse.Namespace, out: Output) -> int:
    with stage("loading torch and Lightning"):
        from torchmetrics_majorscore.training.fusion.files import fuse_files

    found, folder, counts = fuse_files(options.config)
    out.table("items", counts)
    _print(folder, found, out)
    return DONE


def _print(folder: Path, found: Any, out: Output) -> None:
    """Print tables I to VI and write them beside the checkpoints, as Markdown and as LaTeX."""
    from torchmetrics_majorscore.tables.render import render_table

    texts: dict[str, list[str]] = {"md": [], "tex": []}
    for name, frame in found.tables.items():
        out.notes(name)
        out.table(name, frame)
        texts["md"] += [f"### {name}\n", render_table(frame, digits=3)]
        texts["tex"] += [f"% {name}", render_table(frame, "latex", digits=3)]
    for ending, parts in texts.items():
        (folder / f"tables.{ending}").write_text("\n".join(parts), encoding="utf-8")
    if found.chosen_on_test:
        out.notes(CHOSEN_ON_TEST)
    out.record(chosen_on_test=found.chosen_on_test, written=folder, seconds=found.seconds)
    out.notes(drawn(0), f"Training took {found.seconds:.0f} s. Checkpoints and tables: {folder}")


def _add_retrieval(commands: Any) -> None:
    about = "recall at 1, 5 and 10 between the modalities of embeddings in one space"
    retrieval = commands.add_parser("retrieval", parents=[SAID], help=about)
    files = "file of majorscore benchmark, or of majorscore fuse"
    retrieval.add_argument("embeddings", type=Path, help=files)
    classes = "manifest with a class per clip; without it only the clip's own partner is relevant"
    retrieval.add_argument("--classes", type=Path, metavar="MANIFEST", help=classes)
    retrieval.add_argument("--column", default="class", help="the manifest's column (default: %(default)s)")
    names = "of the embeddings, all in one space (default: those of video, text, audio and image that are there)"
    retrieval.add_argument("--modalities", nargs="+", help=names)
    retrieval.add_argument("--share", action="store_true", help="share of the relevant items, in place of hit rates")
    same = "in the gallery of all, items of the query's own modality are relevant too"
    retrieval.add_argument("--own-modality", action="store_true", help=same)
    labels = "CSV of true labels, several per clip: video_id,label,modality (A, V or AV), as VGGSounder's"
    retrieval.add_argument("--labels", type=Path, metavar="CSV", help=labels)
    texts = "embeddings whose ids are the labels, for zero-shot accuracy; with --labels"
    retrieval.add_argument("--label-embeddings", type=Path, metavar="EMBEDDINGS", help=texts)
    retrieval.add_argument("--seed", type=int, default=0, help="of the intervals (default: %(default)s)")
    add_format(retrieval)
    retrieval.set_defaults(run=_retrieval)


def _retrieval(options: argparse.Namespace, out: Output) -> int:
    needs_extras(dict.fromkeys(("pandas", "safetensors"), "evaluation"))
    if (options.labels is None) != (options.label_embeddings is None):
        raise ValueError("Expected --labels and --label-embeddings together, got one without the other.")
    from torchmetrics_majorscore.cli.retrieval import label_table, recall_table
    from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings

    clips = ClipEmbeddings.load(options.embeddings)
    table, lost = recall_table(clips, options)
    out.table("recalls", table)
    kind = "of one class" if options.classes else "of one clip"
    out.record(relevant=kind, share=options.share, without_relevant=lost, seed=options.seed)
    out.notes(f"Relevant: items {kind}; of equal cosines the relevant come last. {lost} queries have nothing relevant.")
    if options.labels is not None:
        accuracy: pd.DataFrame = label_table(clips, ClipEmbeddings.load(options.label_embeddings), options)
        out.table("labels", accuracy)
        out.notes("A label is right if it is one of the clip's true labels that its modality shows.")
    out.notes(drawn(options.seed))
    out.origin(clips.signature)
    return DONE
