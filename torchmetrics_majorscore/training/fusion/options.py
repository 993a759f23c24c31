"""How a late-fusion model is trained: the scenarios of the paper, and the control that it lacks."""

import dataclasses
import math
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any, Literal, get_args

from torchmetrics_majorscore.functional.similarity import Pair

MODALITIES = ("text", "image", "audio", "video")
Scenario = Literal["round-robin", "round-robin-long", "tri-modal", "quad-modal"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)
Classes = Literal["auto", "unique", "literal"]
StopOn = Literal["validation", "test"]

_PAIRS = len(list(combinations(MODALITIES, 2)))
_KNOWN: dict[str, tuple[Any, ...]] = {
    "scenario": SCENARIOS,
    "classes": get_args(Classes),
    "stop_on": get_args(StopOn),
    "unit": (True, False),
}
_LOWEST = {"steps": 1, "batch_size": 2, "dim": 1, "check_every": 1, "patience": 1, "seed": 0, "weight_decay": 0}
_LOWEST |= {"dropout": 0}


@dataclass(frozen=True)
class FusionOptions:
    """How heads are trained; temperature, width and losses are the paper's, the rest our own, for it does not say.

    Args:
        scenario: ``"round-robin"`` trains one of the six pairs in each step, one after the other; ``"tri-modal"``
            text, image and audio jointly; ``"quad-modal"`` all four. ``"round-robin-long"`` is the control: six times
            the steps, so that as many pairs of modalities are compared as in ``"quad-modal"``.
        temperature: of InfoNCE, above 0.
        unit: vectors are normalised in front of the loss; False takes Eq. 1 as it stands.
        dim: width of the joint space.
        dropout: of the heads, in [0, 1).
        steps: of the optimizer at most, before the control's factor.
        batch_size: tuples per step, at least 2.
        classes: of a batch: ``"auto"``, each at most once where there are enough, else what shares a class is no
            negative; ``"unique"`` refuses more tuples than classes; ``"literal"`` draws them independently, and
            duplicates are negatives.
        learning_rate: of AdamW, above 0; it decays to 0 along a cosine.
        weight_decay: of AdamW.
        check_every: steps between two looks at the validation loss, before the control's factor.
        patience: looks without a lower loss after which training stops.
        stop_on: ``"validation"``, or ``"test"`` as in the paper, whose test numbers are then chosen on the test.
        seed: of weights, dropout and batches.

    Raises:
        ValueError: a value out of its range.
    """

    scenario: Scenario = "quad-modal"
    temperature: float = 0.05
    unit: bool = True
    dim: int = 256
    dropout: float = 0.1
    steps: int = 1_000
    batch_size: int = 128
    classes: Classes = "auto"
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    check_every: int = 50
    patience: int = 4
    stop_on: StopOn = "validation"
    seed: int = 0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if wanted := _wanted(field.name, field.default, value):
                raise ValueError(f"Expected {field.name} to be {wanted}, got {value!r}.")

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those that are trained."""
        return MODALITIES[:3] if self.scenario == "tri-modal" else MODALITIES

    @property
    def factor(self) -> int:
        """How many steps of the control stand for one."""
        return _PAIRS if self.scenario == "round-robin-long" else 1

    def in_play(self, step: int) -> list[Pair]:
        """Give the ordered pairs of modalities that are compared in a step: 2, 6 or 12."""
        if self.scenario.startswith("round-robin"):
            pair = list(combinations(MODALITIES, 2))[step % _PAIRS]
            return list(permutations(pair))  # type: ignore[arg-type]
        return list(permutations(self.modalities, 2))


def _wanted(name: str, default: Any, value: Any) -> str:
    """Say what an option should be; empty if it is."""
    if name in _KNOWN:
        known = _KNOWN[name]
        return "" if any(value is one or value == one for one in known) else f"one of {list(known)}"
    kinds = (int,) if isinstance(default, int) else (int, float)
    fits = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
    lowest = _LOWEST.get(name)
    fits = fits and (value > 0 if lowest is None else value >= lowest) and (name != "dropout" or value < 1)
    bound = "in [0, 1)" if name == "dropout" else "> 0" if lowest is None else f">= {lowest}"
    return "" if fits else f"{'an integer' if len(kinds) == 1 else 'a number'} {bound}"
