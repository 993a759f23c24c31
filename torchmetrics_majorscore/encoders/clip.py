"""CLIP ViT-B/32: frames and captions to unit vectors, with an optional head behind it.

Preparation of a frame, as Hugging Face's CLIP processor does it: the short side to 224 by an antialiased bicubic
filter on 8-bit values, the long side cut off after the point; a 224 x 224 crop that starts at floor(excess / 2); values
over 255; CLIP's mean and standard deviation.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders.base import in_micro_batches, load_or_seed, load_strictly
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.clip_network import TextTower, build_vit_b_32
from torchmetrics_majorscore.encoders.handle import state_digest
from torchmetrics_majorscore.encoders.hugging_face import from_hugging_face
from torchmetrics_majorscore.encoders.precision import Tower
from torchmetrics_majorscore.encoders.resize import Resizing, prepare_frames
from torchmetrics_majorscore.encoders.table import Pool
from torchmetrics_majorscore.encoders.tokenizer import Tokenizer

FRAMES_PER_CALL = 20
TEXTS_PER_CALL = 8
TOKEN_STEP = 8


@dataclass(frozen=True)
class FrameOptions:
    """Size and scaling of the pictures that a network was trained with; the defaults are CLIP ViT-B/32's.

    Args:
        size: height and width in pixels.
        mean: of each channel, of values in [0, 1].
        std: standard deviation of each channel.
    """

    size: int = 224
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)


class CLIP(Tower):
    """CLIP's two towers, frozen, with an optional head from CLIP's space into a joint space.

    Args:
        network: :class:`.CLIPNetwork`, or open_clip's ``CLIP``.
        head: maps unit vectors (N, 512) into the joint space, row by row; None for CLIP's own space.
        pool: mean over a video's frames behind the head (``"after_head"``) or in front of it (``"before_head"``).
        tokenizer: captions to tokens; None for CLIP's own.
        frames: size and scaling of the pictures.
    """

    modalities = ("video", "text")
    sample_rate = 0
    streams = True
    resizing = Resizing()
    """How pictures are brought to their size."""

    def __init__(
        self,
        network: nn.Module,
        head: nn.Module | None = None,
        pool: Pool = "after_head",
        tokenizer: Any = None,
        frames: FrameOptions | None = None,
    ) -> None:
        super().__init__()
        self.network: Any = network
        self.head = head or nn.Identity()
        self.pool = pool
        self.tokenizer = tokenizer or Tokenizer()
        self.frames = frames or FrameOptions()
        self.name = "clip"
        self.eval().requires_grad_(False)

    def encode_video(self, batch: Sequence[Tensor | Iterable[Tensor]]) -> Tensor:
        """Encode videos: every frame, then the mean over frames.

        Args:
            batch: frames (T, 3, H, W), uint8 RGB, T >= 1, any size; or such pieces of one video, read once. Of a piece
                that is one picture expanded to T, that picture is encoded once.

        Returns:
            Unit-norm embeddings, float32, (B, D).
        """
        counts: list[list[int]] = []
        in_head = self.pool == "after_head"
        embedded = in_micro_batches(
            lambda f: self._frames(f, with_head=in_head), self._pieces(batch, counts), FRAMES_PER_CALL
        )
        parts = torch.split(embedded, [len(own) for own in counts])
        videos = torch.stack([_mean(part, own) for part, own in zip(parts, counts, strict=True)])
        return normalize(videos, dim=-1) if in_head else in_micro_batches(self._project, videos, FRAMES_PER_CALL)

    def _pieces(self, batch: Sequence[Tensor | Iterable[Tensor]], counts: list[list[int]]) -> Iterator[Tensor]:
        """Give the prepared frames of all videos in pieces, and append to ``counts`` how often each one is shown."""
        for video in batch:
            counts.append([])
            for piece in (video,) if isinstance(video, Tensor) else video:
                still = len(piece) > 1 and piece.stride(0) == 0  # one picture that stays on screen
                counts[-1] += [len(piece)] if still else [1] * len(piece)
                yield prepare_frames(piece[:1] if still else piece, self.frames.size, self.resizing)

    def remark_text(self, batch: Sequence[str]) -> dict[int, str]:
        """Say which captions are longer than the text tower reads."""
        return remark_cut(self.tokenizer, batch)

    def encode_text(self, batch: Sequence[str]) -> Tensor:
        """Encode captions as they are, without a prompt template.

        Args:
            batch: captions; over 77 tokens they are cut, see :meth:`remark_text`.

        Returns:
            Unit-norm embeddings, float32, (B, D).
        """
        return encode_captions(self.network, self.tokenizer, batch, self._project, self.running)

    def _frames(self, frames: Tensor, *, with_head: bool) -> Tensor:
        mean, std = (
            torch.tensor(values, device=frames.device).view(3, 1, 1) for values in (self.frames.mean, self.frames.std)
        )
        pixels = (frames.float() / 255.0 - mean) / std
        with self.running():
            embedded = self.network.encode_image(pixels)
        embedded = normalize(embedded.float(), dim=-1)
        return self._project(embedded) if with_head else embedded

    def _project(self, embedded: Tensor) -> Tensor:
        return normalize(self.head(embedded), dim=-1)


def _mean(embedded: Tensor, counts: list[int]) -> Tensor:
    """Give the plain mean over frames (a head with BatchNorm is not free of scale), each as often as it is shown."""
    if max(counts) == 1:
        return embedded.mean(dim=0)
    weights = torch.tensor([count / sum(counts) for count in counts], device=embedded.device)
    return (embedded * weights[:, None]).sum(dim=0)


def encode_captions(
    network: Any,
    tokenizer: Any,
    batch: Sequence[str],
    project: Callable[[Tensor], Tensor],
    running: Callable[[], AbstractContextManager[None]],
) -> Tensor:
    """Encode captions with CLIP's text tower, each in the shape of its own length.

    Args:
        network: :class:`.TextTower`, or one of open_clip's.
        tokenizer: captions to tokens.
        batch: captions; over the tokenizer's length they are cut, see :func:`remark_cut`.
        project: what unit vectors (N, D) go through, row by row.
        running: what the network runs within, see :meth:`.precision.Tower.running`.

    Returns:
        Embeddings, float32, (B, D).
    """

    def encode(tokens: Tensor) -> Tensor:
        with running():
            embedded = TextTower.encode_text(network, tokens)  # open_clip's own method takes full rows alone
        return project(normalize(embedded.float(), dim=-1))

    tokens = tokenizer(list(batch))
    lengths = tokens.argmax(dim=-1) + 1  # the end token has the largest number
    return encode_by_length(encode, tokens.to(network.positional_embedding.device), lengths.tolist())


def remark_cut(tokenizer: Any, batch: Sequence[str]) -> dict[int, str]:
    """Say which captions the tokenizer cuts: place in the batch to remark."""
    longest = tokenizer.context_length
    needed = {place: len(tokenizer.encode(text)) + 2 for place, text in enumerate(batch)}
    return {place: f"has {count} tokens and is cut to {longest}" for place, count in needed.items() if count > longest}


def encode_by_length(encode: Callable[[Tensor], Tensor], tokens: Tensor, lengths: Sequence[int]) -> Tensor:
    """Encode token rows cut to their own length, rounded up, in micro-batches of rows of one length.

    A row's shape depends on that row alone, and so do its bits; short captions cost a tenth of full rows.

    Args:
        encode: maps tokens (TEXTS_PER_CALL, L) to embeddings.
        tokens: shape (N, longest), padded at the end.
        lengths: tokens of each row that count.

    Returns:
        Embeddings (N, D), in the order of ``tokens``.
    """
    steps = [min(-(-length // TOKEN_STEP) * TOKEN_STEP, tokens.shape[1]) for length in lengths]
    rows: list[Tensor | None] = [None] * len(steps)
    for step in sorted(set(steps)):
        chosen = [row for row, own in enumerate(steps) if own == step]
        embedded = in_micro_batches(encode, tokens[chosen, :step], TEXTS_PER_CALL)
        for row, embedding in zip(chosen, embedded, strict=True):
            rows[row] = embedding
    return torch.stack([row for row in rows if row is not None])


def load_network(weights: Weights) -> nn.Module:
    """Build ViT-B/32 and load a checkpoint in open_clip's or Hugging Face's layout."""
    network = build_vit_b_32()
    load_or_seed(network, weights, "clip", _load_either)
    return network


def _load_either(network: nn.Module, tensors: dict[str, Tensor], what: str) -> None:
    tensors = from_hugging_face(tensors) if "logit_scale" in tensors and "visual.proj" not in tensors else tensors
    load_strictly(network, tensors, what)


def load(weights: Weights, pool: Pool) -> CLIP:
    """Build CLIP in its own space."""
    clip = CLIP(load_network(weights), pool=pool)
    clip.name = f"clip{'-seeded' if weights.seeded else ''}@{state_digest(clip)}"
    return clip
