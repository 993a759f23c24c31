"""Opening a media file: the only place that imports the decoder (PyAV)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.media.entry import is_legible, legible

if TYPE_CHECKING:
    from types import ModuleType

    from av.container import InputContainer


def import_av() -> ModuleType:
    """Import PyAV, which only reading files needs.

    Returns:
        The module ``av``.

    Raises:
        ModuleNotFoundError: PyAV is not installed, see :func:`.needs_extra`.
    """
    needs_extra("av", "media")
    import av

    return av


def check_window(start: float, end: float | None) -> None:
    """Check a window of time.

    Args:
        start: First moment in seconds, finite and at least 0.
        end: Moment in seconds that the window stops before, above ``start``; None is the end of the file.

    Raises:
        ValueError: If the window is empty, negative or not finite.
    """
    if not (math.isfinite(start) and start >= 0):
        raise ValueError(f"Expected a finite start >= 0 in seconds, got {start}")
    if end is not None and not (math.isfinite(end) and end > start):
        raise ValueError(f"Expected a finite end above start={start} in seconds, got {end}; is end a duration?")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Make whatever a decoder raises an error of one line that names the file.

    Args:
        path: The file that is being read.

    Raises:
        ValueError: Instead of MemoryError, RuntimeError, OverflowError and others; errors that name the file stay.
    """
    try:
        yield
    except ModuleNotFoundError:
        raise
    except Exception as error:
        # The decoder's own errors are subclasses, and say more than one line or less than a name.
        name = legible(str(path))
        if type(error) in (ValueError, FileNotFoundError) and name in str(error):
            raise
        reason = " ".join(str(error).split()) or "no reason given"
        raise ValueError(f"Expected a readable media file, got {name}: {type(error).__name__}: {reason}") from error


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open a media file for reading, and close it.

    Args:
        path: The file.

    Yields:
        The open container.

    Raises:
        FileNotFoundError: If there is no such file.
        ModuleNotFoundError: If PyAV is not installed.
        ValueError: If ffmpeg does not know the file as media, or its name is not in UTF-8; one line with the path and
            the reason.
    """
    av = import_av()
    if not is_legible(str(path)):
        raise ValueError(f"Expected a file name in UTF-8, got {legible(str(path))}; rename the file")
    if not path.is_file():
        raise FileNotFoundError(f"Expected a media file, got no file at {path}; is it relative to another folder?")
    try:
        # Absolute, so that ffmpeg does not read a name such as "a:b.mp4" as a network protocol. No pattern, so that an
        # image called "a%03d.jpg" is that one file. Tags in another encoding than UTF-8 are no reason to fail.
        options: dict[str, Any] = {"container_options": {"pattern_type": "none"}}
        if int(av.__version__.split(".")[0]) < 19:  # from 19 on PyAV has no such option and never fails on tags
            options["metadata_errors"] = "replace"
        container = av.open(str(path.absolute()), **options)
    except av.FFmpegError as error:
        raise ValueError(f"Expected a readable media file, got {path}: {error.strerror}") from error
    with container:
        yield container
