"""Checkpoint files: their public homes, a local folder of them, and reading them without running pickled code.

A local folder takes the public files under their public names:

==================== ============================================================================================
``clip``             ``open_clip_model.safetensors`` (open_clip keys) or ``model.safetensors`` (Hugging Face keys)
``clap``             ``630k-fusion-best.safetensors`` or ``630k-fusion-best.pt`` (laion_clap)
``heads``            ``clap_clip.safetensors`` or ``clap_clip.pt`` (C-MCR)
``roberta-*``        ``roberta-base/vocab.json``, ``roberta-base/merges.txt`` (only for CLAP's own text tower)
==================== ============================================================================================
"""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchmetrics_majorscore.extras import needs_extra

ENVIRONMENT = "MAJORSCORE_WEIGHTS"


@dataclass(frozen=True)
class Checkpoint:
    """One public checkpoint file: its names in a local folder, and where it is downloaded from."""

    names: tuple[str, ...]
    """Accepted file names, preferred first; the last one that ends like ``filename`` is the public one."""
    repo: str
    """Hugging Face repository, or ``https://`` for a plain address that ``revision`` is part of."""
    revision: str
    filename: str
    sha256: str | None = None
    git_blob: str | None = None


# The revision pins the content. The SHA-256 of 630k-fusion-best.pt and of the two RoBERTa files is not pinned: it could
# not be looked up when this was written.
CHECKPOINTS = {
    "clip": Checkpoint(
        ("open_clip_model.safetensors", "model.safetensors"),
        "timm/vit_base_patch32_clip_224.openai",
        "a6f597a30f7b82c51704746581f9a4e41421e878",
        "open_clip_model.safetensors",
        sha256="e6d1bd7789aa45192b3bf90570a789b478bae1b74ebcce7eddd908e83a2b7c31",
    ),
    "clap": Checkpoint(
        ("630k-fusion-best.safetensors", "630k-fusion-best.pt"),
        "lukewys/laion_clap",
        "b3708341862f581175dba5c356a4ebf74a9b6651",
        "630k-fusion-best.pt",
    ),
    "heads": Checkpoint(
        ("clap_clip.safetensors", "clap_clip.pt"),
        "https://raw.githubusercontent.com/MCR-PEFT/C-MCR",
        "038dec166e6f7a1900b383040f9265c05cf8dcfd",
        "checkpoints/clap_clip.pt",
        git_blob="61099f73eabf34a1f8da2ab11ffdd87db95b20b3",
    ),
    "roberta-vocab": Checkpoint(
        ("roberta-base/vocab.json",),
        "FacebookAI/roberta-base",
        "e2da8e2f811d1448a5b465c236feacd80ffbac7b",
        "vocab.json",
    ),
    "roberta-merges": Checkpoint(
        ("roberta-base/merges.txt",),
        "FacebookAI/roberta-base",
        "e2da8e2f811d1448a5b465c236feacd80ffbac7b",
        "merges.txt",
    ),
}


@dataclass(frozen=True)
class Weights:
    """Where an encoder's checkpoint files come from."""

    key: str
    """What tells these weights from others, the same on every machine and known before they are loaded."""
    folder: str | None = None
    seeded: bool = False
    files: Mapping[str, Path] = field(default_factory=dict)

    def path(self, file: str) -> Path:
        """Return the path of a checkpoint, downloading it if it is not in a local folder."""
        return self.files[file] if self.folder else download(CHECKPOINTS[file])

    def read(self, file: str) -> dict[str, Tensor]:
        """Read a checkpoint's tensors."""
        return read_tensors(self.path(file))


def find_weights(files: Sequence[str], weights: str | Path | None = None) -> Weights:
    """Find checkpoint files in a folder, before anything is loaded, so that a missing one is known at once.

    Args:
        files: keys of :data:`CHECKPOINTS`.
        weights: a folder; ``"seeded"`` for random weights; None for the folder that the environment variable
            MAJORSCORE_WEIGHTS names, else download on first use.

    Returns:
        The weights, not loaded yet.

    Raises:
        FileNotFoundError: the folder or a file in it is missing; the message names all of them.
    """
    weights = weights if weights is not None else os.environ.get(ENVIRONMENT)
    if weights is None:
        return Weights("|".join(CHECKPOINTS[file].revision for file in files))
    if str(weights) == "seeded":
        return Weights("seeded", seeded=True)
    folder = Path(weights).expanduser().resolve()
    if not folder.is_dir():
        raise FileNotFoundError(f"Expected weights to be a folder with checkpoints, got {str(weights)!r}.")
    here = {file: [folder / name for name in CHECKPOINTS[file].names if (folder / name).is_file()] for file in files}
    found = {file: paths[0] for file, paths in here.items() if paths}
    missing = [" or ".join(CHECKPOINTS[file].names) for file in files if file not in found]
    if missing:
        raise FileNotFoundError(f"The weights folder {folder} lacks {'; '.join(missing)}.")
    seeded = (folder / "SEEDED").is_file()
    return Weights(_folder_key(found.values()), str(folder), seeded, found)


