"""Files that take the place of older ones as a whole or not at all, and errors of the system that name their file."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file in an error that does not, such as that of a full disk.

    Args:
        path: of the file that is written or read inside.

    Raises:
        OSError: what was raised inside, with the name.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give an empty file that becomes ``path`` at the end; after an error ``path`` is as it was.

    Args:
        path: of the file; its folder is made. A link stays one: what it points to is replaced.

    Yields:
        A path in the same folder to write to. Whatever it was written by, its mode is what the umask says.

    Raises:
        OSError: it cannot be written; the file is named.
        ValueError: ``path`` is a folder or a device.
    """
    if ".." in path.parts and not path.parent.is_dir():  # no folder is made only to be left again
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise ValueError(f"Expected a file to write, got {path}, which is a folder or a device.")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.unfinished")
    with naming(path):
        try:
            unfinished.unlink(missing_ok=True)
            unfinished.touch()
            mode = unfinished.stat().st_mode
            yield unfinished
            unfinished.chmod(mode)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
