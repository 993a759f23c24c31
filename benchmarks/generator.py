"""The metrics are put to the test: sounds of known quality on held-out scenes, and what each metric says of them.

    uv run benchmarks/generator.py [--scenes 40] [--seeds 0 1 2] [--split test]

Each row is a way to make a sound for a video of the embedded world, with what should happen to each metric against the
true sounds: worse, or the same where the metric cannot know. Those of a trained generator: `generator_rows.py`. ``p``
is the share of sets of n clips, drawn out of all seeds, in which the order comes out otherwise; a metric is sure from
the smallest n on with p < .05. Values are of all clips; the interval of a mean is a 95 % percentile bootstrap, that of
a metric of sets a Student's t over seeds.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from quality import SEED, T_95, with_noise
from torch import Tensor

from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.encoders.resample import resample
from torchmetrics_majorscore.functional import detect_onsets, fair_score, kl_divergence, major_score, onset_scores
from torchmetrics_majorscore.functional.desync import desync
from torchmetrics_majorscore.functional.frechet import frechet_distance
from torchmetrics_majorscore.functional.inception import inception_score
from torchmetrics_majorscore.functional.onset_detection import SAMPLE_RATE as ONSET_RATE
from torchmetrics_majorscore.networks.synchrony import load_sync
from torchmetrics_majorscore.networks.zero_shot import zero_shot_network
from torchmetrics_majorscore.statistics.bootstrap import bootstrap
from torchmetrics_majorscore.statistics.consistency import derange
from torchmetrics_majorscore.training.generator.sounds import load_sounds
from torchmetrics_majorscore.training.world.captions import caption
from torchmetrics_majorscore.training.world.scene import SECONDS, Scene, Split, draw_scenes, unseen
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import SAMPLE_RATE, render_sounds

Expected = Literal["worse", "same"]
Sets = Mapping[int, list[Tensor]]
CPU = torch.device("cpu")
AT_ONCE = 16
TOLERANCE = 0.07  # seconds, of onsets
NUMBERS = (2, 4, 8, 16, 32, 60, 100)
DRAWS = 100
# Of each column where better lies: upwards or downwards.
MEANS = {"majorscore": 1, "fairscore": -1, "kl_zero_shot": -1, "desync_tiny": -1, "onset_f1": 1, "onset_ap": 1}
OF_SETS = {"fd_clap": -1, "is_zero_shot": 1}
SIGNS = MEANS | OF_SETS
IN_TIME = ("desync_tiny", "onset_f1", "onset_ap")
OF_PAIRS = ("majorscore", "fairscore", "kl_zero_shot")


@dataclass(frozen=True)
class Clips:
    """Scenes of one draw, rendered, with what is seen and read in them.

    Args:
        scenes: N of held-out combinations.
        sounds: true ones, (N, S).
        reference: of these scenes with other random numbers, what distances and divergences compare with.
        joint: ``video`` and ``text``, (N, D).
        seen: by ``sync-tiny``, of each video.
        seed: of the draw.
    """

    scenes: list[Scene]
    sounds: Tensor
    reference: dict[str, Tensor]
    joint: dict[str, Tensor]
    seen: list[Tensor]
    seed: int


@dataclass(frozen=True)
class System:
    """A way to make sounds for clips.

    Args:
        make: gives waveforms (N, S) at 48 kHz.
        expected: what should happen to each column; those that are not named may do either.
        against: the system that it is compared with.
    """

    make: Callable[[Clips], Tensor]
    expected: Mapping[str, Expected]
    against: str = "true sound"


def expect(worse: Sequence[str] = (), same: Sequence[str] = ()) -> dict[str, Expected]:
    return {**dict.fromkeys(worse, "worse"), **dict.fromkeys(same, "same")}


def shift(seconds: float) -> System:
    """Let sounds come late; what leaves the clip at its end comes in at its start."""
    blind = expect(IN_TIME, (*OF_PAIRS, *OF_SETS))
    return System(lambda clips: clips.sounds.roll(round(seconds * SAMPLE_RATE), dims=-1), blind)


def noise(db: float) -> System:
    worse = expect((*OF_PAIRS, "fd_clap", "onset_f1", "onset_ap"), ())
    return System(lambda clips: with_noise(clips.sounds, db, clips.seed), worse)


def swapped(clips: Clips) -> Tensor:
    """Give each clip the sound of another kind of object."""
    return clips.sounds[torch.as_tensor(derange([scene.kind for scene in clips.scenes], clips.seed))]


def by_vocoder(clips: Clips) -> Tensor:
    """Make log-mels of the true sounds, and waveforms of these: what no generator of log-mels can surpass."""
    vocoder = load_sounds().vocoder
    return torch.cat([vocoder.synthesise(vocoder.analyse(part)) for part in clips.sounds.split(AT_ONCE)])


def by_latents(clips: Clips) -> Tensor:
    """Take the true sounds through the latents: what no generator of these can surpass."""
    voice = load_sounds()
    return torch.cat([voice.decode(voice.encode(part)[0]) for part in clips.sounds.split(AT_ONCE)])


SYSTEMS: dict[str, System] = {
    "true sound": System(lambda clips: clips.sounds, {}),
    "ceiling of the vocoder": System(by_vocoder, {}),
    "ceiling of the latents": System(by_latents, {}),
    **{f"late by {seconds:g} s": shift(seconds) for seconds in (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)},
    "swapped between clips": System(swapped, expect((*OF_PAIRS, *IN_TIME), OF_SETS)),
    **{f"noise at {db} dB": noise(db) for db in (30, 20, 10, 0)},
}
"""What needs no trained generator; one adds rows of its own."""


def draw(count: int, seed: int, split: Split) -> Clips:
    """Render scenes of held-out combinations, and look at them."""
    combinations = np.resize(np.random.default_rng(seed).permutation(unseen(split)), count)
    scenes = draw_scenes(combinations.tolist(), 50 + seed, split)
    encoder, sync = load_encoder("c-mcr-tiny"), load_sync("sync-tiny")
    texts = encoder.encode("text", [caption(scene, split) for scene in scenes], CPU)
    sounds, videos, seen = [], [], []
    for at in range(0, count, AT_ONCE):
        frames = render_frames(scenes[at : at + AT_ONCE], sync.fps)
        sounds.append(render_sounds(scenes[at : at + AT_ONCE]))
        videos.append(encoder.encode("video", list(frames[:, :: sync.fps]), CPU))
        seen += sync.encode_video(list(frames), CPU)
    others = render_sounds([replace(scene, seed=scene.seed + SEED) for scene in scenes])
    return Clips(scenes, torch.cat(sounds), hear(others), {"video": torch.cat(videos), "text": texts}, seen, seed)


def hear(sounds: Tensor) -> dict[str, Tensor]:
    heard = zero_shot_network("c-mcr-tiny").encode(list(sounds), SAMPLE_RATE, CPU)
    return {name: torch.as_tensor(heard[name]) for name in ("features", "logits")}


def measure(clips: Clips, sounds: Tensor) -> dict[str, Tensor]:
    """Score sounds: a column of values for each mean, and what the metrics of sets are made of."""
    joint = clips.joint | {"audio": load_encoder("c-mcr-tiny").encode("audio", list(sounds), CPU)}
    rows = hear(sounds)
    sync = load_sync("sync-tiny")
    onsets = torch.tensor([_onsets(scene, sound) for scene, sound in zip(clips.scenes, sounds, strict=True)])
    return rows | {
        "majorscore": major_score(joint, "average", pairs="text").double(),
        "fairscore": fair_score(joint, pairs="text").double(),
        "kl_zero_shot": kl_divergence(rows["logits"], clips.reference["logits"]),
        "desync_tiny": desync(sync.compare(clips.seen, sync.encode_audio(list(sounds), SAMPLE_RATE, CPU), CPU)),
        "onset_f1": onsets[:, 0],
        "onset_ap": onsets[:, 1],
    }


def _onsets(scene: Scene, sound: Tensor) -> tuple[float, float]:
    events = torch.from_numpy(scene.events())
    found = detect_onsets(resample(sound, SAMPLE_RATE, ONSET_RATE))
    scores = onset_scores(found, events[(events >= 0) & (events < SECONDS)], tolerance=TOLERANCE)
    return scores.f1, scores.average_precision


def value(column: str, rows: Mapping[str, Tensor], reference: Tensor, chosen: Tensor) -> float:
    """Give a column's value for some of the clips; of means those clips count that have one."""
    if column == "fd_clap":
        return frechet_distance(rows["features"][chosen], reference).item()
    if column == "is_zero_shot":
        return inception_score(rows["logits"][chosen], splits=1)[0].item()
    return rows[column][chosen].nanmean().item()


