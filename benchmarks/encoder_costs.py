"""What a clip costs each joint encoder: CPU seconds of one thread, by modality.

    uv run benchmarks/encoder_costs.py [--names c-mcr wav2clip ...]

A clip is 8 s of 640 x 360, of which each encoder takes the frames that it sees, a caption of nine words, and its sound
at the encoder's rate. Weights are seeded numbers of full size, 1.3 GB in a temporary folder. Of each the faster of two
runs behind a first one.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from machine import machine
from originals import sound

from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.encoders.seeded import write_seeded
from torchmetrics_majorscore.encoders.table import ENCODERS

SECONDS = 8
NAMES = ("c-mcr", "ex-mcr", "wav2clip", "clip", "clip:ViT-B-16/openai", "clap", "c-mcr-tiny")
CAPTION = "a dog barks while rain falls on a roof"


def seconds_of(name: str, modality: str, weights: Path | str | None) -> float:
    """Measure one modality of one encoder."""
    encoder, cpu = load_encoder(name, weights=weights), torch.device("cpu")
    generator = torch.Generator().manual_seed(0)
    frames = (round(SECONDS * encoder.fps), 3, 360, 640)
    batch = {
        "video": lambda: torch.randint(0, 256, frames, dtype=torch.uint8, generator=generator),
        "text": lambda: CAPTION,
        "audio": lambda: sound(SECONDS, encoder.sample_rate),
    }[modality]()
    taken = []
    for _ in range(3):
        start = time.process_time()
        encoder.encode(modality, [batch], cpu)
        taken.append(time.process_time() - start)
    return min(taken[1:])


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", default=NAMES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| encoder | video | text | audio | a clip |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        write_seeded(Path(folder))
        for name in options.names:
            own = ENCODERS.get(name)
            weights = None if own and own.bundle else "seeded" if name.startswith("clip:") else folder
            costs = {m: seconds_of(name, m, weights) for m in load_encoder(name, weights=weights).modalities}
            cells = [f"{costs[m]:.2f}" if m in costs else "" for m in ("video", "text", "audio")]
            print(f"| `{name}` | {' | '.join(cells)} | {sum(costs.values()):.2f} |", flush=True)
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
