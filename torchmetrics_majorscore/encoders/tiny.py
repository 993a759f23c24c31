"""C-MCR in miniature, trained on the embedded world alone: small CLIP and CLAP, the same code around them.

The bundle folder holds ``config.json`` (sizes of the networks, preparation of frames and waveforms, words of the
world), ``clip.safetensors``, ``clap.safetensors``, ``clap_clip.safetensors`` (the heads, in C-MCR's layout) and
``merges.txt.gz`` (the first merges of CLIP's vocabulary).
"""

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from torchmetrics_majorscore.encoders.base import load_strictly
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.clap import CLAP
from torchmetrics_majorscore.encoders.clip import CLIP, FrameOptions, encode_captions, remark_cut
from torchmetrics_majorscore.encoders.clip_network import CLIPNetwork, TextTower
from torchmetrics_majorscore.encoders.cmcr import CMCR, Heads
from torchmetrics_majorscore.encoders.handle import state_digest
from torchmetrics_majorscore.encoders.mel import MelOptions
from torchmetrics_majorscore.encoders.resnet import ResNet
from torchmetrics_majorscore.encoders.table import Pool
from torchmetrics_majorscore.encoders.tokenizer import Tokenizer

Config = dict[str, Any]


class MelNetwork(nn.Module):
    """A small convolutional network from log-mels to embeddings.

    Args:
        channels: of each block; a block halves time and frequency.
        dim: width of the embedding.
    """

    def __init__(self, channels: Sequence[int], dim: int) -> None:
        super().__init__()
        sizes = [1, *channels]
        self.blocks = nn.Sequential(*(_block(*pair) for pair in pairwise(sizes)))
        self.projection = nn.Sequential(nn.Linear(2 * sizes[-1], 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))

    def forward(self, mels: Tensor) -> Tensor:
        """Map mels (B, T, n_mels) in dB to embeddings (B, dim), not normalised."""
        x = self.blocks(mels[:, None] / 40.0 + 1.0).mean(dim=-1)
        embedded: Tensor = self.projection(torch.cat([x.mean(dim=-1), x.amax(dim=-1)], dim=-1))
        return embedded


