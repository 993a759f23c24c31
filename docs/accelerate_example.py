# /// script
# requires-python = ">=3.10"
# dependencies = ["accelerate", "torchmetrics-majorscore[cmcr]"]
#
# [tool.uv.sources]
# torchmetrics-majorscore = { path = "..", editable = true }
# ///
"""Evaluate video-to-audio with Hugging Face Accelerate, on one process or many, with the same bits.

    uv run docs/accelerate_example.py                                                   # one process
    uv run --with accelerate torchrun --nproc-per-node 2 docs/accelerate_example.py     # two, on GPUs or CPUs

Accelerate is no dependency of the package; the lines above are this script's own. Clips and encoder are those of the
embedded world, so nothing is downloaded for them, and ``generate`` is a stand-in for a model: the true sound under
noise. What matters is in ``main``: ``ids`` tell the metric which clips the prepared loader has repeated to make ranks
even, and what is generated for a clip depends on its id alone.
"""

import torch
from accelerate import Accelerator
from example_clips import COUNT, FPS, SAMPLE_RATE, generate, make_clips
from torch.utils.data import DataLoader

from torchmetrics_majorscore import MAJORScore

BATCH = 4


def main() -> None:
    """Score the generated sound of every clip once."""
    # Without cpu=True, Accelerate leaves processes without a GPU alone, each with all clips and a value of its own.
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    torch.set_num_threads(1)  # a launcher gives several processes fewer threads than one; last bits may differ

    loader = accelerator.prepare(DataLoader(make_clips(), BATCH))
    metric = MAJORScore(encoder="c-mcr-tiny", sample_rate=SAMPLE_RATE, fps=FPS).to(accelerator.device)
    for batch in loader:
        metric.update(video=batch["video"], text=batch["text"], audio=generate(batch), ids=batch["ids"])
    value = metric.compute().item()  # gathers by itself: no gather_for_metrics
    world = accelerator.num_processes
    accelerator.print(f"clips: {COUNT}, processes: {world}, generator: a stand-in (true sound under noise)")
    accelerator.print(f"majorscore = {value:.9f} ({value.hex()})")
    accelerator.end_training()


if __name__ == "__main__":
    main()
