"""Optional packages: asked for when they are needed, with the lines that bring all that are missing."""

from collections.abc import Mapping
from importlib.util import find_spec


def needs_extra(package: str, extra: str) -> None:
    """Raise ModuleNotFoundError unless a package is installed, see :func:`needs_extras`.

    Args:
        package: name to import.
        extra: the extra of this project that brings it.

    Raises:
        ModuleNotFoundError: the package is missing.
    """
    needs_extras({package: extra})


def needs_extras(packages: Mapping[str, str]) -> None:
    """Raise ModuleNotFoundError, which names all that is missing at once, unless packages are installed.

    Args:
        packages: name to import, to the extra of this project that brings it.

    Raises:
        ModuleNotFoundError: a package is missing. The lines in the message are for a clone: on the package index
            nothing of this name is ours yet.
    """
    missing = {package: extra for package, extra in packages.items() if find_spec(package) is None}
    if missing:
        extras = sorted(set(missing.values()))
        synced = " ".join(f"--extra {extra}" for extra in extras)
        raise ModuleNotFoundError(
            f"Expected {', '.join(packages)} to be installed, got no {', '.join(missing)}; in a clone of "
            f'torchmetrics-majorscore: pip install ".[{",".join(extras)}]" (or: uv sync {synced})'
        )
