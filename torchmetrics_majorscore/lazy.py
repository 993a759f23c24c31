"""Public names of a package that load what they need when they are first touched (PEP 562)."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any


def load(package: str, homes: Mapping[str, str], name: str) -> Any:
    """Give a public name of a package.

    Args:
        package: ``__name__`` of the package.
        homes: public names, and the module in the package that has each.
        name: which of them.

    Raises:
        AttributeError: there is no such name.
    """
    if name not in homes:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return getattr(import_module(f"{package}.{homes[name]}"), name)
