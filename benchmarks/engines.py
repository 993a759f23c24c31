"""What one process, shards and Ray cost on the same clips, and whether their tables are the same bytes.

    uv run benchmarks/engines.py MANIFEST [--clips 240] [--encoder c-mcr-tiny]

The clips of the manifest are repeated under other ids. Shards run two at a time; Ray has an actor for each core. Every
process has one thread beside the two that read, for another number of threads moves last digits. Memory is the sum over
a command's processes (PSS: a page that several share counts once), its peak among samples; CPU is what they used until
the last sample that saw them.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from machine import machine

from torchmetrics_majorscore.media import read_manifest

EVERY = 0.5  # seconds between two samples
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

    def row(self, name: str, table: str) -> str:
        seconds, used = time.perf_counter() - self.begun, sum(self.cpu.values())
        return f"| {name} | {seconds:.0f} | {used:.0f} | {self.peak:,} | {table} |"


def repeat(manifest: Path, count: int, path: Path) -> None:
    """Write a manifest of ``count`` clips: those of another one under ids of their own."""
    entries = read_manifest(manifest)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "video", "audio", "text"])
        for number in range(count):
            entry = entries[number % len(entries)]
            files = [path and path.resolve() for path in (entry.video, entry.audio)]
            table.writerow([f"{entry.id}-{number}", *files, entry.text])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--clips", type=int, default=240)
    parser.add_argument("--encoder", default="c-mcr-tiny")
    options = parser.parse_args()
    print(f"{options.clips} clips | seconds | CPU seconds | MB at the peak | table\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        repeat(options.manifest, options.clips, folder / "m.csv")
        majorscore = [sys.executable, "-m", "torchmetrics_majorscore.cli"]
        score = [*majorscore, "score", f"{folder}/m.csv", "--quiet", "--device", "cpu", "--encoder", options.encoder]

        def compared(table: str) -> str:
            ends = (".csv", ".json")
            same = all((folder / f"{table}{e}").read_bytes() == (folder / f"one{e}").read_bytes() for e in ends)
            return "the same bytes" if same else "OTHER BYTES"

        watched = Watched()
        watched.run([*score, "-o", f"{folder}/one.csv"])
        print(watched.row("one process", ""), flush=True)
        for count in (2, 4):
            watched, place = Watched(), f"{folder}/of{count}"
            shards = [[*score, "--shard", f"{index}/{count}", "-o", place] for index in range(count)]
            for first in range(0, count, 2):
                watched.run(*shards[first : first + 2])
            watched.run([*majorscore, "merge", place, "--quiet"])
            print(watched.row(f"{count} shards, two at a time, and `merge`", compared(f"of{count}")), flush=True)
        watched = Watched()
        watched.run([*score, "--engine", "ray", "-o", f"{folder}/ray.csv"])
        print(watched.row(f"Ray, {os.cpu_count()} actors", compared("ray")), flush=True)
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
