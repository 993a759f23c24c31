"""CLIP's tokenizer: byte-pair encoding of cleaned, lower-case text.

``clip_merges.txt.gz`` is the head of OpenAI's ``bpe_simple_vocab_16e6.txt.gz`` (MIT license), all of it that CLIP uses.

Source: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", ACL 2016; Radford et al.,
"Learning Transferable Visual Models From Natural Language Supervision", ICML 2021.
"""

import gzip
import html
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from torchmetrics_majorscore.extras import needs_extras

MERGES = Path(__file__).parent / "clip_merges.txt.gz"
END = "</w>"  # marks the last symbol of a word
WORDS = (
    r"<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"  # regex knows \p, re not
)


class Tokenizer:
    """Captions to rows of token numbers; the end token has the largest.

    Args:
        merges: gzipped text, a line of comment and then a pair of symbols in each; what stands first is merged first.
        context_length: tokens of a row, with the start and the end.
    """

    def __init__(self, merges: Path = MERGES, context_length: int = 77) -> None:
        needs_extras({"ftfy": "cmcr", "regex": "cmcr"})
        import regex  # type: ignore[import-untyped, unused-ignore]

        self.context_length = context_length
        self._words = regex.compile(WORDS, regex.IGNORECASE)
        with gzip.open(merges, "rt", encoding="utf-8") as file:
            pairs = [(first, second) for first, second in (line.split() for line in list(file)[1:] if line.strip())]
        self._symbols = _symbols()
        symbols = list(self._symbols.values())
        special = ["<start_of_text>", "<end_of_text>"]
        joined = [first + second for first, second in pairs]
        names = [*symbols, *(symbol + END for symbol in symbols), *joined, *special]
        self._numbers = {name: number for number, name in enumerate(names)}
        self._ranks = {pair: rank for rank, pair in enumerate(pairs)}
        self._merged = lru_cache(maxsize=65_536)(self._merge)
        self._special = frozenset(special)

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Give token numbers, int64, (N, context_length), filled with 0; what does not fit is cut, but for the end."""
        rows = torch.zeros(len(texts), self.context_length, dtype=torch.int64)
        start, end = (self._numbers[name] for name in ("<start_of_text>", "<end_of_text>"))
        for row, text in zip(rows, texts, strict=True):
            tokens = [start, *self.encode(text)[: self.context_length - 2], end]
            row[: len(tokens)] = torch.tensor(tokens)
        return rows

    def encode(self, text: str) -> list[int]:
        """Give the token numbers of a caption, without start and end."""
        import ftfy

        cleaned = html.unescape(html.unescape(ftfy.fix_text(text)))
        words = self._words.findall(" ".join(cleaned.split()).lower())
        return [number for word in words for number in self._merged(word)]

    def _merge(self, word: str) -> tuple[int, ...]:
        """Join the symbols of a word pair by pair, the pair of the lowest rank first."""
        if word in self._special:
            return (self._numbers[word],)
        parts = [self._symbols[byte] for byte in word.encode()]
        parts[-1] += END
        while len(parts) > 1:
            best = min(pairwise(parts), key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            parts = _join(parts, best)
        return tuple(self._numbers[part] for part in parts)


def _join(parts: Sequence[str], pair: tuple[str, str]) -> list[str]:
    """Join a pair wherever it stands, from the left."""
    joined: list[str] = []
    places = iter(range(len(parts)))
    for place in places:
        if tuple(parts[place : place + 2]) == pair:
            joined.append(pair[0] + pair[1])
            next(places, None)
        else:
            joined.append(parts[place])
    return joined


def _symbols() -> dict[int, str]:
    """Give each byte a character that can be seen, in the order in which the vocabulary begins."""
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {byte: chr(256 + number) for number, byte in enumerate(others)}
