"""Score four modalities with heads that `majorscore fuse --embedded -o fusion` has trained."""

import sys

import torch

from torchmetrics_majorscore import FairScore, MAJORScore, load_encoder

folder = sys.argv[1] if len(sys.argv) > 1 else "fusion/quad-modal/seed0"
encoder = load_encoder("late-fusion", weights=folder)
clip = {
    "video": torch.zeros(1, 96, 3, 64, 64, dtype=torch.uint8),  # 24 frames per second, of which 8 are seen
    "text": ["a small bell by the sea"],
    "audio": torch.sin(torch.arange(192_000) * 0.05)[None],
    "image": torch.zeros(1, 3, 64, 64, dtype=torch.uint8),
}
raw = {"sample_rate": 48_000, "fps": 24}
for metric in (MAJORScore(encoder=encoder, pairs="all", **raw), FairScore(encoder=encoder, **raw)):
    metric.update(**clip, ids=["clip 1"])
    print(metric.signature, metric.compute().item())
