"""The generator's network: which way a noisy latent is to go, given frames, synchronisation features and a caption.

Source: Cheng et al., "MMAudio", CVPR 2025, section 3, with its supplement, section G. The final layer is conditioned on
the global condition alone, where the paper has the frame-aligned one: the published weights were trained so.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, silu

from torchmetrics_majorscore.training.generator.blocks import (
    THETA,
    GatedMLP,
    JointBlock,
    SingleBlock,
    TimeConv,
    rotations,
)
from torchmetrics_majorscore.training.generator.prompt import Prompt
from torchmetrics_majorscore.training.generator.sizes import GeneratorSizes

WAVES = 256


class Conditions(NamedTuple):
    """What the network makes of video and caption once for all steps of a sample.

    Args:
        visual: tokens, (B, Tv, hidden).
        text: tokens, (B, Tt, hidden).
        sync: tokens that are aligned with the latent, (B, Ts, hidden); None without.
        whole: what is said of the whole clip, (B, hidden).
    """

    visual: Tensor
    text: Tensor
    sync: Tensor | None
    whole: Tensor


class TimeEmbedding(nn.Module):
    """The time of the flow, as 256 cosines and sines, to a vector.

    Args:
        hidden: its width.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(WAVES, hidden)
        self.second = nn.Linear(hidden, hidden)

    def forward(self, t: Tensor) -> Tensor:
        """Map times (B,) to (B, hidden)."""
        frequencies = 1.0 / THETA ** (torch.arange(0, WAVES, 2, dtype=torch.float32, device=t.device) / WAVES)
        angles = t.float()[:, None] * frequencies
        out: Tensor = self.second(silu(self.first(torch.cat([angles.cos(), angles.sin()], dim=-1).to(t.dtype))))
        return out


