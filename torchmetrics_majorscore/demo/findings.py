"""What MAJORScore finds on held-out scenes, beside CLIPCLAP: the third side, one scale, and what it does not buy."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor

from torchmetrics_majorscore.demo.clips import Clips
from torchmetrics_majorscore.demo.encoded import Encoded
from torchmetrics_majorscore.statistics.balance import balance
from torchmetrics_majorscore.statistics.consistency import compare, derange
from torchmetrics_majorscore.training.world.scene import COMBINATIONS, PLACES, Scene

PLANTED = 12
ALL = 'MAJORScore(pairs="all")'
Say = Callable[[str], object]


def find(encoded: Encoded, clips: Clips, seed: int, say: Say) -> dict[str, float]:
    """Measure and say what the metric finds.

    Args:
        encoded: the clips with their captions.
        clips: one scene of each combination of the embedded world, in the order of :data:`.COMBINATIONS`.
        seed: of what is planted, of wrong captions and of intervals.
        say: called with each line to show.

    Returns:
        The numbers that are said, by name.
    """
    say(f"{len(clips)} scenes that no model here has seen. AUROC: 1 tells right from wrong, 0.5 is a coin.")
    say('The third side. The caption is only "the bell", and the sound is that of a bell of another size and tempo in')
    say("another place: caption and picture fit, and caption and sound fit.")
    numbers = _third_side(encoded.with_texts(clips.short), clips.scenes, seed, say)
    say("One scale. Means of the similarities, and how far apart the first two are in standard deviations (Cohen's d):")
    numbers |= _one_scale(encoded, say)
    say("What it does not buy: captions of another kind of object are found as well without it.")
    order = derange([scene.kind for scene in clips.scenes], seed)
    wrong = encoded.with_other("text", order)
    scores = {
        "MAJORScore": (encoded.majorscore(), wrong.majorscore()),
        "CLIPCLAP": (encoded.clipclap(), wrong.clipclap()),
    }
    return numbers | _say_aurocs("captions", scores, seed, say)


def _third_side(encoded: Encoded, scenes: Sequence[Scene], seed: int, say: Say) -> dict[str, float]:
    rows = others(scenes)
    wrong = encoded.with_other("audio", rows)
    scores = {
        "video-audio": (encoded.similarity("video", "audio"), wrong.similarity("video", "audio")),
        ALL: (encoded.majorscore("all"), wrong.majorscore("all")),
        "MAJORScore": (encoded.majorscore(), wrong.majorscore()),
        "CLIPCLAP": (encoded.clipclap(), wrong.clipclap()),
    }
    numbers = _say_aurocs("third side", scores, seed, say)
    planted = np.random.default_rng(seed).permutation(len(rows))[:PLANTED]
    mixed = np.arange(len(rows))
    mixed[planted] = np.array(rows)[planted]
    found = encoded.with_other("audio", mixed.tolist())
    caught = {
        "video-audio": len(set(planted) & lowest(found.similarity("video", "audio"), PLANTED)),
        "CLIPCLAP": len(set(planted) & lowest(found.clipclap(), PLANTED)),
    }
    say(
        f"  Planted in {PLANTED} clips, {caught['video-audio']} of them are among the {PLANTED} lowest video-audio "
        f"similarities, {caught['CLIPCLAP']} among the {PLANTED} lowest CLIPCLAPs."
    )
    return numbers | {f"planted: {name}": float(count) for name, count in caught.items()}


def _one_scale(encoded: Encoded, say: Say) -> dict[str, float]:
    numbers = {}
    spaces = {
        "MAJORScore": [("video", "text"), ("text", "audio"), ("video", "audio")],
        "CLIPCLAP": [("clip_video", "clip_text"), ("clap_text", "clap_audio")],
    }
    for name, pairs in spaces.items():
        columns = [encoded.similarity(*pair).double() for pair in pairs]
        numbers[f"Cohen's d: {name}"] = apart = balance(columns[0].numpy(), columns[1].numpy()).cohens_d
        names = ("video-text", "text-audio", "video-audio")
        means = "  ".join(f"{pair} {x.mean():.3f}" for pair, x in zip(names, columns, strict=False))
        none = "" if len(columns) == 3 else f"  {names[2]}  none"
        say(f"  {name:24}{means}{none}   d {apart:.2f}")
    return numbers


def _say_aurocs(what: str, scores: Mapping[str, tuple[Tensor, Tensor]], seed: int, say: Say) -> dict[str, float]:
    numbers = {}
    for name, (right, wrong) in scores.items():
        found = compare(right.double().numpy(), wrong.double().numpy(), seed)["auroc"]
        say(f"  {name:24}AUROC {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]")
        numbers[f"{what}: {name}"] = found.value
    return numbers


def others(scenes: Sequence[Scene]) -> list[int]:
    """Give each scene the row of the one of its kind whose size, tempo and place are others.

    Args:
        scenes: one of each combination, in the order of :data:`.COMBINATIONS`.
    """
    flip = {"small": "large", "large": "small", "slow": "fast", "fast": "slow"}
    places = dict(zip(PLACES, [*PLACES[1:], PLACES[0]], strict=True))
    return [COMBINATIONS.index((s.kind, flip[s.size], flip[s.tempo], places[s.place])) for s in scenes]


def lowest(scores: Tensor, count: int) -> set[int]:
    """Give the rows of the lowest scores."""
    return set(scores.argsort()[:count].tolist())
