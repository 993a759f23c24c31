"""Score four modalities with heads that `majorscore fuse --embedded -o fusion` has trained."""

import sys

import torch

from torchmetrics_majorscore import FairScore, MAJORScore, load_encoder

folder = sys.argv[1] if len(sys.argv) > 1 else "fusion/quad-modal/seed0"
encoder = load_encoder("late-fusion", weights=folder)
cpu = torch.device("cpu")
embeddings = {
    "video": encoder.encode("video", [torch.zeros(32, 3, 64, 64, dtype=torch.uint8)], cpu),  # 8 frames per second
    "text": encoder.encode("text", ["a small bell by the sea"], cpu),
    "audio": encoder.encode("audio", [torch.zeros(48_000)], cpu),
    "image": encoder.encode("image", [torch.zeros(3, 64, 64, dtype=torch.uint8)], cpu),
}
for metric in (MAJORScore(encoder=encoder, pairs="all"), FairScore(encoder=encoder)):
    metric.update(embeddings=embeddings, ids=["clip 1"])
    print(metric.signature, metric.compute().item())
