"""What encoders around a module that the user brings have in common: its frozen copy, CLIP's words, Kaldi's mels."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders.clip import FrameOptions, remark_cut
from torchmetrics_majorscore.encoders.handle import state_digest
from torchmetrics_majorscore.encoders.kaldi import RATE, kaldi_filters
from torchmetrics_majorscore.encoders.tokenizer import Tokenizer


class BroughtModule(nn.Module):
    """A joint encoder's frozen copy of a module, with what prepares its inputs.

    Args:
        module: maps a dictionary of one kind of inputs to one with (B, D).
        name: of the encoder, without the digest.
        bands: of the mels.
    """

    sample_rate = RATE
    window: Tensor
    bands: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, module: nn.Module, name: str, bands: int) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.name = f"{name}@{state_digest(self.module)}"
        self.tokenizer = Tokenizer()
        for key, tensor in zip(("window", "bands"), kaldi_filters(bands), strict=True):
            self.register_buffer(key, tensor, persistent=False)
        for key, values in (("mean", FrameOptions.mean), ("std", FrameOptions.std)):
            self.register_buffer(key, torch.tensor(values).view(3, 1, 1), persistent=False)

    def remark_text(self, batch: Sequence[str]) -> dict[int, str]:
        """Say which captions are longer than the text tower reads."""
        return remark_cut(self.tokenizer, batch)

    def tokens(self, batch: Sequence[str]) -> Tensor:
        """Give CLIP's tokens of captions, (B, 77), on the module's device."""
        return self.tokenizer(list(batch)).to(self.window.device)

    def run(self, key: str, given: Any) -> Tensor:
        """Run the module on one kind of inputs: unit-norm embeddings, float32, (B, D)."""
        embedded: Any = self.module({key: given})[key]
        return normalize(embedded.float(), dim=-1)
