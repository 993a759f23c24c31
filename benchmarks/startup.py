"""What a person waits for: commands until they answer, imports, and ``score`` until its first finished row.

    uv run benchmarks/startup.py [--rounds 5]

Every run is a new process with bytecode cached, in turns; seconds from Enter, median (min to max). The first row is
that of three rendered clips of 4 s, which the small encoder scores; with ``--manifest`` and ``--weights`` it is also
that of your own.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import machine, spread, take_turns

COMMAND = [sys.executable, "-m", "torchmetrics_majorscore.cli"]
COMMANDS = ("--help", "--version", "scor", "compare -h", "rank -h", "score -h", "report -h")
IMPORTS = ("torchmetrics_majorscore", "numpy", "torch", "torchmetrics", "open_clip", "transformers.models.clap")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(command: list[str]) -> None:
    subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False)


def first_row(arguments: list[str]) -> float:
    """Give the seconds until the table has a row; the command is then stopped."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "scores.csv"
        begun = time.perf_counter()
        command = [*COMMAND, "score", *arguments, "-o", str(table)]
        with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as score:
            while score.poll() is None and (not table.exists() or table.read_bytes().count(b"\n") < 2):
                time.sleep(0.01)
            score.kill()
        return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--manifest", type=Path, help="clips of your own")
    parser.add_argument("--weights", help="folder of the weights that score them")
    options = parser.parse_args()
    calls = {f"majorscore {name}": [*COMMAND, *name.split()] for name in COMMANDS}
    calls |= {f"import {name}": [sys.executable, "-c", f"import {name}"] for name in IMPORTS}
    times = take_turns({name: lambda call=call: run(call) for name, call in calls.items()}, options.rounds)
    print(machine(), end="\n\n")
    print("| what | seconds | of import torch |\n|---|---|---|")
    torch = statistics.median(times["import torch"])
    for name, values in times.items():
        print(f"| {name} | {spread(values)} | {statistics.median(values) / torch:.2f} |")
    with tempfile.TemporaryDirectory() as world:
        run([*COMMAND, "world", world, "--count", "3"])
        cases = {"rendered clips, c-mcr-tiny": [f"{world}/manifest.csv", "--encoder", "c-mcr-tiny"]}
        if options.manifest:
            cases["your clips, c-mcr"] = [str(options.manifest), "--weights", options.weights or "seeded"]
        for name, arguments in cases.items():
            rows = [first_row(arguments) for _ in range(options.rounds + 1)][1:]
            print(f"| first row: {name} | {spread(rows)} | |")


if __name__ == "__main__":
    main()
