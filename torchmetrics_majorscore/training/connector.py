"""The connector: two heads that map CLIP's and CLAP's spaces into one joint space, learned from texts alone.

Source: Wang et al., "Connecting Multi-modal Contrastive Representations" (C-MCR), NeurIPS 2023. It has no official
training code; the formulas are those of the public re-implementation AIKU-Official/aiku-25-1-HanCLIP. Text i has an
embedding t^I in CLIP's space and t^A in CLAP's. V and A are memories of images and of sounds, which belong neither to a
text nor to each other::

    v_i = normalize(sum_k softmax_k(cos(t^I_i, V_k) / memory_temperature) V_k)       a_i likewise from t^A_i and A
    x~  = normalize(x + noise), noise ~ N(0, noise_variance I), for x = t^I, v, t^A, a
    then t^I, v pass Head_B and t^A, a pass Head_A, and are normalised
    L_inter = InfoNCE(t^I, t^A) + InfoNCE(v, a)
    L_intra = mean(|t^I - v|^2 + |t^A - a|^2) / 2          L = L_inter + intra_weight L_intra
"""

import dataclasses
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders.base import clean_build
from torchmetrics_majorscore.encoders.checkpoints import write_tensors
from torchmetrics_majorscore.encoders.cmcr import Heads
from torchmetrics_majorscore.encoders.download import file_sha256
from torchmetrics_majorscore.encoders.handle import state_digest
from torchmetrics_majorscore.training.config import ConnectorOptions as ConnectorOptions
from torchmetrics_majorscore.training.info_nce import info_nce

Rows = tuple[Tensor, Tensor, Tensor, Tensor]
"""t^I (B, clip), t^A (B, clap), v (B, clip), a (B, clap), float32: row i of each belongs to text i."""

MOST_COSINES = 2**26  # of a chunk of texts with a whole memory: 256 MiB


@dataclass(frozen=True)
class Embeddings:
    """What a connector learns from: unit vectors, float32.

    Args:
        text_clip: N >= 2 texts in CLIP's space, (N, clip).
        text_clap: the same texts in CLAP's space, (N, clap), row by row.
        image: memory of images in CLIP's space, (K, clip).
        audio: memory of sounds in CLAP's space, (L, clap); no row of it belongs to a row of ``image``.

    Raises:
        ValueError: shapes that do not fit, or rows that are not of unit norm.
    """

    text_clip: Tensor
    text_clap: Tensor
    image: Tensor
    audio: Tensor

    def __post_init__(self) -> None:
        names = [field.name for field in dataclasses.fields(self)]
        shapes = {name: tuple(getattr(self, name).shape) for name in names}
        (texts, clip), (again, clap), *memories = (shape if len(shape) == 2 else (0, 0) for shape in shapes.values())
        rows_fit = texts == again >= 2 and all(rows > 0 for rows, _ in memories)
        if not rows_fit or [clip, clap] != [width for _, width in memories]:
            raise ValueError(f"Expected (N, clip), (N, clap), (K, clip) and (L, clap) with N >= 2, got {shapes}.")
        for name in names:
            norms = getattr(self, name).norm(dim=-1)
            if norms.dtype != torch.float32 or not bool(((norms - 1).abs() < 1e-3).all()):
                got = f"{norms.dtype} with norms from {norms.min():.4g} to {norms.max():.4g}"
                raise ValueError(f"Expected {name} as float32 of unit norm, got {got}.")


