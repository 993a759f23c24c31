"""Which files an encoder or a network needs, and which of them are on this machine. Nothing heavy is imported."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torchmetrics_majorscore.encoders.download import ENVIRONMENT, find_downloaded
from torchmetrics_majorscore.encoders.public import Checkpoint, find_checkpoint

OURS = "Apache-2.0"


@dataclass(frozen=True)
class File:
    """A file of weights.

    Args:
        name: under which it lies in a folder of weights.
        licence: as its authors state it; empty for what the user has trained.
        megabytes: of the public file, or of the one that is here; None if there is neither.
        path: where it is on this machine; None if it is missing.
        address: where it comes from; empty if it is in the package, or if the user makes it.
    """

    name: str
    licence: str
    megabytes: float | None
    path: Path | None
    address: str


def list_files(files: Sequence[str], weights: str | Path | None = None, bundle: Path | None = None) -> list[File]:
    """List the files of an encoder or a network as :func:`.find_weights` would look for them.

    Args:
        files: keys of :data:`.CHECKPOINTS`, or names of files.
        weights: a folder; None for the one that MAJORSCORE_WEIGHTS names, else the downloads.
        bundle: the folder in this package: taken for None.

    Returns:
        The files, in order.
    """
    own = weights or bundle or os.environ.get(ENVIRONMENT)
    folder = Path(own).expanduser() if own else None
    return [_file(key, folder, OURS if bundle and folder == bundle else "") for key in files]


def _public(key: str) -> Checkpoint | None:
    if key.startswith("clip:"):
        from torchmetrics_majorscore.encoders import any_clip

        return any_clip.public_checkpoints(key.removeprefix("clip:"))[0]
    return find_checkpoint(key)


def _file(key: str, folder: Path | None, licence: str) -> File:
    checkpoint = _public(key)
    names = checkpoint.names if checkpoint else (key,)
    if folder:
        path = next((folder / name for name in names if (folder / name).is_file()), None)
    else:
        path = find_downloaded(checkpoint) if checkpoint else None
    here = path.stat().st_size / 1e6 if path else None
    if checkpoint is None or licence:
        return File(key if checkpoint is None else path.name if path else names[0], licence, here, path, "")
    public = Path(checkpoint.filename).name
    name = next(name for name in names if Path(name).name == (path.name if path else public))
    return File(name, checkpoint.licence, here or checkpoint.megabytes or None, path, checkpoint.address)
