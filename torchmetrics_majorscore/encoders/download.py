"""Downloads of public checkpoints: once, into the Hugging Face cache, and only what has the right digest."""

import hashlib
import logging
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from torchmetrics_majorscore.encoders.failed_download import reason
from torchmetrics_majorscore.encoders.fetch import WrongFileError, fetch
from torchmetrics_majorscore.encoders.public import Checkpoint
from torchmetrics_majorscore.extras import needs_extra

ENVIRONMENT = "MAJORSCORE_WEIGHTS"
LOGGER = logging.getLogger(__name__)


def download(checkpoint: Checkpoint) -> Path:
    """Give a checkpoint out of the Hugging Face cache; if it is not there, download it. Its digest is verified.

    Args:
        checkpoint: which one. Without a digest of ours, it is the one that a Hugging Face repository states, and is
            asked for only once, after the download.

    Returns:
        The local path.

    Raises:
        FileNotFoundError: it is not in the cache and cannot be downloaded; the message says why and what to do.
        ValueError: the digest differs; what has just been downloaded is deleted.
    """
    needs_extra("huggingface_hub", "cmcr")
    if found := find_downloaded(checkpoint):
        _verify(found, checkpoint)
        return found
    try:
        return _download(checkpoint)
    except WrongFileError:
        raise
    except Exception as error:  # the libraries below raise what they like, also errors of theirs that are no OSError
        raise FileNotFoundError(
            f"{Path(checkpoint.filename).name} is not on this machine and could not be downloaded: "
            f"{reason(error, checkpoint.address)}. Or bring {checkpoint.address} here in another way, put it under "
            f"that name into a folder and name the folder with weights=... or {ENVIRONMENT}."
        ) from error


def find_downloaded(checkpoint: Checkpoint) -> Path | None:
    """Give the path of a checkpoint in the cache, or None; nothing is downloaded or read."""
    from huggingface_hub import try_to_load_from_cache

    if checkpoint.plain:
        path = _plain_path(checkpoint)
        return path if path.is_file() else None
    found = try_to_load_from_cache(checkpoint.repo, checkpoint.filename, revision=checkpoint.revision)
    return Path(found) if isinstance(found, str) else None


def _plain_path(checkpoint: Checkpoint) -> Path:
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME) / "majorscore" / checkpoint.revision / Path(checkpoint.filename).name


def _download(checkpoint: Checkpoint) -> Path:
    LOGGER.info("downloading %s (%.0f MB)", checkpoint.address, checkpoint.megabytes)
    if checkpoint.plain:
        return fetch(checkpoint.address, _plain_path(checkpoint), lambda path: _verify(path, checkpoint))
    from huggingface_hub import hf_hub_download

    patient = logging.getLogger("huggingface_hub")
    level = patient.level
    patient.setLevel(logging.ERROR)  # it says of every try that another one follows
    try:
        path = Path(hf_hub_download(checkpoint.repo, checkpoint.filename, revision=checkpoint.revision))
    finally:
        patient.setLevel(level)
    content = path.resolve()
    stated = content.name  # the cache names a content after its digest
    try:
        if len(stated) == 64:
            _verify(path, replace(checkpoint, sha256=stated))
        elif len(stated) == 40:
            _verify(path, replace(checkpoint, git_blob=stated))
        _verify(path, checkpoint)
    except WrongFileError:
        content.unlink()
        path.unlink(missing_ok=True)
        raise
    return path


def _verify(path: Path, checkpoint: Checkpoint) -> None:
    for kind in ("sha256", "git_blob", "md5"):
        expected = getattr(checkpoint, kind)
        if expected and not _digest(path, kind, path.stat().st_mtime_ns).startswith(expected):
            raise WrongFileError(
                f"{path.resolve()} does not have the digest of the public {Path(checkpoint.filename).name} ({kind} "
                f"{expected}), so it is not used: delete it if it is still there, and try again. If it comes again, "
                f"{checkpoint.address} or what stands between has another file."
            )


@lru_cache
def _digest(path: Path, kind: str, _: int) -> str:
    """Compute a digest of a file, once for each time at which it was changed."""
    if kind == "git_blob":
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    else:
        digest = hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Compute the SHA-256 of a file."""
    return _digest(path, "sha256", path.stat().st_mtime_ns)
