"""Evaluate video-to-audio in plain PyTorch, on one process or many, with the same bits.

    python docs/torchrun_example.py                             # one process
    torchrun --nproc-per-node 2 docs/torchrun_example.py        # two: on CUDA devices where there are any, else on CPUs

Clips and encoder are those of the embedded world, so nothing is downloaded, and ``generate`` is a stand-in for a model:
the true sound under noise. What matters is in ``main``: ``ids`` tell the metric which clips the sampler has repeated to
make ranks even, ``compute`` gathers from all ranks, and what is generated for a clip depends on its id alone.
"""

import os

import torch
from example_clips import COUNT, FPS, SAMPLE_RATE, generate, make_clips
from torch import distributed
from torch.utils.data import DataLoader, DistributedSampler

from torchmetrics_majorscore import MAJORScore

BATCH = 4


def main() -> None:
    """Score the generated sound of every clip once."""
    cuda, place = torch.cuda.is_available(), int(os.environ.get("LOCAL_RANK", 0))
    device = torch.device("cuda", place) if cuda else torch.device("cpu")
    if many := distributed.is_torchelastic_launched():
        distributed.init_process_group("nccl" if cuda else "gloo", device_id=device if cuda else None)
    rank, world = (distributed.get_rank(), distributed.get_world_size()) if many else (0, 1)
    torch.set_num_threads(1)  # a launcher gives several processes fewer threads than one; last bits may differ

    clips = make_clips()
    sampler = DistributedSampler(clips, num_replicas=world, rank=rank, shuffle=False)
    metric = MAJORScore(encoder="c-mcr-tiny", sample_rate=SAMPLE_RATE, fps=FPS).to(device)
    for batch in DataLoader(clips, BATCH, sampler=sampler):
        metric.update(video=batch["video"], text=batch["text"], audio=generate(batch), ids=batch["ids"])
    value = metric.compute().item()
    if rank == 0:
        print(f"clips: {COUNT}, processes: {world}, generator: a stand-in (true sound under noise)")
        print(f"majorscore = {value:.9f} ({value.hex()})")
    if many:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
