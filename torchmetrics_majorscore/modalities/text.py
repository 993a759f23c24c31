"""Text: captions as they are, without a prompt template."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Sequence
from typing import Any

from torchmetrics_majorscore.modalities.base import Checked, Modality


class Text(Modality):
    """B captions, str or None."""

    name = "text"
    columns = ("text", "caption", "label")

    def check(self, batch: Any, rate: None = None) -> Checked:
        """Check captions; one that an encoder would clean to nothing has no value."""
        if isinstance(batch, str):
            raise ValueError(f"Expected a list of captions, got the string {batch[:40]!r}; put it into a list.")
        if not isinstance(batch, Sequence):
            raise ValueError(f"Expected a list of captions, got {type(batch).__name__}.")
        checked = Checked()
        for caption in batch:
            if caption is not None and not isinstance(caption, str):
                raise ValueError(f"Expected each caption to be a str, got {type(caption).__name__}.")
            checked.add(caption, "is missing" if caption is None else "is empty" if is_empty(caption) else "")
        return checked


def is_empty(caption: str) -> bool:
    """Tell whether a tokenizer is left with nothing: white space, control characters, HTML entities of these."""
    cleaned = html.unescape(html.unescape(caption))
    return all(character.isspace() or unicodedata.category(character).startswith("C") for character in cleaned)
