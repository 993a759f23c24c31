"""The package as the API pages show it: docstrings in Markdown, every object once, where it is defined.

The docstrings' reStructuredText is that of PyTorch and torchmetrics, which Sphinx and editors read.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from griffe import Docstring, Extension, Module

ROLE = re.compile(r":(?:class|func|meth|mod|data|attr):`~?\.?([^`]+)`")
FORMULA = re.compile(r"^( *)\.\. math::((?: .*)?(?:\n(?:\1 +\S.*| *(?=\n\1 +\S)))*)", re.MULTILINE)
TABLE = re.compile(r"^(=+ =+\n(?:.+\n)+?=+ =+)$", re.MULTILINE)


def to_markdown(text: str) -> str:
    """Rewrite formulas, literal blocks and simple tables, and name the section of examples as Griffe does."""
    text = re.sub(r":math:`([^`]+)`", r"$\1$", text)
    text = FORMULA.sub(lambda found: f"{found[1]}$$\n{found[1]}{' '.join(found[2].split())}\n{found[1]}$$", text)
    text = TABLE.sub(r"```text\n\1\n```", text)
    text = re.sub(r"^( *)Example:$", r"\1Examples:", text, flags=re.MULTILINE)
    return re.sub(r"::$", ":", text, flags=re.MULTILINE).replace(r"\|", "|")


class Pages(Extension):
    """Prepare what Griffe has loaded."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        """Rewrite the docstrings, and say of each room what can be imported from it in place of showing it again."""
        documented = dict(_docstrings(pkg))
        homes = defaultdict(list)
        for path in documented:
            parts = path.split(".")
            for start in range(len(parts)):
                homes[".".join(parts[start:])].append(path)
        for docstring in documented.values():
            docstring.value = ROLE.sub(lambda found: _link(found[1], homes), to_markdown(docstring.value))
        for room in pkg.modules.values():
            _list_exports(room)


def _docstrings(node: Any) -> Iterator[tuple[str, Docstring]]:
    """Give the docstrings of what has a place on a page, with their paths."""
    if node.docstring:
        yield node.path, node.docstring
    for name, member in node.members.items():
        if not member.is_alias and (not name.startswith("_") or name.endswith("__")):
            yield from _docstrings(member)


def _link(name: str, homes: dict[str, list[str]]) -> str:
    """Link a name that belongs to one documented object alone."""
    found = homes.get(name, [])
    return f"[`{name}`][{found[0]}]" if len(found) == 1 else f"`{name}`"


def _list_exports(room: Module) -> None:
    shared = [name for name in room.exports or () if name in room.members and room.members[name].is_alias]
    for name in shared:
        del room.members[name]
    if shared:
        names = ", ".join(f"`{name}`" for name in sorted(shared, key=str.lower))
        text = room.docstring.value if room.docstring else ""
        room.docstring = Docstring(f"{text}\n\nTo be imported from here: {names}.", parent=room)
