"""Files that commands write: that they can be written is known beforehand, and an error names the file."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+:)/")  # as a path, which has one slash


def check_file(path: Path) -> None:
    """Raise OSError, which names the place, unless a file can be written there; nothing is made or changed.

    Args:
        path: of the file; the folders above it may be missing.

    Raises:
        OSError: it is a folder, a part of the path above it is none, or permission is missing.
        ValueError: it is an address.
    """
    _check_near(path)
    if path.is_dir():
        raise _refused(errno.EISDIR, path)
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "Expected a file or nothing there, got a device or a pipe", str(path))
    if path.exists() and not os.access(path, os.W_OK):
        raise _refused(errno.EACCES, path)
    check_folder(path.parent)


def check_folder(path: Path) -> None:
    """Raise OSError, which names the place, unless files can be written in a folder, or in one that is made there.

    Raises:
        OSError: see above.
        ValueError: it is an address.
    """
    _check_near(path)
    there = next(place for place in (path, *path.absolute().parents) if place.exists() or place.is_symlink())
    if not there.is_dir():
        raise _refused(errno.ENOTDIR, there)
    if not os.access(there, os.W_OK | os.X_OK):
        raise _refused(errno.EACCES, there)


def _check_near(path: Path) -> None:
    if found := _ADDRESS.match(str(path)):
        address = f"{found[1]}//{str(path)[found.end() :]}"
        here = "outputs grow on this machine, and are copied there when they are finished"
        raise ValueError(f"Expected a file or a folder of this machine to write, got the address {address}: {here}.")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an error of the system that names no file, such as a full disk, the name of the one that is written."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def _refused(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))
