"""Checkpoint files: finding them in a local folder, and reading them without running pickled code.

A local folder takes the public files under their public names:

==================== ============================================================================================
``clip``             ``open_clip_model.safetensors`` (open_clip keys) or ``model.safetensors`` (Hugging Face keys)
``clap``             ``630k-fusion-best.safetensors`` or ``630k-fusion-best.pt`` (laion_clap)
``clap-music``       ``music_speech_audioset_epoch_15_esc_89.98.safetensors`` or ``.pt`` (laion_clap)
``clap-audioset``    ``630k-audioset-fusion-best.safetensors`` or ``.pt`` (laion_clap)
``any-clap``         ``clap``, or another checkpoint of laion_clap with HTSAT (for CLAP in its own space)
``clap:CHECKPOINT``  ``CHECKPOINT.safetensors`` or ``CHECKPOINT.pt`` (laion_clap)
``clip:NAME/TAG``    ``NAME-TAG/open_clip_model.safetensors`` or ``NAME-TAG/open_clip_pytorch_model.bin`` (open_clip)
``pe-av-*/*``        ``pe-av-*/config.json``, ``model.safetensors`` and the two files of the tokenizer beside it (PE-AV)
``heads``            ``clap_clip.safetensors`` or ``clap_clip.pt`` (C-MCR)
``ex-head``          ``ex_clap.safetensors`` or ``ex_clap.pt`` (Ex-MCR)
``wav2clip``         ``Wav2CLIP.safetensors`` or ``Wav2CLIP.pt`` (Wav2CLIP)
``passt``            ``passt-s-f128-p16-s10-ap.476-swa.safetensors`` or ``.pt``
``synchformer``      ``synchformer_state_dict.safetensors`` or ``.pth``
``roberta-*``        ``roberta-base/vocab.json``, ``roberta-base/merges.txt`` (only for CLAP's own text tower)
``resnet50``         ``resnet50-11ad3fa6.safetensors`` or ``.pth`` (torchvision)
``s3d``              ``s3d-d76dad2f.safetensors`` or ``.pth`` (torchvision)
``bert-*``           ``bert_uncased_L-4_H-512_A-8/``: ``model.safetensors`` or ``pytorch_model.bin``, ``vocab.txt``
``panns``            ``Cnn14_16k_mAP=0.438.safetensors`` or ``Cnn14_16k_mAP=0.438.pth`` (PANNs)
``vggish``           ``vggish-10086976.safetensors`` or ``vggish-10086976.pth`` (torchvggish)
==================== ============================================================================================
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.encoders.download import ENVIRONMENT, download, file_sha256
from torchmetrics_majorscore.encoders.public import CHECKPOINTS, find_checkpoint
from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.replace import replacing

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Weights:
    """Where an encoder's checkpoint files come from."""

    key: str
    """What tells these weights from others, the same on every machine and known before they are loaded."""
    folder: str | None = None
    seeded: bool = False
    files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def drawn(self) -> bool:
        """Whether there is no checkpoint, and numbers are drawn from a seed."""
        return self.seeded and not self.folder

    def local_key(self, portable_key: str) -> str:
        """Give the key of a network with these weights on this machine: another one for files that were changed."""
        times = (str(path.stat().st_mtime_ns) for path in self.files.values())
        return "|".join([portable_key, str(self.folder), *times])

    def path(self, file: str) -> Path:
        """Return the path of a checkpoint, downloading it if it is not in a local folder."""
        if self.folder:
            return self.files[file]
        if file.startswith("clip:"):
            from torchmetrics_majorscore.encoders import any_clip

            return any_clip.download_public(file.removeprefix("clip:"))
        return download(CHECKPOINTS[file])

    def read(self, file: str) -> dict[str, Tensor]:
        """Read a checkpoint's tensors."""
        return read_tensors(self.path(file))