class GeneratorNetwork(nn.Module):
    """Velocity of a latent. It takes latents, features and captions of any lengths.

    Args:
        sizes: how large.
    """

    latent_mean: Tensor
    latent_std: Tensor
    empty_clip: Tensor
    empty_sync: Tensor
    empty_text: Tensor

    def __init__(self, sizes: GeneratorSizes) -> None:
        super().__init__()
        self.sizes = sizes
        hidden, multiple = sizes.hidden, sizes.multiple
        self.latent_in = nn.Sequential(
            TimeConv(sizes.latent, hidden, 7), nn.SELU(), GatedMLP(hidden, 7, multiple)
        )  # fmt: skip
        self.clip_in = nn.Sequential(nn.Linear(sizes.clip, hidden), GatedMLP(hidden, 3, multiple))
        self.text_in = nn.Sequential(nn.Linear(sizes.text, hidden), GatedMLP(hidden, 1, multiple))
        if sizes.sync_as != "none":
            self.sync_position = nn.Parameter(torch.zeros(sizes.group, sizes.sync))
            self.sync_in = nn.Sequential(
                TimeConv(sizes.sync, hidden, 7), nn.SELU(), GatedMLP(hidden, 3, multiple)
            )  # fmt: skip
        self.clip_whole = nn.Linear(hidden, hidden)
        self.text_whole = nn.Linear(hidden, hidden)
        self.whole = GatedMLP(hidden, 1, multiple)
        self.time = TimeEmbedding(hidden)
        self.joint = nn.ModuleList(
            JointBlock(hidden, sizes.heads, multiple, last=number == sizes.joint - 1) for number in range(sizes.joint)
        )
        self.single = nn.ModuleList(SingleBlock(hidden, sizes.heads, 3, multiple) for _ in range(sizes.single))
        self.norm = nn.LayerNorm(hidden, elementwise_affine=False)
        self.modulation = nn.Linear(hidden, 2 * hidden)
        self.latent_out = TimeConv(hidden, sizes.latent, 7)
        self._add_constants()
        self._begin()

    def _add_constants(self) -> None:
        """Add statistics of the latents, which the data give, and what stands for a missing modality."""
        sizes = self.sizes
        self.register_buffer("latent_mean", torch.zeros(sizes.latent))
        self.register_buffer("latent_std", torch.ones(sizes.latent))
        empties = {"clip": (1, sizes.clip), "sync": (1, sizes.sync), "text": (sizes.text_length, sizes.text)}
        for name, shape in empties.items():
            if name == "sync" and sizes.sync_as == "none":
                continue
            learned = sizes.missing == "all learned" or (sizes.missing == "learned" and name != "text")
            self.register_parameter(f"empty_{name}", nn.Parameter(torch.zeros(shape), requires_grad=learned))

    def _begin(self) -> None:
        """Draw first weights; of the blocks' modulations, see :class:`.Stream`."""
        zero = [part.modulation for part in self.modules() if hasattr(part, "modulation")]
        for part in self.modules():
            if isinstance(part, nn.Linear) and part not in zero:
                nn.init.xavier_uniform_(part.weight)
                if isinstance(part.bias, Tensor):
                    nn.init.zeros_(part.bias)
        for part in (self.time.first, self.time.second):
            nn.init.normal_(part.weight, std=0.02)
        for value in (*self.modulation.parameters(), *self.latent_out.parameters()):
            nn.init.zeros_(value)

    def normalise(self, latent: Tensor) -> Tensor:
        """Map latents (B, L, C) as the autoencoder gives them to those that the flow goes to."""
        return (latent - self.latent_mean) / self.latent_std

    def restore(self, latent: Tensor) -> Tensor:
        """Undo :meth:`normalise`."""
        return latent * self.latent_std + self.latent_mean

    def condition(self, prompt: Prompt) -> Conditions:
        """Project what a sound is generated for.

        Args:
            prompt: features of B samples.

        Raises:
            ValueError: features that do not fit.
        """
        prompt.check(self.sizes)
        clip = torch.where(prompt.seen[:, None, None], prompt.clip, self.empty_clip)
        visual, words = self.clip_in(clip), self.text_in(self._told(prompt))
        whole = self.whole(self.clip_whole(visual.mean(dim=1)) + self.text_whole(words.mean(dim=1)))
        if self.sizes.sync_as == "none":
            return Conditions(visual, words, None, whole)
        sync = torch.where(prompt.seen[:, None, None], prompt.sync, self.empty_sync)
        aligned = self.sync_in(sync + self.sync_position.repeat(sync.shape[1] // self.sizes.group, 1))
        if self.sizes.sync_as == "summed":
            return Conditions(_stretch(visual, aligned.shape[1]) + aligned, words, None, whole)
        return Conditions(visual, words, aligned, whole)

    def _told(self, prompt: Prompt) -> Tensor:
        if prompt.text.shape[1] != len(self.empty_text):  # then all are told, see Prompt.check
            return prompt.text
        return torch.where(prompt.told[:, None, None], prompt.text, self.empty_text)

    def without(self, prompt: Prompt) -> Conditions:
        """Project the same lengths of neither video nor caption."""
        nothing = torch.zeros_like(prompt.seen)
        text = self.empty_text.expand(len(prompt.text), -1, -1)
        return self.condition(prompt._replace(text=text, seen=nothing, told=nothing))

    def forward(self, latent: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Give the velocity of latents.

        Args:
            latent: (B, L, C), normalised, on its way from noise.
            t: how far on it, in [0, 1], (B,).
            conditions: of :meth:`condition`.

        Returns:
            (B, L, C).
        """
        x = self.latent_in(latent)
        whole = (self.time(t) + conditions.whole)[:, None]
        aligned = whole if conditions.sync is None else whole + _stretch(conditions.sync, x.shape[1])
        visual, text = conditions.visual, conditions.text
        width = self.sizes.hidden // self.sizes.heads
        turned = rotations(x.shape[1], width, 1.0, x.device)
        seen = rotations(visual.shape[1], width, x.shape[1] / visual.shape[1], x.device)
        for block in self.joint:
            x, visual, text = block((x, visual, text), (aligned, whole, whole), (turned, seen, None))
        for block in self.single:
            x = block(x, aligned, turned)
        shift, scale = self.modulation(silu(whole)).chunk(2, dim=-1)
        out: Tensor = self.latent_out(self.norm(x) * (1 + scale) + shift)
        return out


def _stretch(tokens: Tensor, length: int) -> Tensor:
    """Give tokens (B, T, D) at another rate: for each of ``length`` places the one whose centre is nearest."""
    return interpolate(tokens.transpose(1, 2), size=length, mode="nearest-exact").transpose(1, 2)
