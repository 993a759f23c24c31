"""From files to the encoder: what reading costs, how it grows, and what it leaves for many clips.

    uv run benchmarks/reading.py MANIFEST [--list IDS.tsv] [--counts 48 192] [--rounds 3]

Clips are the videos of the manifest. CPU times are of one process and do not depend on what else the machine does.
*Many clips*: a list of ids, one per line with a label, mapped over the same files and scored with the small encoder, so
that reading and the work around it are all that counts. *Ranks* are processes of one thread with a part of the list
each.
"""

import argparse
import csv
import itertools
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from unittest import mock

import torch
from machine import machine, seconds

from torchmetrics_majorscore.encoders.resize import prepare_frames
from torchmetrics_majorscore.media import Entry, read_frames, read_manifest, read_waveform, video
from torchmetrics_majorscore.media.container import open_media
from torchmetrics_majorscore.media.decoding import Decoding
from torchmetrics_majorscore.scoring.read import source_of
from torchmetrics_majorscore.scoring.score import ScoreOptions, score_clips
from torchmetrics_majorscore.tables.write import ScoreTable

HEIGHTS, LENGTHS = (240, 360, 480, 720, 1080), (2, 10, 30)


def cpu(rounds: int, *runs: Callable[[], object]) -> list[float]:
    """Give the least CPU time of each in milliseconds; they take turns in every round."""
    times = []
    for _ in range(rounds):
        for run in runs:
            start = time.process_time()
            run()
            times.append(1000 * (time.process_time() - start))
    return [min(times[k :: len(runs)]) for k in range(len(runs))]


def opened(path: Path) -> None:
    with open_media(path):
        pass


def decoded(path: Path) -> None:
    with open_media(path) as container:
        for _ in Decoding(container, container.streams.video[0], path).frames():
            pass


def demuxed(path: Path, kind: str = "video") -> None:
    with open_media(path) as container:
        for _ in container.demux(getattr(container.streams, kind)[0]):
            pass


def read_every(path: Path) -> None:
    """Read frames from all pictures, those that nobody sees included."""
    with mock.patch.object(video, "_plan", return_value=[]):
        read_frames(path)


def parts(paths: Sequence[Path], rounds: int) -> str:
    """Split the CPU time of reading a clip."""
    heard = [path for path in paths if has_sound(path)]
    steps: dict[str, tuple[Sequence[Path], Callable[[Path], object]]] = {
        "opening the file": (paths, opened),
        "opening, demuxing": (paths, demuxed),
        "opening, decoding all pictures": (paths, decoded),
        "`read_frames`, all pictures decoded": (paths, read_every),
        "`read_frames`": (paths, read_frames),
        "opening, demuxing for the sound: a second pass": (heard, partial(demuxed, kind="audio")),
        "`read_waveform`": (heard, read_waveform),
    }
    lines = ["| | ms of CPU per clip |", "|---|---|"]
    times: dict[str, list[float]] = {name: [] for name in steps}
    for path in paths:
        names = [name for name, (files, _) in steps.items() if path in files]
        runs = [lambda path=path, run=steps[name][1]: run(path) for name in names]
        frames = read_frames(path)
        runs += [lambda f=frames: prepare_frames(f, 224), lambda f=frames: prepare_frames(f.contiguous(), 224)]
        for name, took in zip(
            [*names, "resize and crop", "the same from planes of colours"], cpu(rounds, *runs), strict=True
        ):
            times.setdefault(name, []).append(took)
    lines += [f"| {name} | {statistics.mean(own):.1f} |" for name, own in times.items()]
    return "\n".join(lines)


def has_sound(path: Path) -> bool:
    with open_media(path) as container:
        return len(container.streams.audio) > 0


