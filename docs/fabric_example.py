"""Evaluate video-to-audio with Lightning Fabric, on one process or many, with the same bits.

    python docs/fabric_example.py                # one process
    python docs/fabric_example.py --devices 2    # two: on CUDA devices where there are any, else on CPUs

Clips and encoder are those of the embedded world, so nothing is downloaded, and ``generate`` is a stand-in for a model:
the true sound under noise. What matters is in ``main``: ``ids`` tell the metric which clips Fabric's sampler has
repeated to make ranks even, and what is generated for a clip depends on its id alone.
"""

import argparse

import torch
from example_clips import COUNT, FPS, SAMPLE_RATE, generate, make_clips
from lightning.fabric import Fabric
from torch.utils.data import DataLoader

from torchmetrics_majorscore import MAJORScore

BATCH = 4


def main() -> None:
    """Score the generated sound of every clip once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=1, help="number of processes (default 1)")
    fabric = Fabric(devices=parser.parse_args().devices)
    fabric.launch()
    torch.set_num_threads(1)  # a launcher gives several processes fewer threads than one; last bits may differ

    loader = fabric.setup_dataloaders(DataLoader(make_clips(), BATCH))
    metric = MAJORScore(encoder="c-mcr-tiny", sample_rate=SAMPLE_RATE, fps=FPS).to(fabric.device)
    for batch in loader:
        metric.update(video=batch["video"], text=batch["text"], audio=generate(batch), ids=batch["ids"])
    value = metric.compute().item()  # gathers by itself: no all_gather
    fabric.print(f"clips: {COUNT}, processes: {fabric.world_size}, generator: a stand-in (true sound under noise)")
    fabric.print(f"majorscore = {value:.9f} ({value.hex()})")


if __name__ == "__main__":
    main()
