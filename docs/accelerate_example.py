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

from typing import Any
from zlib import crc32

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from torchmetrics_majorscore import MAJORScore
from torchmetrics_majorscore.training.world.captions import caption
from torchmetrics_majorscore.training.world.scene import draw_scenes
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import SAMPLE_RATE, render_sounds

COUNT, BATCH, FPS = 13, 4, 1.0  # an odd count, which two processes cannot share evenly


def make_clips() -> list[dict[str, Any]]:
    """Render clips under the names that ``update`` gives them; yours come from files."""
    scenes = draw_scenes(range(COUNT), seed=0, split="test")
    texts, ids = [caption(scene, "test") for scene in scenes], [scene.id for scene in scenes]
    columns = zip(render_frames(scenes, FPS), texts, render_sounds(scenes), ids, strict=True)
    return [{"video": v, "text": t, "audio": a, "ids": i} for v, t, a, i in columns]


def generate(batch: dict[str, Any]) -> Tensor:
    """Stand in for a video-to-audio model: true sounds under noise that is the clip's, whatever rank draws it."""
    seeds = [torch.Generator().manual_seed(crc32(name.encode())) for name in batch["ids"]]
    noise = torch.stack([torch.randn(batch["audio"].shape[-1], generator=seed) for seed in seeds])
    return (batch["audio"] + 0.1 * noise.to(batch["audio"].device)).clamp(-1, 1)


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