def subsets(count: int) -> dict[int, list[Tensor]]:
    """Draw sets of clips out of so many, of each size up to half of them: larger ones would be nearly the same."""
    random = np.random.default_rng(0)
    sizes = [number for number in NUMBERS if 2 * number <= count]
    return {n: [torch.from_numpy(random.permutation(count)[:n]) for _ in range(DRAWS)] for n in sizes}


def sure_from(
    column: str, rows: Mapping[str, Tensor], truth: Mapping[str, Tensor], reference: Tensor, sets: Sets
) -> tuple[int | None, float]:
    """Give the smallest number of clips with p < .05, None if there is none, and the last p.

    p is the share of sets of so many clips in which a system does not come out worse than the true sounds; of two equal
    values half.
    """
    p = 1.0
    for number, drawn in sets.items():
        gains = [
            SIGNS[column] * (value(column, truth, reference, chosen) - value(column, rows, reference, chosen))
            for chosen in drawn
        ]
        p = float(np.mean([0.5 if gain == 0 else float(not gain > 0) for gain in gains]))
        if p < 0.05:
            return number, p
    return None, p


def joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def show_values(found: Mapping[str, list[dict[str, Tensor]]], references: Sequence[Tensor]) -> Iterator[str]:
    yield f"| sound | {' | '.join(SIGNS)} |\n|---|{'---|' * len(SIGNS)}"
    for name, parts in found.items():
        cells = []
        for column in SIGNS:
            if column in MEANS:
                mean = bootstrap(np.mean, joined(parts)[column].numpy())
                cells.append(f"{mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}]")
                continue
            every = torch.arange(len(parts[0]["logits"]))
            drawn = [value(column, part, own, every) for part, own in zip(parts, references, strict=True)]
            half = T_95[len(drawn)] * np.std(drawn, ddof=1) / len(drawn) ** 0.5 if len(drawn) > 1 else np.nan
            cells.append(f"{np.mean(drawn):.3f} ± {half:.3f}")
        yield f"| {name} | {' | '.join(cells)} |"