def find_weights(files: Sequence[str], weights: str | Path | None = None, bundle: Path | None = None) -> Weights:
    """Find checkpoint files in a folder, before anything is loaded, so that a missing one is known at once.

    Args:
        files: keys of :data:`CHECKPOINTS`, or names of files.
        weights: a folder; ``"seeded"`` for random weights; None for the folder that the environment variable
            MAJORSCORE_WEIGHTS names, else download on first use.
        bundle: the folder of weights that the package has for this encoder: taken for None.

    Returns:
        The weights, not loaded yet.

    Raises:
        FileNotFoundError: the folder or a file in it is missing; the message names all of them.
    """
    weights = weights or bundle or os.environ.get(ENVIRONMENT) or None
    public = {file: checkpoint for file in files if (checkpoint := find_checkpoint(file))}
    if own := [file for file in files if file not in public and not bundle]:
        if weights is None or str(weights) == "seeded":
            raise FileNotFoundError(
                f"Expected weights=FOLDER with {', '.join(own)}, as `majorscore fuse` or `connect` writes it, got "
                f"{weights!r}."
            )
    elif weights is None:
        return Weights("|".join(public[file].revision for file in files))
    if str(weights) == "seeded" and not bundle:
        return Weights("seeded", seeded=True)
    folder = Path(weights).expanduser().resolve()
    if not folder.is_dir():
        raise FileNotFoundError(f"Expected weights to be a folder with checkpoints, got {str(weights)!r}.")
    names = {file: public[file].names if file in public else (file,) for file in files}
    here = {file: [folder / name for name in names[file] if (folder / name).is_file()] for file in files}
    found = {file: paths[0] for file, paths in here.items() if paths}
    missing = [" or ".join(names[file][:2]) for file in files if file not in found]
    if missing:
        raise FileNotFoundError(f"The weights folder {folder} lacks {'; '.join(missing)}.")
    seeded = (folder / "SEEDED").is_file()
    return Weights(_folder_key(found.values()), str(folder), seeded, found)


def _folder_key(paths: Iterable[Path]) -> str:
    """Hash the names and sizes of files, without reading them: their content is known once they are loaded.

    It is then part of the encoder's name, and rows of another name are never mixed, see :mod:`.metrics.rows`.
    """
    listed = [f"{path.name}|{path.stat().st_size}" for path in sorted(paths)]
    return hashlib.sha256("|".join(listed).encode()).hexdigest()[:16]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file or of a pickled checkpoint.

    A pickle is opened with ``weights_only=True`` and may hold numbers and arrays of NumPy beside its tensors, as
    laion_clap's and PANNs' do. An entry ``state_dict`` or ``model`` is unwrapped and the prefix ``module.`` removed.

    Args:
        path: the file.

    Returns:
        Name to tensor, on the CPU, with the file's dtypes.

    Raises:
        ValueError: the file holds no tensors, or is not what its name says.
    """
    if path.suffix == ".safetensors":
        needs_extra("safetensors", "cmcr")
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"Expected {path} to be a safetensors file, got one that is not: {error}.") from error
    from torch import Tensor

    content = _unpickle(path)
    content = content.get("state_dict", content.get("model", content))
    tensors = {name.removeprefix("module."): value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"Expected {path} to hold a state dict of tensors, got none.")
    return tensors


def _unpickle(path: Path) -> dict[str, Any]:
    import numpy as np
    import torch

    kinds = [type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool")]
    functions: dict[str, Any] = {"scalar": np.float64(0).__reduce__()[0], "_reconstruct": np.empty(0).__reduce__()[0]}
    known: list[Any] = [*functions.values(), np.ndarray, np.dtype, *kinds]
    # Files written under NumPy 1 name numpy.core, under NumPy 2 numpy._core.
    for core in ("core", "_core"):
        known += [(function, f"numpy.{core}.multiarray.{name}") for name, function in functions.items()]
    with torch.serialization.safe_globals(known):
        try:
            return dict(torch.load(path, map_location="cpu", weights_only=True))
        except FileNotFoundError:
            raise
        except Exception as error:  # torch.load lets through whatever its unpickler stumbles over
            kind = type(error).__name__
            raise ValueError(
                f"Expected {path} to open with weights_only=True, as a checkpoint of tensors, got {kind}."
            ) from error


def convert(path: Path) -> Path:
    """Write the tensors of a pickled checkpoint to a safetensors file beside it.

    Args:
        path: a ``.pt`` checkpoint, opened with ``weights_only=True``.

    Returns:
        The new file's path; it records the SHA-256 of its source.

    Raises:
        ValueError: the file holds no tensors.
    """
    if path.suffix == ".safetensors":
        raise ValueError(f"Expected a pickled checkpoint to convert, got {path}.")
    target = path.with_suffix(".safetensors")
    write_tensors(target, read_tensors(path), {"source": path.name, "source_sha256": file_sha256(path)})
    return target


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file, whole or not at all, with the mode that the umask gives.

    Args:
        path: of the file; its folder is made.
        tensors: name to tensor.
        metadata: texts in the file's header.

    Raises:
        OSError: it cannot be written; the file is named.
    """
    needs_extra("safetensors", "cmcr")
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with replacing(path) as new:
        try:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, new, metadata)
        except SafetensorError as error:  # a full disk, for example
            raise OSError(f"Expected to write {path}, got: {error}.") from error
