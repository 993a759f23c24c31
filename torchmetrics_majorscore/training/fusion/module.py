"""Heads in training, in the manner of the connector: rows in memory, Lightning around them, one seed for all draws.

An epoch is the steps between two looks at the validation loss. At its end everything that the next step depends on goes
to ``last.ckpt``, so a run that was stopped goes on as if it had not been; the heads with the lowest validation loss
are those that stay.
"""

import dataclasses
import hashlib
import json
import sys
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, TQDMProgressBar
from torch import Tensor, nn
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders.base import clean_build
from torchmetrics_majorscore.encoders.fusion_heads import build_heads
from torchmetrics_majorscore.training.fusion.loss import fusion_loss
from torchmetrics_majorscore.training.fusion.options import FusionOptions
from torchmetrics_majorscore.training.fusion.tuples import Items, TupleSampler

MONITOR = "validation_loss"
LOOKS = 8  # batches of the validation loss, the same at every look


@dataclass(frozen=True)
class Trained:
    """Heads with how they came about.

    Args:
        heads: on the CPU, in eval mode, without gradients.
        options: how they were trained.
        steps: of the optimizer that were taken.
        best_step: the step after which the validation loss was lowest; the heads are those.
        loss: that loss.
    """

    heads: nn.ModuleDict
    options: FusionOptions
    steps: int
    best_step: int
    loss: float

    def project(self, embeddings: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map backbones' embeddings of the trained modalities into the joint space, unit vectors (N_m, dim)."""
        names = [name for name in self.heads if name in embeddings]
        with torch.no_grad():
            return {name: normalize(self.heads[name](embeddings[name]), dim=-1) for name in names}


class Fusion(LightningModule):
    """The heads in training.

    Args:
        training: items to learn from.
        validation: items whose loss says when to stop.
        options: how to train.
    """

    def __init__(self, training: Items, validation: Items, options: FusionOptions) -> None:
        super().__init__()
        self.options = options
        own = training.of(options.modalities)
        self.heads = build_heads(own.widths, options.dim, options.dropout)
        self._rows = dict(own.embeddings)
        size, count = options.batch_size, len(own.names)
        self.sampler = TupleSampler(own.classes, count, size, options.classes, options.seed)
        self._looks = _look(validation.of(options.modalities), options)
        self.best: dict[str, Any] = {"step": 0, "loss": float("inf"), "heads": {}}

    def training_step(self, batch: Any, batch_index: int) -> Tensor:
        """Draw a batch of tuples, project it and compute the loss."""
        step = self.global_step
        torch.manual_seed(self.options.seed * 1_000_003 + step)  # dropout, the same if a run goes on from here
        pairs = self.options.in_play(step)
        chosen, rows = self.sampler.draw(dict.fromkeys(name for pair in pairs for name in pair))
        projected = {name: self._project(name, self._rows[name][own]) for name, own in rows.items()}
        alike = self.sampler.alike(chosen)
        loss = fusion_loss(projected, pairs, self.options.temperature, None if alike is None else alike.to(self.device))
        self.log("loss", loss.detach(), prog_bar=True)
        return loss

    def validation_step(self, batch: Any, batch_index: int) -> None:
        """Compute the loss over all pairs that are ever in play, of the same tuples at every look."""
        pairs = sorted({pair for step in range(6) for pair in self.options.in_play(step)})
        losses = []
        for rows, alike in self._looks:
            projected = {name: self._project(name, own.to(self.device)) for name, own in rows.items()}
            losses.append(fusion_loss(projected, pairs, self.options.temperature, alike))
        loss = torch.stack(losses).mean()
        self.log(MONITOR, loss, prog_bar=True, batch_size=1)
        if loss.item() < self.best["loss"]:
            heads = {name: tensor.detach().cpu().clone() for name, tensor in self.heads.state_dict().items()}
            self.best = {"step": self.global_step, "loss": loss.item(), "heads": heads}

    def configure_optimizers(self) -> Any:
        """AdamW, whose rate decays along a cosine to 0 at the last step."""
        options = self.options
        optimizer = torch.optim.AdamW(self.parameters(), options.learning_rate, weight_decay=options.weight_decay)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=options.steps * options.factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": decay, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what Lightning does not know."""
        checkpoint["fusion"] = {"sampler": self.sampler.state_dict(), "best": self.best}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from there."""
        kept = checkpoint["fusion"]
        self.sampler.load_state_dict(kept["sampler"])
        self.best = kept["best"]

    def on_fit_start(self) -> None:
        """Bring the rows to where the heads are."""
        self._rows = {name: rows.to(self.device) for name, rows in self._rows.items()}

    def _project(self, name: str, rows: Tensor) -> Tensor:
        projected: Tensor = self.heads[name](rows)
        return normalize(projected, dim=-1) if self.options.unit else projected


def _look(validation: Items, options: FusionOptions) -> list[tuple[dict[str, Tensor], Tensor | None]]:
    """Draw the tuples of the validation loss."""
    count = len(validation.names)
    sampler = TupleSampler(validation.classes, count, min(options.batch_size, count), "unique", seed=0)
    drawn = [sampler.draw(options.modalities)[1] for _ in range(LOOKS)]
    return [({name: validation.embeddings[name][own] for name, own in rows.items()}, None) for rows in drawn]


def train_fusion(
    training: Items, validation: Items, options: FusionOptions, folder: Path, *, progress: bool = True
) -> Trained:
    """Train heads, on a GPU if there is one; the random state is left as it was.

    Args:
        training: items to learn from.
        validation: items whose loss says when to stop, see ``stop_on`` of the options for what they are.
        options: how to train; equal ones give equal bits on one machine.
        folder: for checkpoints; a run that was stopped here with the same items and options goes on, and one that was
            finished is not done again.
        progress: show a progress bar.

    Returns:
        The heads of the lowest validation loss.

    Raises:
        ValueError: items that do not fit the options, or a folder with the checkpoints of something else.
    """
    _claim(folder, training, validation, options)
    with clean_build(), torch.enable_grad(), warnings.catch_warnings():
        # torch's deprecation inside Lightning 2.6, which no argument avoids.
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        warnings.filterwarnings("ignore", r"Checkpoint directory .* exists and is not empty")
        torch.default_generator.manual_seed(options.seed)
        fusion = Fusion(training, validation, options)
        keep = ModelCheckpoint(folder, "last", enable_version_counter=False, save_on_train_epoch_end=True)
        trainer = _trainer(options, keep, progress)
        last, finished = folder / "last.ckpt", folder / "finished.pt"
        steps, once = [0] * options.check_every * options.factor, [0]
        if not finished.is_file():  # what stopped early would take another epoch to stop again
            with redirect_stdout(sys.stderr):  # Lightning's bar; stdout is for results
                trainer.fit(fusion, steps, once, ckpt_path=last if last.is_file() else None, weights_only=True)
            torch.save({"best": fusion.best, "steps": trainer.global_step}, finished)
        kept = torch.load(finished, weights_only=True)
        fusion.heads.load_state_dict(kept["best"]["heads"])
        step, loss = kept["best"]["step"], kept["best"]["loss"]
    return Trained(fusion.heads.cpu().eval().requires_grad_(False), options, kept["steps"], step, loss)


def _trainer(options: FusionOptions, keep: ModelCheckpoint, progress: bool) -> Trainer:
    stop = EarlyStopping(MONITOR, patience=options.patience, check_on_train_epoch_end=False)
    bar = [TQDMProgressBar(refresh_rate=options.check_every)] if progress else []
    # The environment is named, for Lightning would look for a cluster and take hold of its signals.
    return Trainer(
        accelerator="auto", devices=1, plugins=[LightningEnvironment()], max_steps=options.steps * options.factor,
        max_epochs=-1, logger=False, enable_model_summary=False, enable_progress_bar=progress,
        callbacks=[stop, keep, *bar], num_sanity_val_steps=0,
    )  # fmt: skip


def _claim(folder: Path, training: Items, validation: Items, options: FusionOptions) -> None:
    """Write down what a folder's checkpoints are of, or raise ValueError if they are of something else."""
    folder.mkdir(parents=True, exist_ok=True)
    sha = hashlib.sha256()
    for items in (training, validation):
        for name in options.modalities:
            sha.update(items.embeddings[name].contiguous().numpy().tobytes())
            sha.update(items.classes[name].contiguous().numpy().tobytes())
    text = json.dumps({"options": dataclasses.asdict(options), "items": sha.hexdigest()}, indent=1)
    path = folder / "run.json"
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise ValueError(f"Expected an empty folder, or one of the same items and options, got {folder}.")
    path.write_text(text, encoding="utf-8")
