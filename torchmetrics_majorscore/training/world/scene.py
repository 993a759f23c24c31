"""Scenes of the embedded world: one sounding object with its attributes, in one of three places, for four seconds.

A scene says what can be seen and heard; ``sight`` renders its frames, ``sound`` its waveform and ``captions`` its
words. Kind, size, tempo and place make 192 *combinations*; 144 of them are for training, 24 only for choosing
(``"validation"``), 24 only for the final test.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

KINDS = (
    "anvil", "bell", "bird", "cat", "clock", "cricket", "drum", "engine",
    "fountain", "flute", "frog", "guitar", "horn", "rattle", "robot", "siren",
)  # fmt: skip
SIZES = ("small", "large")
TEMPI = ("slow", "fast")
PLACES = ("cave", "rain", "sea")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white")
VOLUMES = ("quiet", "loud")
SECONDS = 4.0
EVENTS_PER_SECOND = {"slow": (0.8, 1.3), "fast": (2.6, 3.8)}

Item = TypeVar("Item")
Result = TypeVar("Result")
Split = Literal["train", "validation", "test"]
Combination = tuple[str, str, str, str]
COMBINATIONS: tuple[Combination, ...] = tuple(product(KINDS, SIZES, TEMPI, PLACES))
ATTRIBUTES = {"size": SIZES, "tempo": TEMPI, "place": PLACES}


@dataclass(frozen=True)
class Scene:
    """What is seen and heard.

    Args:
        kind: out of :data:`KINDS`.
        size: small objects are drawn small and sound high.
        tempo: how often the object moves and sounds.
        place: background and ambience.
        colour: of the object; it makes no sound.
        volume: how loud the object is; seen as rays around it.
        seed: of everything else that a render draws.
        noise_db: signal-to-noise ratio of added white noise in dB; None for a random one from 25 to 45.
        companion: kind of a second, silent object in the picture; None for none.
    """

    kind: str
    size: str
    tempo: str
    place: str
    colour: str
    volume: str
    seed: int
    noise_db: float | None = None
    companion: str | None = None

    @property
    def id(self) -> str:
        """Name that tells this scene from others."""
        return f"{self.kind}-{self.size}-{self.tempo}-{self.place}-{self.seed}"

    @property
    def combination(self) -> int:
        """Index into :data:`COMBINATIONS`."""
        return COMBINATIONS.index((self.kind, self.size, self.tempo, self.place))

    def random(self, purpose: str) -> np.random.Generator:
        """Give a random generator; what one purpose draws does not move another's numbers."""
        return np.random.default_rng([self.seed, *purpose.encode()])

    def events(self) -> NDArray[np.float64]:
        """Give the times of the object's movements and sounds, in seconds, from before 0 to after the end.

        The render of a scene starts inside a period, and the object moves from event to event: at each it is at the
        same point of its movement, and there its sound begins.
        """
        random = self.random("events")
        period = 1.0 / random.uniform(*EVENTS_PER_SECOND[self.tempo])
        count = int(SECONDS / period) + 4
        times = (np.arange(-1.0, count - 1) - random.uniform()) * period
        return times + random.uniform(-0.04, 0.04, count) * period


def unseen(split: Split) -> list[int]:
    """Give the combinations that belong to a split alone: 24 for validation, 24 for the test; for train the other 144.

    Of the 12 combinations of a kind, three are held out, one for one split and two for the other.
    """
    random = np.random.default_rng(2024)
    chosen: dict[Split, list[int]] = {"train": [], "validation": [], "test": []}
    per_kind = len(COMBINATIONS) // len(KINDS)
    for number in range(len(KINDS)):
        order = (number * per_kind + random.permutation(per_kind)).tolist()
        first = 1 + number % 2
        chosen["validation"] += order[:first]
        chosen["test"] += order[first:3]
        chosen["train"] += order[3:]
    return sorted(chosen[split])


def draw_scenes(combinations: Sequence[int], seed: int, split: Split) -> list[Scene]:
    """Draw one scene for each given combination.

    Args:
        combinations: indices into :data:`COMBINATIONS`; repeat one to get several scenes of it.
        seed: of the draw. The seeds of the scenes of two splits, or of two draws with other seeds, are all different.
        split: what the scenes are for.

    Returns:
        Scenes in the given order.

    Raises:
        ValueError: scenes for training are asked for combinations that are held out from it.
    """
    held_out = {*unseen("validation"), *unseen("test")}
    if split == "train" and not held_out.isdisjoint(combinations):
        name = COMBINATIONS[min(held_out.intersection(combinations))]
        raise ValueError(f"Expected combinations for training, got the held-out {name}.")
    random = np.random.default_rng([seed, *split.encode()])
    first = (("train", "validation", "test").index(split) * 1_000 + seed) * 1_000_000
    return [
        Scene(
            *COMBINATIONS[combination],
            colour=str(random.choice(COLOURS)),
            volume=str(random.choice(VOLUMES)),
            seed=first + number,
        )
        for number, combination in enumerate(combinations)
    ]


def with_wrong_attribute(scene: Scene) -> Scene:
    """Change one of size, tempo and place, drawn at random: the hard negative of a caption."""
    random = scene.random("wrong attribute")
    name = str(random.choice(list(ATTRIBUTES)))
    others = [value for value in ATTRIBUTES[name] if value != getattr(scene, name)]
    changed: dict[str, Any] = {name: str(random.choice(others))}
    return replace(scene, **changed)


def in_threads(render: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Map a renderer over items, one thread per core, each with one torch thread: the tensors are small."""
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as workers:
        return list(workers.map(render, items))
