"""Captions of the embedded world: several wordings of what a scene shows, some of them held out from training."""

import re

from torchmetrics_majorscore.training.world.scene import COLOURS, KINDS, Scene, Split

SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
TEMPO_WORDS = {
    "slow": ("slow", "lazy", "calm"),
    "fast": ("fast", "quick", "rapid"),
}
PLACE_WORDS = {
    "cave": ("in a cave", "inside a dark cave", "in an echoing cave"),
    "rain": ("in the rain", "on a rainy day", "while it rains"),
    "sea": ("by the sea", "at the beach", "near the waves"),
}
VOLUME_WORDS = {"quiet": ("quiet", "soft", "faint"), "loud": ("loud", "noisy", "strong")}

# Every word is seen in training; the sentences of validation and test are not.
WORDINGS: dict[Split, tuple[str, ...]] = {
    "train": (
        "a {size} {kind}, {tempo}, {place}",
        "a {tempo} and {size} {kind} {place}",
        "{place} there is a {size} {kind}, its pace is {tempo}",
        "the {size} {kind} is {tempo} and {volume} {place}",
        "a {size} {colour} {kind} at a {tempo} pace {place}",
        "this {kind} is {size}, {tempo} and it is {place}",
        "{size} {kind} with a {tempo} rhythm, {place}",
        "a {volume} {size} {kind} with a {tempo} pace, {place}",
        "a {colour} {kind} that is {size} and {tempo} {place}",
        "one {kind}, {size}, with a {tempo} pace {place}",
        "{tempo} rhythm of a {size} {kind} {place}",
        "{place}, a {tempo} {kind} of {size} size",
        "a {size} {kind} {place}",
        "a {tempo} {kind}",
        "the {kind} is {place}",
    ),
    "validation": (
        "there is a {tempo} {kind} {place}, it is {size}",
        "the pace of the {size} {kind} {place} is {tempo}",
        "a {kind} {place}: {size}, {tempo}",
    ),
    "test": (
        "{place}, one {size} {kind} with a {tempo} rhythm",
        "it is a {kind}, {tempo} and {size}, {place}",
        "the {kind} {place} is {size} and its rhythm is {tempo}",
        "a {kind} of {size} size {place} at a {tempo} pace",
    ),
}


def caption(scene: Scene, split: Split) -> str:
    """Describe a scene in one of a split's wordings, drawn by the scene's own seed.

    Scenes that differ in one attribute and share a seed differ in that attribute's words only.
    """
    return describe(scene, str(scene.random("wording").choice(WORDINGS[split])))


def describe(scene: Scene, wording: str) -> str:
    """Fill a wording with a scene's attributes; which synonym stands for a value is drawn by the scene's seed."""
    words = (SIZE_WORDS, TEMPO_WORDS, PLACE_WORDS, VOLUME_WORDS)
    names = ("size", "tempo", "place", "volume")
    drawn = scene.random("synonyms").integers(3, size=len(names))
    parts = {name: table[getattr(scene, name)][number] for name, table, number in zip(names, words, drawn, strict=True)}
    return re.sub(r"\ba (?=[aeiou])", "an ", wording.format(kind=scene.kind, colour=scene.colour, **parts))


def vocabulary() -> set[str]:
    """Give every word that a caption can have, in lower case."""
    tables = (SIZE_WORDS, TEMPO_WORDS, PLACE_WORDS, VOLUME_WORDS)
    phrases = [phrase for table in tables for synonyms in table.values() for phrase in synonyms]
    phrases += [wording for wordings in WORDINGS.values() for wording in wordings]
    fixed = " ".join([*phrases, *KINDS, *COLOURS])
    for name in ("size", "tempo", "place", "volume", "kind", "colour"):
        fixed = fixed.replace(f"{{{name}}}", " ")
    return {"an"} | set(fixed.replace(",", " ").replace(":", " ").lower().split())
