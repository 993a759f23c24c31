"""Which score over three vectors tells scenes of the embedded world from mispaired ones?

    uv run benchmarks/other_scores.py [--galleries 4] [--encoder c-mcr-tiny]

Test scenes with their captions and sounds, against the same scenes with one part exchanged: the caption or the sound of
a scene of another kind, or a caption or a sound in which size, tempo or place is wrong (hard). For each score the AUROC
and the share of scenes that score above their own exchange, with 95 % bootstrap intervals over scenes.
"""

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import torch
from embedded_world import show, table
from machine import versions
from torch import Tensor

from torchmetrics_majorscore.functional import (
    gram_volume,
    major_score,
    multilinear_product,
    principal_alignment,
    triangle_area,
)
from torchmetrics_majorscore.metrics import MAJORScore
from torchmetrics_majorscore.statistics.bootstrap import Interval, bootstrap
from torchmetrics_majorscore.statistics.consistency import auroc, derange, win_rate
from torchmetrics_majorscore.training.world.captions import caption
from torchmetrics_majorscore.training.world.scene import COMBINATIONS, draw_scenes, with_wrong_attribute
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import render_sounds
from torchmetrics_majorscore.training.world.timbres import SAMPLE_RATE

Embeddings = Mapping[str, Tensor]
SCORES: dict[str, Callable[[Embeddings], Tensor]] = {
    "MAJORScore sum or average, text": lambda e: major_score(e, "average"),
    "MAJORScore product, text": lambda e: major_score(e, "product"),
    "MAJORScore sum or average, all": lambda e: major_score(e, "average", pairs="all"),
    "MAJORScore product, all": lambda e: major_score(e, "product", pairs="all"),
    "GRAM volume (-)": lambda e: -gram_volume(e),
    "TRIANGLE area (-)": lambda e: -triangle_area(e),
    "Symile product": multilinear_product,
    "principal alignment": principal_alignment,
}


def exchanges(galleries: int, encoder: str) -> tuple[Embeddings, dict[str, Embeddings]]:
    """Encode test scenes, and the same with one part exchanged."""
    scenes = draw_scenes(list(range(len(COMBINATIONS))) * galleries, 0, "test")
    wrong = [with_wrong_attribute(scene) for scene in scenes]
    metric = MAJORScore(encoder=encoder, sample_rate=SAMPLE_RATE, fps=1)
    own = metric.encode(
        video=render_frames(scenes), text=[caption(scene, "test") for scene in scenes], audio=render_sounds(scenes)
    )
    hard = metric.encode(text=[caption(scene, "test") for scene in wrong], audio=render_sounds(wrong))
    order = torch.tensor(derange([scene.kind for scene in scenes], seed=0))
    return own, {
        "caption of another kind": {**own, "text": own["text"][order]},
        "sound of another kind": {**own, "audio": own["audio"][order]},
        "caption, one attribute wrong": {**own, "text": hard["text"]},
        "sound, one attribute wrong": {**own, "audio": hard["audio"]},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--galleries", type=int, default=4, help="scenes of each of the 192 combinations")
    parser.add_argument("--encoder", default="c-mcr-tiny")
    options = parser.parse_args()
    own, exchanged = exchanges(options.galleries, options.encoder)
    print(f"{len(own['text'])} test scenes, {options.encoder}. {versions()}\n")
    measures: tuple[Callable[..., Any], ...] = (auroc, win_rate)
    for measure in measures:
        found: dict[str, list[Interval]] = {
            name: [bootstrap(measure, score(own).numpy(), score(other).numpy()) for other in exchanged.values()]
            for name, score in SCORES.items()
        }
        print("\n".join(table([measure.__name__, *exchanged], ([n, *map(show, row)] for n, row in found.items()))))
        for place, name in enumerate(exchanged):
            best = max(found, key=lambda score: found[score][place].value)
            print(f"highest {measure.__name__}, {name}: {best}")
        print()


if __name__ == "__main__":
    main()