def _folder_key(paths: Iterable[Path]) -> str:
    """Hash the names, sizes and first 64 KiB of files: enough to tell checkpoints apart, without reading them."""
    sha = hashlib.sha256()
    for path in sorted(paths):
        with path.open("rb") as file:
            sha.update(f"{path.name}|{path.stat().st_size}|".encode() + file.read(65_536))
    return sha.hexdigest()[:16]


def download(checkpoint: Checkpoint) -> Path:
    """Download a checkpoint into the Hugging Face cache, by revision, and verify its digest.

    Args:
        checkpoint: which one; a file that is in the cache is not downloaded again.

    Returns:
        The local path.

    Raises:
        FileNotFoundError: it is not in the cache and cannot be downloaded.
        ValueError: the digest differs.
    """
    needs_extra("huggingface_hub", "cmcr")
    from huggingface_hub import hf_hub_download

    try:
        if checkpoint.repo.startswith("https://"):
            path = _download_address(checkpoint)
        else:
            path = Path(hf_hub_download(checkpoint.repo, checkpoint.filename, revision=checkpoint.revision))
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"{checkpoint.names[-1]} is not on this machine and could not be downloaded from {checkpoint.repo} "
            f"({type(error).__name__}). Without a network, put it under that name into a folder and name the folder "
            f"with weights=... or {ENVIRONMENT}."
        ) from error
    if not _matches(path, checkpoint):
        raise ValueError(f"{path} does not have the digest of the public {checkpoint.names[-1]}; delete it, try again.")
    return path


def _download_address(checkpoint: Checkpoint) -> Path:
    from filelock import FileLock
    from huggingface_hub.constants import HF_HOME

    path = Path(HF_HOME) / "majorscore" / checkpoint.revision / Path(checkpoint.filename).name
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):  # the ranks of a machine start together; the first one downloads
        if not path.is_file():
            address = f"{checkpoint.repo}/{checkpoint.revision}/{checkpoint.filename}"
            torch.hub.download_url_to_file(address, str(path), progress=False)
    return path


def _matches(path: Path, checkpoint: Checkpoint) -> bool:
    if checkpoint.git_blob:
        content = path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == checkpoint.git_blob
    return checkpoint.sha256 is None or file_sha256(path) == checkpoint.sha256


def file_sha256(path: Path) -> str:
    """Compute the SHA-256 of a file."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file or of a pickled checkpoint.

    A pickle is opened with ``weights_only=True`` and may hold NumPy scalars beside its tensors, as laion_clap's do.
    A ``state_dict`` entry is unwrapped and the prefix ``module.`` removed.

    Args:
        path: the file.

    Returns:
        Name to tensor, on the CPU, with the file's dtypes.

    Raises:
        ValueError: the file holds no tensors.
    """
    if path.suffix == ".safetensors":
        needs_extra("safetensors", "cmcr")
        from safetensors.torch import load_file

        return load_file(path)
    content = _unpickle(path)
    content = content.get("state_dict", content)
    tensors = {name.removeprefix("module."): value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"Expected {path} to hold a state dict of tensors, got none.")
    return tensors


def _unpickle(path: Path) -> dict[str, Any]:
    import numpy as np

    scalar = getattr(np, "_core", np.core if hasattr(np, "core") else None).multiarray.scalar  # type: ignore[union-attr]
    numbers = [scalar, np.dtype, type(np.dtype("float64")), type(np.dtype("float32")), type(np.dtype("int64"))]
    # Files written under NumPy 1 name numpy.core, under NumPy 2 numpy._core.
    names = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    with torch.serialization.safe_globals([*numbers, *names]):
        return dict(torch.load(path, map_location="cpu", weights_only=True))


def convert(path: Path) -> Path:
    """Write the tensors of a pickled checkpoint to a safetensors file beside it.

    Args:
        path: a ``.pt`` checkpoint, opened with ``weights_only=True``.

    Returns:
        The new file's path; it records the SHA-256 of its source.

    Raises:
        ValueError: the file holds no tensors.
    """
    needs_extra("safetensors", "cmcr")
    from safetensors.torch import save_file

    tensors = {name: tensor.contiguous() for name, tensor in read_tensors(path).items()}
    target = path.with_suffix(".safetensors")
    save_file(tensors, target, metadata={"source": path.name, "source_sha256": file_sha256(path)})
    return target