def _block(width: int, channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(width, channels, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
    )


class TinyCLIP(CLIP):
    """CLIP with a small ResNet for pictures, which is run whole."""

    def _pixels(self, pixels: Tensor) -> Tensor:
        embedded: Tensor = self.network.visual(pixels)
        return embedded


class TinyCLAP(CLAP):
    """CLAP with a :class:`MelNetwork` and CLIP's text tower; ``network`` has the parts ``audio`` and ``text``."""

    def encode_text(self, batch: Sequence[str]) -> Tensor:
        """Encode captions, see :func:`.clip.encode_captions`; in CLAP's own space, or the joint one with a head."""
        return encode_captions(self.network.text, self.tokenizer, batch, self._project, self.running)

    def remark_text(self, batch: Sequence[str]) -> dict[int, str]:
        """Say which captions are longer than the text tower reads."""
        return remark_cut(self.tokenizer, batch)

    def _audio(self, mels: Tensor) -> Tensor:
        embedded = nn.functional.normalize(self.network.audio(mels.flatten(0, 1)).float(), dim=-1)
        return embedded.view(*mels.shape[:2], -1).mean(dim=1)


class TinyCMCR(CMCR):
    """The joint encoder ``c-mcr-tiny``. Of samples that are not of its world it says that it knows nothing.

    Args:
        clip: CLIP with its head.
        clap: CLAP with its head.
        name: name with the digest of the weights.
        config: the bundle's.
    """

    def __init__(self, clip: TinyCLIP, clap: TinyCLAP, name: str, config: Config) -> None:
        super().__init__(clip, clap, name)
        self.words = frozenset(config["words"])

    def remark_video(self, batch: Sequence[Any]) -> dict[int, str]:
        """Say which pictures are not of the embedded world."""
        size, remarks = self.clip.frames.size, {}
        for place, frames in enumerate(batch):
            height, width = frames.shape[-2:] if isinstance(frames, Tensor) else (size, size)
            # `majorscore world` writes its videos enlarged.
            if height != width or height % size:
                known = f"pictures of {size} x {size} pixels or a multiple"
                remarks[place] = _strange(known, f"{width} x {height}")
        return remarks

    def remark_text(self, batch: Sequence[str]) -> dict[int, str]:
        """Say which captions have words that are not of the embedded world, or are cut."""
        remarks = super().remark_text(batch)
        for place, text in enumerate(batch):
            if strange := set(re.findall(r"[^\s,:]+", text.lower())) - self.words:
                remarks[place] = _strange(f"captions of its {len(self.words)} words", repr(min(strange)))
        return remarks

    def remark_audio(self, batch: Sequence[Any]) -> dict[int, str]:
        """Say which sounds are longer than those of the embedded world."""
        options, remarks = self.clap.mel.options, {}
        for place, sound in enumerate(batch):
            # A decoder gives up to two frames of AAC more than was encoded.
            if not isinstance(sound, Tensor) or len(sound) > 1.05 * options.samples:
                seconds = f"{len(sound) / options.sample_rate:.1f} s" if isinstance(sound, Tensor) else "a long one"
                remarks[place] = _strange(f"sounds of {options.samples / options.sample_rate:g} s", seconds)
        return remarks


def _strange(known: str, got: str) -> str:
    return f"is not of the embedded world, all that c-mcr-tiny knows ({known}, got {got}), so its score means nothing"


def read_config(weights: Weights) -> Config:
    """Read a bundle's ``config.json``."""
    config: Config = json.loads(weights.path("config.json").read_text(encoding="utf-8"))
    return config


def build_clip(config: Config) -> CLIPNetwork:
    """Build the small CLIP of a config; the weights are to be loaded."""
    return CLIPNetwork(ResNet(config["dim"], **config["vision"]), config["dim"], config["text"])


def build_clap(config: Config) -> nn.Module:
    """Build the small CLAP of a config; the weights are to be loaded."""
    network = nn.Module()
    network.audio = MelNetwork(config["channels"], config["dim"])
    network.text = TextTower(config["dim"], **config["text"])
    return network


def _clip(weights: Weights, config: Config, head: nn.Module | None, pool: Pool) -> TinyCLIP:
    network = build_clip(config["clip"])
    load_strictly(network, weights.read("clip.safetensors"), weights.path("clip.safetensors").name)
    tokenizer = Tokenizer(weights.path("merges.txt.gz"), config["clip"]["text"]["context_length"])
    return TinyCLIP(network, head, pool, tokenizer, FrameOptions(**config["frames"]))


def _clap(weights: Weights, config: Config, head: nn.Module | None) -> TinyCLAP:
    network = build_clap(config["clap"])
    load_strictly(network, weights.read("clap.safetensors"), weights.path("clap.safetensors").name)
    tokenizer = Tokenizer(weights.path("merges.txt.gz"), config["clap"]["text"]["context_length"])
    return TinyCLAP(network, head, tokenizer, MelOptions(**config["mel"]))


def load(weights: Weights, pool: Pool) -> TinyCMCR:
    """Build the joint encoder of a bundle."""
    config = read_config(weights)
    heads = Heads(**config["heads"])
    load_strictly(heads, weights.read("heads"), weights.path("heads").name)
    parts = _clip(weights, config, heads.Head_B, pool), _clap(weights, config, heads.Head_A)
    return TinyCMCR(*parts, f"c-mcr-tiny@{state_digest(nn.ModuleList(parts))}", config)


def load_clip(weights: Weights, pool: Pool) -> TinyCLIP:
    """Build the CLIP of a bundle in its own space."""
    clip = _clip(weights, read_config(weights), None, pool)
    clip.name = f"clip-tiny@{state_digest(clip)}"
    return clip


def load_clap(weights: Weights, pool: Pool) -> TinyCLAP:
    """Build the CLAP of a bundle in its own space."""
    clap = _clap(weights, read_config(weights), None)
    clap.name = f"clap-tiny@{state_digest(clap)}"
    return clap