def show_expectations(
    systems: Mapping[str, System], found: Mapping[str, list[dict[str, Tensor]]], references: Sequence[Tensor]
) -> Iterator[str]:
    yield f"| sound | against | {' | '.join(SIGNS)} |\n|---|---|{'---|' * len(SIGNS)}"
    sets = subsets(len(references) * len(references[0]))
    for name, system in systems.items():
        if name == system.against:
            continue
        truth, rows, cells = joined(found[system.against]), joined(found[name]), []
        for column in SIGNS:
            number, p = sure_from(column, rows, truth, torch.cat(list(references)), sets)
            happened = f"worse, n = {number}" if number else f"not worse, p {p:.2f}"
            wanted = system.expected.get(column)
            agreed = {None: "", "worse": "yes: " if number else "NO: ", "same": "NO: " if number else "yes: "}[wanted]
            cells.append(f"{agreed}{happened}")
        yield f"| {name} | {system.against} | {' | '.join(cells)} |"


def parser(about: str | None) -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("--scenes", type=int, default=40, help="of each seed")
    out.add_argument("--split", choices=("validation", "test"), default="test")
    out.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    return out


def show(systems: Mapping[str, System], options: argparse.Namespace) -> dict[str, list[dict[str, Tensor]]]:
    """Measure systems and print both tables."""
    found: dict[str, list[dict[str, Tensor]]] = {name: [] for name in systems}
    references = []
    for seed in options.seeds:
        clips = draw(options.scenes, seed, options.split)
        references.append(clips.reference["features"])
        for name, system in systems.items():
            found[name].append(measure(clips, system.make(clips)))
            print(f"seed {seed}: {name}", file=sys.stderr, flush=True)
    print("\n".join(show_values(found, references)))
    print(f"\n{options.scenes} scenes of each of {len(options.seeds)} seeds, {options.split}. Does it rank as known?\n")
    print("\n".join(show_expectations(systems, found, references)))
    return found


def main() -> None:
    show(SYSTEMS, parser(__doc__).parse_args())


if __name__ == "__main__":
    main()
