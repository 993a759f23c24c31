"""An encoder that keeps what it is given, a metric with it, and batches for it, whole ones and odd ones."""

import torch

from torchmetrics_majorscore import MAJORScore

NAN, INF = float("nan"), float("inf")
E2 = torch.eye(2)


class Recorder:
    """A plain object as an encoder: keeps what it is given, and maps it to three numbers."""

    name = "recorder@0"
    modalities = ("video", "text", "audio")
    sample_rate = 16_000

    def __init__(self):
        self.seen = {}

    def encode_video(self, batch):
        self.seen["video"] = batch
        return torch.stack([torch.tensor([1.0, frames.double().mean() / 255, 0.1]) for frames in batch])

    def encode_text(self, batch):
        self.seen["text"] = batch
        return torch.stack([torch.tensor([1.0, len(text) / 10, 0.2]) for text in batch])

    def encode_audio(self, batch):
        self.seen["audio"] = batch
        return torch.stack([torch.tensor([1.0, waveform.double().abs().mean(), 0.3]) for waveform in batch])


def metric(cls=MAJORScore, fps=1, **options):
    return cls(encoder=Recorder(), sample_rate=16_000, fps=fps, **options)


def batch(count=3, **changed):
    generator = torch.Generator().manual_seed(count)
    inputs = {
        "video": torch.randint(0, 256, (count, 2, 3, 4, 4), generator=generator, dtype=torch.uint8),
        "text": ["a dog", "rain", "a violin"][:count],
        "audio": torch.rand(count, 32_000, generator=generator) - 0.5,
    }
    return inputs | changed


def embeddings(**changed):
    return {"video": E2, "text": E2, "audio": E2} | changed


def similarities(m):
    return torch.stack([column for name, column in m.rows().items() if name != "id"], dim=1)


def video(values=0.5, dtype=torch.float32):
    return torch.full((3, 2, 3, 4, 4), values, dtype=dtype)


def odd(value, shape=(3, 32_000)):
    inputs = torch.full(shape, 0.5)
    inputs[1].view(-1)[-1] = value
    return inputs


def third(value, kind):
    inputs = list(batch()[kind])
    inputs[2] = value
    return {kind: inputs}
