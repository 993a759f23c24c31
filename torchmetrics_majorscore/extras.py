"""Optional packages: asked for when they are needed, with the pip line that brings them."""

from importlib.util import find_spec


def needs_extra(package: str, extra: str) -> None:
    """Raise ModuleNotFoundError, with the pip line, unless a package is installed.

    Args:
        package: name to import.
        extra: the extra of this project that brings it.

    Raises:
        ModuleNotFoundError: the package is missing.
    """
    if find_spec(package) is None:
        raise ModuleNotFoundError(f'{package} is not installed: pip install "torchmetrics-majorscore[{extra}]"')
