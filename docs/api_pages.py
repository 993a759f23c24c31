"""The package as the API pages show it: docstrings in Markdown, every object once, where it is defined.

The docstrings' reStructuredText is that of PyTorch and torchmetrics, which Sphinx and editors read.
"""

import re
from typing import Any

from griffe import Docstring, Extension, Module

ROLE = re.compile(r":(?:class|func|meth|mod|data|attr):`~?\.?([^`]+)`")
FORMULA = re.compile(r"^( *)\.\. math::((?: .*)?(?:\n(?:\1 +\S.*| *(?=\n\1 +\S)))*)", re.MULTILINE)
TABLE = re.compile(r"^(=+ =+\n(?:.+\n)+?=+ =+)$", re.MULTILINE)
LITERAL = re.compile(r"::\n\n((?:    .*\n?|\n)+)")


def to_markdown(text: str) -> str:
    """Rewrite roles, formulas, literal blocks and simple tables, and name the section of examples as Griffe does."""
    text = re.sub(r":math:`([^`]+)`", r"$\1$", text)
    text = FORMULA.sub(lambda found: f"{found[1]}$$\n{found[1]}{' '.join(found[2].split())}\n{found[1]}$$", text)
    text = ROLE.sub(r"`\1`", text)
    text = TABLE.sub(r"```text\n\1\n```", text)
    text = re.sub(r"^( *)Example:$", r"\1Examples:", text, flags=re.MULTILINE)
    return re.sub(r"::$", ":", text, flags=re.MULTILINE).replace(r"\|", "|")


class Pages(Extension):
    """Prepare what Griffe has loaded."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value)

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        """Say of each room which names can be imported from it, in place of showing them a second time."""
        for room in pkg.modules.values():
            shared = [name for name in room.exports or () if name in room.members and room.members[name].is_alias]
            for name in shared:
                del room.members[name]
            if shared:
                names = ", ".join(f"`{name}`" for name in sorted(shared, key=str.lower))
                text = room.docstring.value if room.docstring else ""
                room.docstring = Docstring(f"{text}\n\nTo be imported from here: {names}.", parent=room)
