"""Batches for the generator, out of features that were computed beforehand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from torchmetrics_majorscore.training.generator.clips import read_clips
from torchmetrics_majorscore.training.generator.features import Features, read_features
from torchmetrics_majorscore.training.generator.prompt import Prompt
from torchmetrics_majorscore.training.generator.rates import Rates


class Batch(NamedTuple):
    """What the network learns from: B samples.

    Args:
        prompt: their features.
        latent_mean: (B, L, C).
        latent_std: (B, L, C).
    """

    prompt: Prompt
    latent_mean: Tensor
    latent_std: Tensor


class Samples(Dataset[int]):
    """Rows of features with and without video, the former repeated; batches are looked up at once.

    Args:
        features: sets of them.
        repeat: how often an epoch has a sample with video.
    """

    def __init__(self, features: Sequence[Features], repeat: int = 1) -> None:
        self.features = list(features)
        self.rows = [
            (part, row)
            for part, own in enumerate(self.features)
            for _ in range(repeat if own.seen else 1)
            for row in range(len(own))
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> int:
        return row

    def batch(self, rows: Sequence[int]) -> Batch:
        """Look up a batch. Of samples without video the features of video are zeros."""
        chosen = [self.rows[row] for row in rows]
        places = [torch.tensor([n for n, (own, _) in enumerate(chosen) if own == part]) for part in self._parts]
        taken = [torch.tensor([row for own, row in chosen if own == part]) for part in self._parts]

        def gather(name: str) -> Tensor:
            columns = [getattr(own, name) for own in self.features]
            shape = max((column.shape[1:] for column in columns), key=lambda size: size[0])
            out = torch.zeros(len(chosen), *shape)
            for column, at, own in zip(columns, places, taken, strict=True):
                if len(at) and column.shape[1]:
                    out[at] = column[own].float()
            return out

        seen = torch.tensor([self.features[part].seen for part, _ in chosen])
        prompt = Prompt(gather("clip"), gather("sync"), gather("text"), seen, torch.ones_like(seen))
        return Batch(prompt, gather("latent_mean"), gather("latent_std"))

    @property
    def _parts(self) -> range:
        return range(len(self.features))


class GeneratorData(LightningDataModule):
    """Training from files that :meth:`.Features.write` wrote, validation from such a file and one of :class:`.Clips`.

    Args:
        train: files of features; samples without video are learned from by their captions alone.
        validation: file of the features of clips with video.
        clips: file of these clips.
        batch_size: samples of each process.
        repeat: how often an epoch has a sample with video; MMAudio has 5, for it has five times as many without.
        validation_batch_size: clips generated and scored at once.
        rates: tokens per second, which tell whether lengths fit.
        seed: of the order of the samples.
    """

    def __init__(
        self,
        train: list[Path],
        validation: Path,
        clips: Path,
        batch_size: int = 64,
        repeat: int = 1,
        validation_batch_size: int = 16,
        rates: Rates | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.paths = list(train), Path(validation), Path(clips)
        self.batch_size = batch_size
        self.repeat = repeat
        self.validation_batch_size = validation_batch_size
        self.rates = rates or Rates()
        self.seed = seed

    def setup(self, stage: str) -> None:
        """Read the files.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file that lacks something, or lengths that do not fit.
        """
        train, validation, clips = self.paths
        self.samples = Samples([read_features(Path(path)) for path in train], self.repeat)
        self.held_out = Samples([read_features(validation)])
        self.clips = read_clips(clips)
        for own in (*self.samples.features, *self.held_out.features):
            self.rates.check(own.latent_mean.shape[1], own.clip.shape[1], own.sync.shape[1])
        (held_out,) = self.held_out.features
        if held_out.ids != self.clips.ids:
            raise ValueError(f"Expected {validation} and {clips} to have the same clips in the same order.")

    @property
    def latent_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel of the training set's latents, both (C,).

        They are those of latents as training draws them. MMAudio takes those of the means that its autoencoder gives;
        where that leaves a channel unused its draws would then be many deviations wide, and rule the loss.
        """
        parts = self.samples.features
        means = torch.cat([own.latent_mean.float().flatten(0, 1) for own in parts])
        drawn = torch.cat([own.latent_std.float().flatten(0, 1) for own in parts])
        return means.mean(dim=0), (means.var(dim=0) + drawn.square().mean(dim=0)).sqrt()

    def train_dataloader(self) -> Any:
        """Give batches in an order that depends on seed and epoch alone, so that a run can go on from an epoch."""
        trainer: Any = self.trainer
        sampler: DistributedSampler[int] = DistributedSampler(
            self.samples, trainer.world_size, trainer.global_rank, seed=self.seed, drop_last=True
        )  # fmt: skip
        return DataLoader(
            self.samples, self.batch_size, sampler=sampler, collate_fn=self.samples.batch, drop_last=True
        )  # fmt: skip

    def val_dataloader(self) -> Any:
        """Give features with what the metrics take, see :meth:`.SimilarityMetric.update`."""
        return DataLoader(self.held_out, self.validation_batch_size, collate_fn=self._held_out)

    def _held_out(self, rows: Sequence[int]) -> dict[str, Any]:
        clips, own = self.clips, list(rows)
        return {
            "features": self.held_out.batch(own),
            "video": clips.frames[own],
            "text": [clips.captions[row] for row in own],
            "target_audio": clips.sounds[own],
            "onsets": [clips.onsets[row] for row in own],
            "ids": [clips.ids[row] for row in own],
        }
