"""What MkDocs does not do by itself: formulas as MathML, figures in the text's colour, the help of the commands."""

import html
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert

ROOT = Path(__file__).parents[1]
HELP = re.compile(r"^\{\{ (majorscore(?: [a-z-]+)*) --help \}\}$", re.MULTILINE)
SHORT = re.compile(r"<code>([^<\s]{1,24})</code>")  # an option is not to be split at its hyphens
INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
BLOCK = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)
FIGURE = re.compile(r'<img alt="([^"]+)" src="[^"]*?(figures/\w+\.svg)"\s*/?>')


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the help of a command where its page asks for it."""
    return HELP.sub(lambda found: _help(found[1]), markdown)


def on_page_content(html: str, config: Any, **_: Any) -> str:
    """Turn formulas into MathML, and pictures of figures into the figures themselves."""
    html = SHORT.sub(r'<code class="short">\1</code>', html)
    html = INLINE.sub(lambda found: _formula(found[1], "inline"), html)
    html = BLOCK.sub(lambda found: f'<div class="formula">{_formula(found[1], "block")}</div>', html)
    return FIGURE.sub(lambda found: _figure(Path(config.docs_dir) / found[2], found[1]), html)


@cache
def _help(command: str) -> str:
    """Run a command's ``--help``; it loads nothing but the standard library, so the package need not be installed."""
    # Colours and the width of the terminal that builds would show in the page.
    terminal = {"COLUMNS": "80", "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-m", "torchmetrics_majorscore.cli", *command.split()[1:], "--help"]
    run = subprocess.run(call, env=os.environ | terminal, capture_output=True, text=True, check=True)
    return f"```text\n{run.stdout.strip()}\n```"


def _formula(latex: str, display: str) -> str:
    return convert(html.unescape(latex).strip(), display=display)


def _figure(path: Path, text: str) -> str:
    """Give the SVG, which takes the page's text colour only inside the page, with its text for who cannot see it."""
    return path.read_text(encoding="utf-8").replace("<svg ", f'<svg role="img" aria-label="{text}" ', 1)
