"""Files at addresses, through fsspec: ``https://``, ``s3://``, ``gs://``, ``hf://`` and whatever else it knows."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.media.far import Far

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True)
class Url(Far):
    """A file at an address.

    Args:
        address: with its scheme. What it takes to be let in is fsspec's, from its own configuration and the usual
            variables of the environment.

    Example:
        >>> Url("s3://bucket/a/clips.csv").parent / "b/1.mp4"
        Url(address='s3://bucket/a/b/1.mp4')
    """

    address: str

    def __str__(self) -> str:
        return self.address

    @property
    def name(self) -> str:
        """The last part of the address, without a query."""
        return PurePosixPath(re.split(r"[?#]", self.address)[0]).name

    @property
    def parent(self) -> Url:
        """The folder that it lies in."""
        return Url(re.split(r"[?#]", self.address)[0].rpartition("/")[0])

    def __truediv__(self, path: str) -> Url:
        return Url(path if is_address(path) else f"{self.address.rstrip('/')}/{path}")

    def stamp(self) -> tuple[object, ...]:
        """Give the address: a request for each of a million clips would take too long."""
        return (self.address,)

    def bring(self, path: Path) -> None:
        """Copy it to a file."""
        with self.opened() as source, path.open("wb") as target:
            shutil.copyfileobj(source, target, 2**20)

    def read_bytes(self) -> bytes:
        """Read all of it."""
        with self.opened() as source:
            return source.read()

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Open it to be read from its start to its end.

        Raises:
            ModuleNotFoundError: fsspec, or what it needs for the scheme, is missing.
            OSError, ValueError: it cannot be had; one line with the address.
        """
        needs_extra("fsspec", "scale")
        import fsspec

        try:
            opened: Any = fsspec.open(self.address, "rb").open()
        except ImportError as error:
            raise ModuleNotFoundError(f"Expected what fsspec needs for {self.address}, got: {error}") from error
        except FileNotFoundError as error:
            raise FileNotFoundError(f"Expected a file at {self.address}, got none") from error
        except Exception as error:  # each scheme has its own
            raise ValueError(f"Expected {self.address} to be read, got {type(error).__name__}: {error}") from error
        with opened:
            yield opened


def is_address(text: str) -> bool:
    """Tell an address from a path."""
    return _ADDRESS.match(text) is not None


def to_place(text: str | Path | Url) -> Path | Url:
    """Give a path, or the file at an address."""
    return text if not isinstance(text, str) else Url(text) if is_address(text) else Path(text)
