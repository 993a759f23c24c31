"""What the statistics find on the embedded world.

    uv run benchmarks/conclusions.py FOLDER [--count 384] [-o docs/conclusions.md]

FOLDER keeps clips and embeddings; what is there is not made again. First the consistency protocol; then a tenth of the
captions swapped for one of another kind of object, or for one of the same kind but another size, tempo or place, which
`majorscore filter` has to find; then 48 clips encoded again, well (crf 23, 128 kbit/s) or badly (crf 35 at half the
size, 32 kbit/s), which `majorscore duplicates` has to find beside scenes that differ only in their random numbers.
"""

import argparse
import contextlib
import csv
import io
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
from machine import versions

from torchmetrics_majorscore.cli.main import main as majorscore
from torchmetrics_majorscore.statistics.consistency import derange
from torchmetrics_majorscore.tables.duplicates import list_duplicates
from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings

TINY = ("--encoder", "c-mcr-tiny")
SHARE = 0.1
AGAIN = 48
QUALITIES = {"well": ("23", 1, 128_000), "badly": ("35", 2, 32_000)}
COLUMNS = ("majorscore_average", "majorscore_product", "similarity_video_text", "similarity_text_audio")


def command(*arguments: str) -> str:
    """Run the command here and give what it wrote."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = majorscore(arguments)
    if code not in (0, 1):
        raise SystemExit(f"majorscore {' '.join(arguments)} ended with {code}.")
    return output.getvalue()


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def plant(folder: Path, hard: bool) -> tuple[Path, set[str]]:
    """Write a manifest with the captions of a tenth of the clips swapped among them."""
    rows = read(folder / "manifest.csv")
    chosen = random.Random(0).sample(range(len(rows)), round(SHARE * len(rows)))
    kinds: dict[str, list[int]] = {}
    for row in chosen:
        kinds.setdefault(rows[row]["class"] if hard else "", []).append(row)
    swapped: dict[int, str] = {}
    for group in kinds.values():
        # Ids name size, tempo and place: kind-large-fast-cave-number.
        what = [rows[row]["id"].rpartition("-")[0] if hard else rows[row]["class"] for row in group]
        with contextlib.suppress(ValueError):  # fewer than two different ones
            partners = derange(what, 0)
            swapped |= {row: rows[group[k]]["text"] for row, k in zip(group, partners, strict=True)}
    planted = [row | {"text": swapped.get(k, row["text"])} for k, row in enumerate(rows)]
    path = folder / f"{'hard' if hard else 'easy'}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(planted)
    return path, {rows[row]["id"] for row in swapped}


def found_by_filter(folder: Path) -> Iterator[str]:
    """Give a table row for each way to look for planted captions."""
    yield "| planted | column | limit | rejected | precision | recall |"
    yield "|---|---|---|---|---|---|"
    for hard in (False, True):
        manifest, planted = plant(folder, hard)
        table = manifest.with_suffix(".scores.csv")
        command("score", str(manifest), *TINY, "-o", str(table))
        share = str(len(planted) / len(read(manifest)))
        for column in COLUMNS:
            for limit in (("--quantile", share), ("--quantile", share, "--by-class", "class")):
                command("filter", str(manifest), str(table), "--column", column, *limit, "--overwrite")
                rejected = {row["id"] for row in read(manifest.with_name(f"{manifest.stem}.rejected.csv"))}
                hits = len(rejected & planted)
                how = f"{len(planted)} of {len(read(manifest))}, {'same kind' if hard else 'another kind'}"
                yield (
                    f"| {how} | {column} | quantile{' of each class' if len(limit) > 2 else ''} | {len(rejected)} "
                    f"| {hits / len(rejected):.3f} | {hits / len(planted):.3f} |"
                )


def encode_again(source: Path, target: Path, crf: str, shrink: int, bit_rate: int) -> None:
    """Encode a clip again, as a second upload of it."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        picture, sound = old.streams.video[0], old.streams.audio[0]
        video = new.add_stream("libx264", rate=picture.average_rate, pix_fmt="yuv420p", options={"crf": crf})
        video.width, video.height = picture.width // shrink, picture.height // shrink
        audio = new.add_stream("aac", rate=44_100, layout="mono", bit_rate=bit_rate)
        resampler = av.AudioResampler(audio.format, audio.layout, 44_100)
        for frame in old.decode(picture, sound):
            if isinstance(frame, av.VideoFrame):
                new.mux(video.encode(frame.reformat(video.width, video.height)))
            else:
                for piece in resampler.resample(frame):
                    piece.pts = None
                    new.mux(audio.encode(piece))
        new.mux(video.encode())
        new.mux(audio.encode())


def found_as_duplicates(folder: Path) -> Iterator[str]:
    """Give a table row for each way to encode again, to compare, and threshold."""
    rows = read(folder / "manifest.csv")
    yield "| encoded again | compared | threshold | pairs found | of them planted | share of the planted |"
    yield "|---|---|---|---|---|---|"
    for quality, how in QUALITIES.items():
        (folder / quality).mkdir(exist_ok=True)
        for row in rows[:AGAIN]:
            if not (target := folder / quality / row["video"]).exists():
                encode_again(folder / row["video"], target, *how)
        manifest = folder / f"{quality}.csv"
        again = [row | {"id": f"again-{row['id']}", "video": f"{quality}/{row['video']}"} for row in rows[:AGAIN]]
        with manifest.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows([*rows, *again])
        command("benchmark", str(manifest), *TINY, "-o", str(manifest.with_suffix(".safetensors")))
        known = ClipEmbeddings.load(manifest.with_suffix(".safetensors"))
        for names in (["video", "audio"], ["clip_video"], ["clap_audio"], ["clip_video", "clap_audio"]):
            for threshold in (0.9, 0.95, 0.98):
                pairs, _ = list_duplicates(known, threshold=threshold, names=names)
                hits = sum(other == f"again-{one}" for one, other in zip(pairs.index, pairs["other"], strict=True))
                cells = (quality, " and ".join(names), threshold, len(pairs), hits, f"{hits / AGAIN:.3f}")
                yield f"| {' | '.join(map(str, cells))} |"


def lines(options: argparse.Namespace) -> Iterator[str]:
    folder: Path = options.folder
    if not (folder / "manifest.csv").exists():
        command("world", str(folder), "--count", str(options.count), "--seed", "5")
    yield "# Conclusions from tables\n"
    yield f"Written by `uv run benchmarks/conclusions.py FOLDER --count {options.count}`.\n"
    yield "## The consistency protocol on the embedded world\n"
    yield command("benchmark", str(folder / "manifest.csv"), *TINY, "-o", str(folder / "embeddings.safetensors"))
    yield "## Planted captions, found by `majorscore filter`\n"
    yield "The quantile is the share that was planted, so one quantile over all clips has equal precision and recall.\n"
    yield from found_by_filter(folder)
    yield "\n## Clips encoded again, found by `majorscore duplicates`\n"
    yield from found_as_duplicates(folder)
    yield f"\n{versions()}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=384, help="scenes (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    start, written = time.perf_counter(), []
    for line in lines(options):
        print(line, flush=True)
        written.append(line)
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
    if options.output:
        options.output.write_text("\n".join(written) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
