"""Train a small video-to-audio model and watch MAJORScore and FairScore in validation.

    python docs/lightning_example.py                                            # train for one epoch, then validate
    python docs/lightning_example.py --checkpoint example.ckpt --devices 2      # validate it again, on two processes

The model is a toy: a network reads two small frames per second and sets the spectrum of noise. What matters is
``__init__`` and ``validation_step`` of ``VideoToAudio``: five lines for the metrics. Both commands print the same
numbers to the last bit, since ``ids`` tell the metrics which samples the distributed sampler has doubled, and the noise
of a sample depends on its id alone. On two CPU cores the full-size encoder takes about 3 s for a clip of 10 s.
"""

import argparse
from pathlib import Path
from zlib import crc32

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch import Tensor, nn
from torch.utils.data import DataLoader

from torchmetrics_majorscore import FairScore, MAJORScore, load_encoder
from torchmetrics_majorscore.encoders.resample import resample
from torchmetrics_majorscore.media import read_clip, read_manifest

SAMPLE_RATE, FPS = 16_000, 2
WINDOW, HOP = 512, 160
# The real clips of the developers if they are there, else the three tiny ones beside this file.
MANIFESTS = (Path(__file__).parents[2] / "shared/media/manifest.csv", Path(__file__).parent / "clips/manifest.csv")
MANIFEST = next(path for path in MANIFESTS if path.is_file())


class VideoToAudio(LightningModule):
    """Frames (T, 3, H, W) at ``FPS`` to a waveform at ``SAMPLE_RATE``: noise, shaped by a spectrum per frame."""

    def __init__(self, encoder="c-mcr") -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3 * 8 * 8, 64), nn.ReLU(), nn.Linear(64, WINDOW // 2 + 1))
        self.register_buffer("window", torch.hann_window(WINDOW))
        # The encoder is no part of this module: nothing of it is trained, moved to another precision or saved.
        self.majorscore = MAJORScore(encoder=encoder, sample_rate=SAMPLE_RATE, fps=FPS)
        self.fairscore = FairScore(encoder=encoder, sample_rate=SAMPLE_RATE, fps=FPS)

    def forward(self, frames: Tensor) -> Tensor:
        """Predict a log spectrum per frame, (T, WINDOW // 2 + 1)."""
        small = nn.functional.adaptive_avg_pool2d(frames / 255, 8)
        return self.net(small.flatten(1)) - 4

    def generate(self, frames: Tensor, seed: int) -> Tensor:
        """Make a waveform of the length of the video; the noise is the seed's, not the process's."""
        noise = torch.randn(len(frames) * SAMPLE_RATE // FPS, generator=torch.Generator().manual_seed(seed))
        spectrum = torch.stft(noise.to(self.device), WINDOW, HOP, window=self.window, return_complex=True)
        envelope = nn.functional.interpolate(self(frames).T[None], spectrum.shape[1])[0].exp()
        return torch.istft(spectrum * envelope, WINDOW, HOP, window=self.window, length=len(noise)).clamp(-1, 1)

    def training_step(self, batch: list[dict]) -> Tensor:
        """Compare the log spectrum with that of the clip's sound, averaged over each frame's time."""
        losses = []
        for clip in batch:
            predicted = self(clip["frames"])
            spectrum = torch.stft(clip["waveform"], WINDOW, HOP, window=self.window, return_complex=True).abs()
            target = nn.functional.adaptive_avg_pool1d((spectrum / WINDOW**0.5 + 1e-4).log(), len(predicted)).T
            losses.append((predicted - target).abs().mean())
        return torch.stack(losses).mean()

    def validation_step(self, batch: list[dict]) -> None:
        """Generate a sound for each clip and score it with the clip's video and caption."""
        samples = {
            "video": [clip["frames"] for clip in batch],
            "text": [clip["text"] for clip in batch],
            # One by one: in a batch, the last bits of a matrix product depend on the number of its rows.
            "audio": [self.generate(clip["frames"], seed=crc32(clip["id"].encode())) for clip in batch],
            "ids": [clip["id"] for clip in batch],
        }
        self.majorscore.update(**samples)
        self.fairscore.update(**samples)  # finds the embeddings that majorscore has just made
        self.log("val/majorscore", self.majorscore, batch_size=len(batch))
        self.log("val/fairscore", self.fairscore, batch_size=len(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def read_clips(manifest: Path, count: int) -> list[dict]:
    """Read the first clips of a manifest: frames, and the sound as mono at ``SAMPLE_RATE`` or None."""
    clips = []
    for entry in read_manifest(manifest)[:count]:
        clip = read_clip(entry.video, entry.audio, fps=FPS, start=entry.start, end=entry.end)
        waveform = clip.waveform
        if waveform is not None:
            waveform = resample(waveform.mean(dim=0), clip.sample_rate, SAMPLE_RATE)
        clips.append({"id": entry.id, "text": entry.text, "frames": clip.frames, "waveform": waveform})
    return clips


def main() -> None:
    """Train, or validate a checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, default=MANIFEST, help="CSV, TSV or JSONL: id, video, audio, text")
    parser.add_argument("--clips", type=int, default=6, help="how many clips of it (default 6)")
    parser.add_argument("--epochs", type=int, default=1, help="epochs of training (default 1)")
    parser.add_argument("--weights", default="seeded", help='folder with checkpoints, "download", or "seeded"')
    parser.add_argument("--devices", type=int, default=1, choices=(1, 2), help="number of CPU processes")
    parser.add_argument("--checkpoint", type=Path, help="validate this one instead of training")
    options = parser.parse_args()

    seed_everything(0)
    model = VideoToAudio(load_encoder("c-mcr", weights=None if options.weights == "download" else options.weights))
    trainer = Trainer(
        accelerator="cpu",
        devices=options.devices,
        strategy="ddp" if options.devices > 1 else "auto",
        max_epochs=options.epochs,
        enable_checkpointing=False,
        logger=False,
    )
    clips = read_clips(options.manifest, options.clips)
    audible = [clip for clip in clips if clip["waveform"] is not None]
    silent = [clip["id"] for clip in clips if clip["waveform"] is None]
    if trainer.is_global_zero:
        print(f"{len(clips)} clips; without sound, so for validation only: {', '.join(silent) or 'none'}")
        if options.weights == "seeded":
            print("Weights are random (--weights seeded): these scores mean nothing.")
    loaders = [DataLoader(part, batch_size=2, collate_fn=list, shuffle=part is audible) for part in (audible, clips)]
    if options.checkpoint:
        model.load_state_dict(torch.load(options.checkpoint, weights_only=True)["state_dict"])
    else:
        trainer.fit(model, loaders[0])
        trainer.save_checkpoint("example.ckpt", weights_only=True)
    trainer.validate(model, loaders[1], verbose=False)
    if trainer.is_global_zero:
        print(model.majorscore.signature)
        for name, value in trainer.callback_metrics.items():
            print(f"{name} = {value.item():.9f} ({value.item().hex()})")


if __name__ == "__main__":
    main()