def enhance(texts: Tensor, memory: Tensor, temperature: float, *, nearest: bool = False) -> Tensor:
    """Give each text its partner out of a memory: the mean of the items, weighted by similarity (see the module).

    Args:
        texts: unit vectors, float32, (N, D).
        memory: unit vectors, float32, (K, D).
        temperature: of the softmax over the memory.
        nearest: take the most similar item instead.

    Returns:
        Unit vectors, float32, (N, D). Texts go in chunks: cosines with all of a memory never take over 256 MiB.
    """
    partners = torch.empty_like(texts)
    rows = max(1, MOST_COSINES // len(memory))
    for first in range(0, len(texts), rows):
        cosines = texts[first : first + rows] @ memory.T
        mean = memory[cosines.argmax(dim=-1)] if nearest else (cosines / temperature).softmax(dim=-1) @ memory
        partners[first : first + rows] = normalize(mean, dim=-1)
    return partners


def intra_loss(x: Tensor, y: Tensor, *, squared: bool = True) -> Tensor:
    """Compute the mean over rows of |x - y|^2, or of |x - y|; (B, D) each, gives a scalar."""
    distances = (x - y).square().sum(dim=-1) if squared else torch.linalg.vector_norm(x - y, dim=-1)
    return distances.mean()


def connector_losses(projected: Rows, options: ConnectorOptions) -> dict[str, Tensor]:
    """Compute L of unit vectors in the joint space, (B, dim) each: ``loss`` and its terms, scalars."""
    text_clip, text_clap, image, audio = projected
    pairs = {"text": (text_clip, text_clap), "memory": (image, audio)}
    losses: dict[str, Tensor] = {name: info_nce(*pairs[name], options.temperature) for name in options.inter}
    sides = [intra_loss(*side, squared=options.intra_squared) for side in ((text_clip, image), (text_clap, audio))]
    losses["intra"] = (sides[0] + sides[1]) / 2
    return {**losses, "loss": sum((losses[name] for name in options.inter), options.intra_weight * losses["intra"])}


class Connector(LightningModule):
    """The two heads in training, on batches of :data:`Rows`.

    Args:
        clap: width of CLAP's embeddings.
        clip: width of CLIP's embeddings.
        options: how to train.
    """

    generator: torch.Generator

    def __init__(self, clap: int, clip: int, options: ConnectorOptions) -> None:
        super().__init__()
        self.options = options
        self.heads = Heads(clap, clip, options.hidden, options.dim)

    def on_fit_start(self) -> None:
        """Draw the noise where the heads are, apart from the global random state."""
        self.generator = torch.Generator(self.device).manual_seed(self.options.seed)

    def training_step(self, batch: Rows, batch_index: int) -> Tensor:
        """Disturb a batch, project it and compute the loss."""
        text_clip, text_clap, image, audio = (self._disturb(rows) for rows in batch)
        # Texts and partners pass a head together: BatchNorm then sees the mixture whose statistics evaluation uses, and
        # cannot hide the gap between them. Retrieval in synthetic spaces is better than with one pass for each.
        text_clip, image = normalize(self.heads.Head_B(torch.cat([text_clip, image])), dim=-1).chunk(2)
        text_clap, audio = normalize(self.heads.Head_A(torch.cat([text_clap, audio])), dim=-1).chunk(2)
        losses = connector_losses((text_clip, text_clap, image, audio), self.options)
        self.log_dict({name: loss.detach() for name, loss in losses.items()}, prog_bar=True)
        return losses["loss"]

    def configure_optimizers(self) -> Any:
        """AdamW, whose rate decays along a cosine to 0 at the last step."""
        # BatchNorm takes away the bias in front of it: its gradient is rounding, which AdamW would scale up.
        learned = [parameter for name, parameter in self.named_parameters() if not name.endswith(".0.bias")]
        optimizer = torch.optim.AdamW(learned, lr=self.options.learning_rate)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=self.options.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": decay, "interval": "step"}}

    def _disturb(self, rows: Tensor) -> Tensor:
        noise = torch.randn(rows.shape, generator=self.generator, device=rows.device)
        return normalize(rows + self.options.noise_variance**0.5 * noise, dim=-1)


@dataclass(frozen=True)
class _Batches:
    """Batches out of one seeded permutation after the other; rows that fill no batch wait for the next.

    Not a DataLoader: rows in memory need neither workers nor collation.
    """

    rows: Rows
    options: ConnectorOptions

    def __len__(self) -> int:
        return self.options.steps

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        generator = torch.Generator().manual_seed(self.options.seed)
        count, device = len(self.rows[0]), self.rows[0].device
        order = torch.empty(0, dtype=torch.int64)
        size = min(self.options.batch_size, count)
        for _ in range(self.options.steps):
            if len(order) < size:
                order = torch.randperm(count, generator=generator)
            chosen, order = order[:size].to(device), order[size:]
            yield tuple(tensor[chosen] for tensor in self.rows)


def train_connector(embeddings: Embeddings, options: ConnectorOptions, progress: bool = True) -> Heads:
    """Train the heads, on a GPU if there is one; the random state is left as it was.

    Args:
        embeddings: what to learn from. On the device, texts and partners take 8 (clip + clap) bytes per text.
        options: how to train; equal ones give equal bits on one machine.
        progress: show a progress bar.

    Returns:
        The heads on the CPU, in eval mode, without gradients.
    """
    with clean_build(), torch.enable_grad(), warnings.catch_warnings():
        # torch's deprecation inside Lightning 2.6, which no argument avoids.
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        torch.default_generator.manual_seed(options.seed)
        connector = Connector(embeddings.audio.shape[1], embeddings.image.shape[1], options)
        # The environment is named, for Lightning would look for a cluster and take hold of its signals.
        trainer = Trainer(
            accelerator="auto", devices=1, plugins=[LightningEnvironment()], max_epochs=1, logger=False,
            enable_checkpointing=False, enable_model_summary=False, enable_progress_bar=progress,
        )  # fmt: skip
        device, how = trainer.strategy.root_device, {"nearest": not options.enhancement}
        text_clip, text_clap = embeddings.text_clip.to(device), embeddings.text_clap.to(device)
        image = enhance(text_clip, embeddings.image.to(device), options.memory_temperature, **how)
        audio = enhance(text_clap, embeddings.audio.to(device), options.memory_temperature, **how)
        trainer.fit(connector, _Batches((text_clip, text_clap, image, audio), options))
    return connector.heads.cpu().eval().requires_grad_(False)


def save_heads(heads: Heads, folder: Path, recipe: dict[str, Any]) -> None:
    """Write the heads as C-MCR's are published, to ``clap_clip.pt``, and the same to ``clap_clip.safetensors``.

    Args:
        heads: with widths 512, 1024, 512 they are the heads of ``c-mcr``, which :func:`.cmcr.load_heads` reads.
        folder: made if it does not exist.
        recipe: what they were made from: options, encoders with their digests, inputs. Goes as JSON to the metadata of
            the safetensors file, beside the digests of the heads and of the ``.pt`` file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "clap_clip.pt"
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in heads.state_dict().items()}
    torch.save(tensors, path)
    digests = {"heads": state_digest(heads), "pt_sha256": file_sha256(path)}
    write_tensors(path.with_suffix(".safetensors"), tensors, {"recipe": json.dumps(recipe), **digests})
