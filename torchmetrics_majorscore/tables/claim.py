"""Outputs that one process at a time writes."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def claim(path: Path) -> Iterator[None]:
    """Claim an output for this process, and find out before anything is loaded whether it can be written.

    The claim is a lock of the system on ``.NAME.lock`` beside the output, an empty file that stays there; a process
    that is killed gives it up. A second process is refused, for both would end well and leave every clip twice.

    Args:
        path: of the output, which may exist; its folder is made.

    Raises:
        BlockingIOError: another process has claimed it.
        ValueError: it is a folder or a device, or lies below a file.
        OSError: it cannot be written.
    """
    from filelock import FileLock, Timeout

    _check(path)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        busy = f"{path} is being written by another process: wait for its end, or choose another output."
        raise BlockingIOError(busy) from error
    except NotImplementedError:
        warnings.warn(f"The file system of {path} has no locks: let no other process write it.", stacklevel=3)
    try:
        yield
    finally:
        lock.release()


def _check(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise ValueError(f"Expected a file to write, got {path}, which is a folder or a device.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(f"Expected a folder for {path}, got a file in its place.") from error
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"Expected an output that can be written, got {path}, which cannot.")


def check_signature(path: Path, recorded: str, signature: str) -> None:
    """Raise ValueError if a file that is to be continued was written with another signature."""
    if recorded != signature:
        others = "name another file, or remove this one"
        raise ValueError(f"{path} was written with signature {recorded}, now it is {signature}; {others}.")
