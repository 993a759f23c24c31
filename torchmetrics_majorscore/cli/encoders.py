"""``majorscore encoders``: what is known by name, what it costs to have, and what of it is on this machine."""

import argparse
import math
from dataclasses import asdict
from typing import Any

from torchmetrics_majorscore.cli.ending import DONE
from torchmetrics_majorscore.cli.options import SAID, add_format
from torchmetrics_majorscore.cli.printing import Output
from torchmetrics_majorscore.encoders.inventory import File, list_files
from torchmetrics_majorscore.encoders.table import (
    ADAPTERS,
    BACKBONES,
    ENCODERS,
    FAMILIES,
    Adapter,
    NamedEncoder,
    find_encoder,
)
from torchmetrics_majorscore.extras import needs_extras
from torchmetrics_majorscore.networks.table import NETWORKS, SYNC, NamedNetwork

ALL_NETWORKS = NETWORKS | SYNC


def add_commands(commands: Any) -> None:
    """Register the command."""
    about = "encoders and networks known by name: licence, size, and which files are on this machine"
    encoders = commands.add_parser("encoders", parents=[SAID], help=about)
    encoders.add_argument("name", nargs="?", help="one of them, with its files (default: a table of all)")
    encoders.add_argument("--weights", help="folder of checkpoints (default: MAJORSCORE_WEIGHTS, else downloads)")
    add_format(encoders)
    encoders.set_defaults(run=_encoders)


def find_entry(name: str) -> NamedEncoder | NamedNetwork:
    """Give what the tables say of a name.

    Raises:
        ValueError: there is no such name, or its module comes from the user.
    """
    if name in ADAPTERS:
        raise ValueError(f"Expected something with files to load, got {name!r}: {_brought(ADAPTERS[name])}")
    found = find_encoder(name) if ":" in name else (BACKBONES | ALL_NETWORKS | ENCODERS).get(name)
    if found is None:
        raise ValueError(f"Expected one of {', '.join([*ENCODERS, *ALL_NETWORKS, *ADAPTERS])}, got {name!r}.")
    return found


def _brought(known: Adapter) -> str:
    home = f"torchmetrics_majorscore.encoders.{known.home}"
    return f"build its module, with weights ({known.licence}) from {known.address}, and give it to {home}."


def files_of(entry: NamedEncoder | NamedNetwork, weights: str | None) -> list[File]:
    """List the files of an entry of the tables."""
    return list_files(entry.files, weights, entry.bundle)


def _encoders(options: argparse.Namespace, out: Output) -> int:
    needs_extras({"huggingface_hub": "cmcr", "pandas": "evaluation"})
    if options.name is not None:
        return _one(options, out)
    import pandas as pd

    encoders = [_row(name, entry, options.weights) for name, entry in ENCODERS.items()]
    for name, known in ADAPTERS.items():
        facts = {"name": name, "modalities": ", ".join(known.modalities), "dimension": known.dimension}
        encoders.append(
            facts | {"MB": round(known.megabytes) or None, "licence": known.licence, "here": "bring its module"}
        )
    whole = {"dimension": "Int64", "MB": "Int64", "classes": "Int64"}
    networks = [_row(name, entry, options.weights) for name, entry in ALL_NETWORKS.items()]
    backbones = [_row(name, entry, options.weights) for name, entry in BACKBONES.items()]
    for title, rows in (("encoders", encoders), ("networks", networks), ("backbones of late fusion", backbones)):
        frame = pd.DataFrame(rows).set_index("name")
        out.table(title, frame.astype({column: kind for column, kind in whole.items() if column in frame}))
    out.notes(f"Also {' and '.join(FAMILIES.values())}.")
    out.notes("`majorscore encoders NAME` lists the files of one, `majorscore weights get NAME` downloads them.")
    return DONE


def _row(name: str, entry: NamedEncoder | NamedNetwork, weights: str | None) -> dict[str, Any]:
    files = files_of(entry, weights)
    sizes = [file.megabytes for file in files if file.megabytes is not None]
    if isinstance(entry, NamedEncoder):
        facts: dict[str, Any] = {"modalities": ", ".join(entry.modalities), "dimension": entry.dimension}
    else:
        facts = {"hears": f"{entry.sample_rate} Hz", "dimension": entry.features, "classes": entry.classes}
    facts["MB"] = round(sum(sizes)) if len(sizes) == len(files) else None
    facts["licence"] = ", ".join(dict.fromkeys(file.licence or "yours" for file in files))
    return {"name": name, **facts, "here": _here(files, entry)}


def _here(files: list[File], entry: NamedEncoder | NamedNetwork) -> str:
    if entry.bundle and files[0].path and files[0].path.parent == entry.bundle:
        return "in the package"
    found = sum(file.path is not None for file in files)
    return "yes" if found == len(files) else "no" if not found else f"{found} of {len(files)} files"


def _one(options: argparse.Namespace, out: Output) -> int:
    import pandas as pd

    if options.name in ADAPTERS:
        known = ADAPTERS[options.name]
        out.record(name=options.name, **asdict(known))
        out.result(_brought(known))
        return DONE
    entry = find_entry(options.name)
    files = files_of(entry, options.weights)
    frame = pd.DataFrame([_cells(file) for file in files]).set_index("file")
    out.table("files", frame.astype({"MB": "Int64"}))
    missing = [file for file in files if file.path is None]
    size = sum(file.megabytes or 0.0 for file in missing)
    out.record(name=options.name, missing=len(missing), missing_megabytes=size)
    if any(file.address for file in missing):
        out.notes(
            f"{len(missing)} of {len(files)} files are missing, {size:.0f} MB: `majorscore weights get {options.name}`"
        )
    return DONE


def _cells(file: File) -> dict[str, Any]:
    return {
        "file": file.name,
        "MB": None if file.megabytes is None else math.ceil(file.megabytes),
        "licence": file.licence or "yours",
        "here": str(file.path or "missing"),
        "from": file.address or ("the package" if file.path and file.licence else "majorscore fuse or connect"),
    }