def write_video(path: Path, source: Sequence[torch.Tensor], height: int, length: int) -> Path:
    """Write 30 pictures per second with x264's own choices, from real pictures in turn."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = height * 16 // 9 // 2 * 2, height, "yuv420p"
        for frame in itertools.islice(itertools.cycle([*source, *source[::-1]]), 30 * length):
            picture = av.VideoFrame.from_ndarray(frame.permute(1, 2, 0).contiguous().numpy(), format="rgb24")
            container.mux(stream.encode(picture.reformat(stream.width, stream.height)))
        container.mux(stream.encode(None))
    return path


def growth(source: Path, rounds: int, folder: Path) -> str:
    """CPU time of `read_frames` against resolution and length."""
    frames = list(read_frames(source, fps=30.0, end=4.0))
    lines = ["| | ms of CPU, all pictures decoded | ms of CPU | ratio |", "|---|---|---|---|"]
    for height, length in [*((height, 10) for height in HEIGHTS), *((360, length) for length in LENGTHS)]:
        path = write_video(folder / f"{height}_{length}.mp4", frames, height, length)
        full, own = cpu(rounds, lambda path=path: read_every(path), lambda path=path: read_frames(path))
        lines.append(f"| {height}p, {length} s | {full:.0f} | {own:.0f} | {own / full:.2f} |")
    return "\n".join(lines)


def write_list(path: Path, ids: Path, videos: Sequence[Path]) -> int:
    """Map a list of ids over the videos."""
    with ids.open(encoding="utf-8") as file:
        rows = [row for row in csv.reader(file, delimiter="\t") if row][1:]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "video", "text"])
        writer.writerows([row[0], videos[k % len(videos)], row[1]] for k, row in enumerate(rows))
    return len(rows)


def score_part(manifest: Path, first: int, last: int, workers: int) -> float:
    """Score a part of a list with the small encoder, and give the seconds it took."""
    entries = read_manifest(manifest)[first:last]
    with tempfile.TemporaryDirectory() as folder:
        options = ScoreOptions(encoder="c-mcr-tiny", workers=workers)
        score_clips(entries[:2], Path(folder, "warm.csv"), options)
        return seconds(lambda: score_clips(entries, Path(folder, "scores.csv"), options))


def many(manifest: Path, counts: Sequence[int], total: int) -> str:
    lines = ["| clips | processes | s | ms per clip | peak memory, MB |", "|---|---|---|---|---|"]
    for count in counts:
        took = score_part(manifest, 0, count, 2)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        lines.append(f"| {count} | 1, 2 workers | {took:.1f} | {1000 * took / count:.0f} | {peak} |")
    for ranks in (1, 2):
        bounds = [(rank * counts[0] // ranks, (rank + 1) * counts[0] // ranks) for rank in range(ranks)]
        command = [sys.executable, __file__, str(manifest), "--part"]
        started = [
            subprocess.Popen([*command, str(a), str(b)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            for a, b in bounds
        ]
        took = max(float(process.communicate()[0]) for process in started)
        each = 1000 * took / counts[0]
        lines.append(f"| {counts[0]} | {ranks} of one thread, 1 worker | {took:.1f} | {each:.0f} | |")
    return "\n".join([*lines, "", around(manifest, total)])


def around(manifest: Path, total: int) -> str:
    """CPU time of everything but reading and encoding, for the whole list."""
    (listing,) = cpu(1, lambda: read_manifest(manifest))
    entries: list[Entry] = read_manifest(manifest)
    ids, columns = [entry.id for entry in entries], list("abcdefg")
    with tempfile.TemporaryDirectory() as folder:
        sources = {entry.id: source_of(entry) for entry in entries}
        table = ScoreTable(Path(folder, "scores.csv"), columns, "s", sources)
        adding, summary, again = cpu(
            1,
            lambda: [table.add(name, dict.fromkeys(columns, 0.123456789)) for name in ids],
            table.write_summary,
            lambda: ScoreTable(table.path, columns, "s", sources),
        )
    took = ", ".join(
        f"{name} {1000 * value / total:.0f} us"
        for name, value in zip(
            ("manifest", "rows", "summary", "continuing"), (listing, adding, summary, again), strict=True
        )
    )
    return f"Around reading and encoding, CPU per clip of a list of {total}: {took}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--list", type=Path, help="ids and labels, tab-separated, with a header")
    parser.add_argument("--counts", type=int, nargs="+", default=[48, 192])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        torch.set_num_threads(1)
        print(score_part(options.manifest, *options.part, 1))
        return
    paths = [entry.video.resolve() for entry in read_manifest(options.manifest)]
    with tempfile.TemporaryDirectory() as folder:
        if options.list:  # first, or its peak memory would be that of what follows
            total = write_list(Path(folder, "list.csv"), options.list, paths)
            print(many(Path(folder, "list.csv"), options.counts, total) + "\n")
        print(parts(paths, options.rounds) + "\n")
        print(growth(paths[0], options.rounds, Path(folder)) + "\n")
    print(machine())


if __name__ == "__main__":
    main()
