"""What one process, shards and Ray cost on the same clips, and whether their tables are the same bytes.

    uv run benchmarks/engines.py MANIFEST [--clips 240] [--encoder c-mcr-tiny]
    uv run benchmarks/engines.py MANIFEST --list IDS.tsv --small 144 --folder FOLDER [--only ray]

The clips of the manifest are repeated under other ids, or under the ids and captions of a list (columns id and label).
Shards run two at a time; Ray has an actor for each core. Every process has one thread beside the two that read, for
another number of threads moves last digits. Memory is the sum over a command's processes (PSS: a page that several
share counts once), its peak among samples; CPU is what they used until the last sample that saw them. Equal digests,
of a table and its summary, are the same bytes.
"""

import argparse
import csv
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
from machine import machine

from torchmetrics_majorscore.media import Entry, read_manifest

EVERY = 2.0  # seconds between two samples, which cost some hundredths of one
TICKS = os.sysconf("SC_CLK_TCK")


class Watched:
    """Commands that run at once, with all processes that they begin."""

    def __init__(self) -> None:
        self.cpu: dict[int, float] = {}
        self.peak, self.begun = 0, time.perf_counter()

    def run(self, *commands: Sequence[str]) -> None:
        running = [subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}) for command in commands]
        while any(process.poll() is None for process in running):
            self._sample()
            time.sleep(EVERY)
        if codes := [process.returncode for process in running if process.returncode not in (0, 1)]:
            sys.exit(f"a command ended with {codes[0]}")

    def _sample(self) -> None:
        stats = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has just ended
                stats[int(folder.name)] = (folder / "stat").read_text().rpartition(")")[2].split()
        own = {os.getpid()}
        while more := {process for process, stat in stats.items() if int(stat[1]) in own} - own:
            own |= more
        memory = 0
        for process in own - {os.getpid()}:
            self.cpu[process] = (int(stats[process][11]) + int(stats[process][12])) / TICKS
            with suppress(OSError):
                lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
                memory += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        self.peak = max(self.peak, memory // 1024)

    def row(self, name: str, table: Path) -> str:
        seconds, used = time.perf_counter() - self.begun, sum(self.cpu.values())
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        failed = sum(bool(row["error"]) for row in rows)
        digest = hashlib.sha256(table.read_bytes() + table.with_suffix(".json").read_bytes()).hexdigest()[:12]
        return f"| {name} | {seconds:.0f} | {used:.0f} | {self.peak:,} | {len(rows):,} | {failed:,} | {digest} |"


def repeat(entries: Sequence[Entry], ids: Sequence[tuple[str, str]], path: Path) -> None:
    """Write a manifest: the files of clips, repeated under these ids; an empty caption is the clip's own."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "video", "audio", "text"])
        for number, (clip, caption) in enumerate(ids):
            entry = entries[number % len(entries)]
            files = [path and Path(path).resolve() for path in (entry.video, entry.audio)]
            table.writerow([clip or f"{entry.id}-{number}", *files, caption or entry.text])


def encode(path: Path, small: Path, side: int) -> None:
    """Store a clip as H.264 with a short side of ``side`` and a key frame every 30, and AAC at 48 kHz."""
    with av.open(str(path)) as given, av.open(str(small), "w") as made:
        pictures, sound = given.streams.video[0], next(iter(given.streams.audio), None)
        scale = side / min(pictures.width, pictures.height)
        width, height = (round(scale * length / 2) * 2 for length in (pictures.width, pictures.height))
        wanted = {"g": "30", "preset": "veryfast", "crf": "26", "threads": "1"}
        stream = made.add_stream("libx264", rate=pictures.average_rate, options=wanted)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = pictures.time_base
        track = made.add_stream("aac", rate=48_000, layout="stereo", bit_rate=64_000) if sound else None
        resampler = av.AudioResampler("fltp", "stereo", 48_000)

        def put(frame: Any) -> None:
            for part in resampler.resample(frame):
                made.mux(track.encode(part))

        for frame in given.decode(*([pictures, sound] if sound else [pictures])):
            if isinstance(frame, av.AudioFrame):
                put(frame)
                continue
            picture = frame.reformat(width, height, format="yuv420p")
            picture.pict_type = 0
            made.mux(stream.encode(picture))
        made.mux(stream.encode(None))
        if track:
            put(None)
            made.mux(track.encode(None))


def stored(entries: Sequence[Entry], side: int, folder: Path) -> list[Entry]:
    """Give the clips as small files; those that are there already are taken."""
    folder.mkdir(exist_ok=True)
    for entry in entries:
        path = folder / f"{entry.id}.mp4"
        if not path.exists():
            encode(Path(entry.video), path, side)
    return [replace(entry, video=folder / f"{entry.id}.mp4") for entry in entries]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--clips", type=int, default=240)
    parser.add_argument("--list", type=Path, help="ids and captions, instead of --clips")
    parser.add_argument("--small", type=int, help="store the videos anew, with a short side of so many pixels")
    parser.add_argument("--encoder", default="c-mcr-tiny")
    parser.add_argument("--folder", type=Path, help="where files and tables are kept (default: nowhere)")
    parser.add_argument("--only", nargs="+", choices=("one", "2", "4", "ray"), default=("one", "2", "4", "ray"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        folder = (options.folder or Path(passing)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        measure(options, folder)
    print(f"\n{machine()}")


def measure(options: argparse.Namespace, folder: Path) -> None:
    entries, ids = read_manifest(options.manifest), [("", "")] * options.clips
    if options.list:
        with options.list.open(newline="", encoding="utf-8") as file:
            ids = [(row["id"], row["label"]) for row in csv.DictReader(file, delimiter="\t")]
    if options.small:
        entries = stored(entries, options.small, folder / f"small{options.small}")
    sizes = sum(Path(entry.video).stat().st_size for entry in entries) / len(entries)
    print(f"{len(ids):,} clips of {len(entries)} files, {sizes / 1e3:.0f} kB each", end="")
    print(f", stored anew with a short side of {options.small}" if options.small else ", as they are", end="\n\n")
    print(
        "| | seconds | CPU seconds | MB at the peak | rows | failed | digest |\n|---|---|---|---|---|---|---|",
        flush=True,
    )
    repeat(entries, ids, folder / "m.csv")
    majorscore = [sys.executable, "-m", "torchmetrics_majorscore.cli"]
    score = [*majorscore, "score", f"{folder}/m.csv", "--quiet", "--device", "cpu", "--encoder", options.encoder]
    for name in options.only:
        table, watched = folder / f"of_{name}.csv", Watched()
        for old in (table, table.with_suffix(".json")):
            old.unlink(missing_ok=True)
        if name == "one":
            watched.run([*score, "-o", f"{table}"])
            print(watched.row("one process", table), flush=True)
        elif name == "ray":
            watched.run([*score, "--engine", "ray", "-o", f"{table}"])
            print(watched.row(f"Ray, {os.cpu_count()} actors", table), flush=True)
        else:
            place = table.with_suffix("")
            shutil.rmtree(place, ignore_errors=True)
            shards = [[*score, "--shard", f"{index}/{name}", "-o", f"{place}"] for index in range(int(name))]
            for first in range(0, int(name), 2):
                watched.run(*shards[first : first + 2])
            watched.run([*majorscore, "merge", f"{place}", "--quiet"])
            print(watched.row(f"{name} shards, two at a time, and `merge`", table), flush=True)


if __name__ == "__main__":
    main()
