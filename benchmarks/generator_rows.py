"""The metrics are put to the test on a trained generator: what makes it better or worse, and what each metric says.

    uv run benchmarks/generator_rows.py FOLDER [--scenes 40] [--seeds 0 1 2] [--only training guidance ...]

FOLDER is that of `generator_training.py`; of its runs these are used, as far as they are there: `frames-learned-0` for
its weights along the training, and runs of equal budgets with `--name short` for what the network lacks. All else is
the generator of the package, with guidance 2.5 and 25 steps. The tables are those of `generator.py`; each row is
compared with the one that differs from it in what its name says. `best of 8` is chosen by MAJORScore.
"""

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from generator import CPU, IN_TIME, OF_PAIRS, OF_SETS, Clips, System, expect, parser, show
from generator_report import generated
from torch import Tensor

from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.functional import major_score
from torchmetrics_majorscore.training.generator.checkpoint import BUNDLE, load_generator
from torchmetrics_majorscore.training.generator.features import Features
from torchmetrics_majorscore.training.generator.sounds import load_sounds
from torchmetrics_majorscore.training.generator.world import kept_features
from torchmetrics_majorscore.training.world.scene import Split

BASE = "generated"
GUIDANCE = 2.5
CANDIDATES = 8
ALL = (*OF_PAIRS, *IN_TIME, *OF_SETS)
VARIANTS = {
    "sync as frames, learned": ("frames-learned", expect()),
    "no sync": ("none-learned", expect(IN_TIME, OF_PAIRS)),
    "sync summed": ("summed-learned", expect(IN_TIME)),
    "missing: all learned": ("frames-all-learned", expect((), ALL)),
    "missing: zeros": ("frames-zeros", expect((), ALL)),
}


class Rows:
    """Systems of a folder of runs.

    Args:
        folder: see the module.
        split: whose wordings the captions have.
    """

    def __init__(self, folder: Path, split: Split) -> None:
        self.folder, self.split = folder, split
        self.sounds = load_sounds()
        self.network = cache(load_generator)

    def features(self, clips: Clips) -> Features:
        path = self.folder / f"rows-{self.split}-{clips.seed}-{len(clips.scenes)}.safetensors"
        return kept_features(path, clips.scenes, self.split)

    @torch.no_grad()
    def make(self, clips: Clips, weights: Path = BUNDLE, without: str = "", take: int = 0, **options: Any) -> Tensor:
        """Generate: ``without`` video, text or both; another ``take`` begins with other noise."""
        given = {"guidance": GUIDANCE, **options}
        return generated(self.network(weights), self.sounds, self.features(clips), without=without, take=take, **given)

    def best(self, clips: Clips) -> Tensor:
        """Give of several sounds of each clip the one of the highest score."""
        takes = [self.make(clips, take=take) for take in range(CANDIDATES)]
        encoder = load_encoder("c-mcr-tiny")
        scores = [
            major_score({**clips.joint, "audio": encoder.encode("audio", list(own), CPU)}, "average", pairs="text")
            for own in takes
        ]
        chosen = torch.stack(scores).argmax(dim=0)
        return torch.stack(takes)[chosen, torch.arange(len(chosen))]

    def groups(self) -> Iterator[tuple[str, dict[str, System]]]:
        """Give the systems by what they are about."""
        make = self.make
        run = self.folder / "runs" / "frames-learned-0"
        kept = sorted(run.glob("step-*.safetensors"), key=lambda path: int(path.stem.split("-")[1]))
        yield (
            "training",
            {
                f"after step {path.stem.split('-')[1]}": System(partial(make, weights=path), expect(ALL), BASE)
                for path in kept
            },
        )
        guidance = {1.0: expect(OF_PAIRS), 4.5: expect(), 8.0: expect(("fd_clap",))}
        yield (
            "guidance",
            {f"w = {w:g}": System(partial(make, guidance=w), wanted, BASE) for w, wanted in guidance.items()},
        )
        steps = {1: expect(ALL), 5: expect()}
        yield "steps", {f"Euler, {n}": System(partial(make, steps=n), wanted, BASE) for n, wanted in steps.items()}
        without = {
            "video": expect((*IN_TIME, *OF_PAIRS)),
            "text": expect(OF_PAIRS, IN_TIME),
            "both": expect((*OF_PAIRS, *IN_TIME)),
        }
        yield (
            "without",
            {f"without {one}": System(partial(make, without=one), wanted, BASE) for one, wanted in without.items()},
        )
        yield "best", {f"best of {CANDIDATES}": System(self.best, expect(), BASE)}
        yield "variants", dict(self.variants())

    def variants(self) -> Iterator[tuple[str, System]]:
        """Give networks of equal budgets with ten steps; of what stands for a missing modality, also without one."""
        for name, (stem, wanted) in VARIANTS.items():
            for path in sorted((self.folder / "runs").glob(f"{stem}-*-short/generator.safetensors")):
                seed = path.parent.name.split("-")[-2]
                for without in ("", "video", "text") if stem.startswith("frames") else ("",):
                    end = f"{without and ' without '}{without}, seed {seed}"
                    made = partial(self.make, weights=path, steps=10, without=without)
                    yield name + end, System(made, wanted, next(iter(VARIANTS)) + end)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("folder", type=Path)
    names = ("training", "guidance", "steps", "without", "best", "variants")
    arguments.add_argument("--only", nargs="+", choices=names, default=names)
    options = arguments.parse_args()
    rows = Rows(options.folder, options.split)
    systems = {"true sound": System(lambda clips: clips.sounds, {}), BASE: System(rows.make, {})}
    for name, group in rows.groups():
        systems |= group if name in options.only else {}
    show(systems, options)


if __name__ == "__main__":
    main()
