"""What `precision="bf16"` changes: every similarity in bfloat16 against the same one in float32.

    uv run benchmarks/precision.py [--manifest MANIFEST] [--weights FOLDER] [--scenes 200] [-o TABLE.md]

Two sets: the clips of a manifest through `c-mcr` of full size (seeded weights unless a folder is given: arithmetic, not
quality), and scenes of the embedded world's test split through `c-mcr-tiny`, whose weights are trained. For scale, the
standard deviation of each column over the clips.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import machine
from torch import Tensor

from torchmetrics_majorscore import MAJORScore, load_encoder
from torchmetrics_majorscore.encoders.resample import resample
from torchmetrics_majorscore.media import read_clip, read_manifest
from torchmetrics_majorscore.training.world.captions import caption
from torchmetrics_majorscore.training.world.scene import draw_scenes, unseen
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import SAMPLE_RATE, render_sounds

MANIFEST = Path(__file__).parents[1] / "docs/clips/manifest.csv"
RATE = 48_000
BATCH = 8


def real_clips(manifest: Path) -> list[dict[str, Any]]:
    """Decode the clips of a manifest; what a clip lacks is None."""
    samples = []
    for entry in read_manifest(manifest):
        clip = read_clip(entry.video, entry.audio, fps=1.0)
        audio = None
        if clip.waveform is not None and clip.sample_rate:
            audio = resample(clip.waveform.float().mean(dim=0), clip.sample_rate, RATE)
        samples.append({"video": clip.frames, "text": entry.text, "audio": audio})
    return samples


def scenes(count: int) -> list[dict[str, Any]]:
    """Render scenes of the test split."""
    kinds = unseen("test")
    drawn = draw_scenes((kinds * (count // len(kinds) + 1))[:count], 0, "test")
    frames, sounds = render_frames(drawn), render_sounds(drawn)
    return [
        {"video": frames[row], "text": caption(scene, "test"), "audio": sounds[row]} for row, scene in enumerate(drawn)
    ]


def similarities(samples: Sequence[dict[str, Any]], rate: int, name: str, **options: Any) -> dict[str, Tensor]:
    """Score samples; pairs without a value are NaN."""
    metric = MAJORScore(sample_rate=rate, fps=1.0, nan_strategy="ignore", encoder=load_encoder(name, **options))
    for at in range(0, len(samples), BATCH):
        metric.update(**{name: [sample[name] for sample in samples[at : at + BATCH]] for name in samples[0]})
    rows = {name: column.double() for name, column in metric.rows().items() if name != "id"}
    return rows | {"majorscore_average": (rows["video-text"] + rows["text-audio"]) / 2}


def table(what: str, low: dict[str, Tensor], full: dict[str, Tensor]) -> list[str]:
    """Give the lines of one set."""
    lines = []
    for name, column in full.items():
        valid = ~column.isnan()
        change = (low[name] - column)[valid]
        numbers = change.abs().max(), change.abs().mean(), change.mean(), column[valid].std()
        cells = [f"{number:.1e}" for number in numbers]
        lines.append(f"| {what} | {name} | {int(valid.sum())} | {' | '.join(cells)} | {column[valid].mean():.4f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path, default=MANIFEST)
    parser.add_argument("--weights", default="seeded", help="folder with checkpoints (default: seeded ones)")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("-o", "--output", type=Path, help="also written here")
    options = parser.parse_args()
    lines = [
        "| samples | column | n | largest change | mean of absolute changes | change of the mean | standard deviation "
        "of the column | its mean |",
        "|---|---|---|---|---|---|---|---|",
    ]
    sets = [
        ("scenes, `c-mcr-tiny`", scenes(options.scenes), SAMPLE_RATE, {"name": "c-mcr-tiny"}),
        ("clips, `c-mcr`", real_clips(options.manifest), RATE, {"name": "c-mcr", "weights": options.weights}),
    ]
    for what, samples, rate, how in sets:
        full, low = (similarities(samples, rate, **how, precision=p) for p in ("float32", "bf16"))
        lines += table(what, low, full)
    lines += ["", machine(), ""]
    page = "\n".join(lines)
    print(page)
    if options.output:
        options.output.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
