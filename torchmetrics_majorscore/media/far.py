"""Files that do not lie on this machine as files: at an address, or within a tar. To be read, they are brought here."""

from __future__ import annotations

import shutil
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp


class Far(ABC):
    """A file that has to be brought; ``str()`` is its full name."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name without folders."""

    @property
    def stem(self) -> str:
        """Its name without the last suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The last suffix of its name."""
        return PurePosixPath(self.name).suffix

    @abstractmethod
    def stamp(self) -> tuple[object, ...]:
        """Give what can be known of it without reading it, by which a change is noticed."""

    @abstractmethod
    def bring(self, path: Path) -> None:
        """Write it to a file; OSError or ValueError, in one line, if it cannot be had."""


class Near:
    """Far files in a temporary folder, for as long as a clip is read.

    A decoder looks at many places of a file, several times for a long clip: that is what a copy of one clip is for.
    """

    def __init__(self) -> None:
        self._paths: dict[Far, Path] = {}
        self._remove: Callable[[], object] = lambda: None

    def path(self, place: Path | Far | None) -> Path | None:
        """Give the path of a file, brought at the first call; that of a file on this machine is its own."""
        if not isinstance(place, Far):
            return place
        if place not in self._paths:
            folder = next(iter(self._paths.values())).parent if self._paths else self._new_folder()
            path = folder / f"{len(self._paths)}{place.suffix}"
            place.bring(path)
            self._paths[place] = path
        return self._paths[place]

    def named(self, text: str) -> str:
        """Put the full names of the files in place of their paths here."""
        for place, path in self._paths.items():
            text = text.replace(str(path), str(place))
        return text

    def close(self) -> None:
        """Remove the copies."""
        self._remove()
        self._paths = {}

    def _new_folder(self) -> Path:
        self._remove()  # that of a file which could not be brought
        folder = mkdtemp(prefix="majorscore-")
        # Clips that wait when something ends the command are closed by nobody.
        self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)
