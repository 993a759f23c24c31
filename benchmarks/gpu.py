"""Everything that has to be measured on a GPU, in under eight minutes, as tables for docs/speed.md.

    uv run benchmarks/gpu.py [--weights seeded] [--manifest MANIFEST] [--only update,resize] [--output FILE]

Every figure is a median of several runs, which take turns, between two `torch.cuda.synchronize`; a ratio is the median
of those within a turn. A section that raises says why, and the others go on; what comes too late is named. Without a
GPU, and with `--quick`, the same code runs on `c-mcr-tiny` and small sizes, which measures nothing and says so.

A section is a generator of lines over a `Setup`: write it, and enter it in SECTIONS.
"""

import argparse
import inspect
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import gpu_encoding
import gpu_running
import torch
from gpu_setup import OUT_OF_TIME, Setup
from machine import machine

SECTIONS: dict[str, Callable[[Setup], Iterator[str]]] = {
    "update": gpu_encoding.update,
    "resize": gpu_encoding.resize,
    "mel": gpu_encoding.mel,
    "embeddings": gpu_encoding.embeddings,
    "epochs": gpu_encoding.epochs,
    "memory": gpu_encoding.memory,
    "training": gpu_running.training,
    "nccl": gpu_running.nccl,
    "readers": gpu_running.readers,
    "score": gpu_running.score,
}
BUDGET = 450.0
ROOT = Path(__file__).parents[1]
CLIPS = ROOT / "docs/clips/manifest.csv"
REAL_CLIPS = ROOT.parent / "shared/media/manifest.csv"  # of the developers, if they are there
QUICK = {
    "encoder": "c-mcr-tiny", "batches": (2,), "duration": 2, "picture": (128, 128), "rate": 16_000, "rounds": 2,
    "pictures": ((96, 128),), "rows": 1000, "readers": (1, 2), "workers": (1,), "clips": 3, "width": 16,
    "steps": 2, "slow_starts": False,
}  # fmt: skip


def run_section(name: str, setup: Setup, say: Callable[[str], None]) -> bool:
    """Say the lines of a section; False if it raised."""
    section = SECTIONS[name]
    say(f"\n## {name}\n\n{inspect.getdoc(section)}\n")
    if setup.late():
        say(OUT_OF_TIME)
        return True
    try:
        for line in section(setup):
            say(line)
    except Exception as error:  # whatever it is, the other sections go on
        traceback.print_exc()
        say(f"\nfailed: {type(error).__name__}: {error}")
        return False
    say(f"\n{machine()}")
    return True


def title(setup: Setup) -> str:
    what = f"# On {setup.device}, {setup.encoder}"
    if setup.device.type == "cuda" and setup.encoder == "c-mcr":
        return what
    where = "" if setup.device.type == "cuda" else "there is no GPU in it, "
    return f"{what}\n\n**This measures nothing of a GPU: {where}the encoder is tiny and sizes are small.**"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="seeded", help="folder with checkpoints, or 'seeded' (default)")
    parser.add_argument("--manifest", type=Path, help="clips to read and score, repeated as often as needed")
    parser.add_argument("--quick", action="store_true", help="c-mcr-tiny and small sizes; so without a GPU in any case")
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas (default: all)")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds after which nothing new is begun")
    parser.add_argument("--output", type=Path, help="also written here")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",")
    if unknown := [name for name in options.only if name not in SECTIONS]:
        parser.error(f"Expected sections out of {', '.join(SECTIONS)}, got {unknown[0]!r}.")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    start = time.perf_counter()
    options = parse(arguments)
    device = torch.empty(0, device=options.device).device  # cuda is cuda:0
    quick = options.quick or device.type != "cuda"
    manifest = options.manifest or (REAL_CLIPS if REAL_CLIPS.is_file() and not quick else CLIPS)
    sizes = QUICK if quick else {"weights": options.weights}
    setup = Setup(device, manifest, start + options.budget, **sizes)
    lines: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    say(title(setup))
    done = [run_section(name, setup, say) for name in options.only]
    if options.output:
        options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0 if all(done) else 1


if __name__ == "__main__":
    raise SystemExit(main())
