"""The recipe of ``c-mcr-tiny``: a small CLIP, a small CLAP and their connector, trained on the embedded world.

Pictures, sounds and the connector's captions come from three draws of scenes that have no scene in common, so nothing
here ever sees a picture together with its sound.
"""

import gzip
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders import tiny
from torchmetrics_majorscore.encoders.base import clean_build
from torchmetrics_majorscore.encoders.checkpoints import write_tensors
from torchmetrics_majorscore.encoders.clip import FrameOptions
from torchmetrics_majorscore.encoders.mel import MelOptions
from torchmetrics_majorscore.encoders.tokenizer import MERGES, Tokenizer
from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.training.connector import ConnectorOptions, Embeddings, save_heads, train_connector
from torchmetrics_majorscore.training.towers import (
    Samples,
    TowerOptions,
    render_mels,
    render_pictures,
    tokens_of,
    train_towers,
    training_scenes,
)
from torchmetrics_majorscore.training.world.captions import vocabulary

COUNT = 1024  # of merges
DIM = 128
TEXT = {"context_length": 32, "vocab_size": 512 + COUNT + 2, "width": 96, "heads": 4, "layers": 2}
CONFIG: dict[str, Any] = {
    "clip": {"dim": DIM, "vision": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16}, "text": TEXT},
    "clap": {"dim": DIM, "channels": [16, 32, 64, 128], "text": TEXT},
    "frames": asdict(FrameOptions(size=64)),
    "mel": asdict(MelOptions(samples=192_000, n_fft=2048, hop_length=960)),
    "heads": {"clap": DIM, "clip": DIM, "hidden": 256, "dim": DIM},
    "words": sorted(vocabulary()),
}
CLIP = TowerOptions()
CLAP = TowerOptions(steps=600)
CONNECTOR = ConnectorOptions(
    temperature=0.05, memory_temperature=0.05, noise_variance=0.001, steps=200, batch_size=1024, hidden=256, dim=DIM
)
VIEWS = 3
ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class BundleOptions:
    """The whole recipe; the defaults made the bundle in this package.

    Args:
        clip: of the picture and text towers.
        clap: of the sound and text towers.
        connector: of the heads.
        texts: captions for the connector, for each training combination.
        seed: of the draws of scenes, the first weights and the batches; below 300.
    """

    clip: TowerOptions = CLIP
    clap: TowerOptions = CLAP
    connector: ConnectorOptions = CONNECTOR
    texts: int = 100
    seed: int = 0


def train_bundle(folder: Path, options: BundleOptions) -> Embeddings:
    """Train the bundle from its seed and write it.

    Args:
        folder: made if it does not exist; gets the files that :mod:`.encoders.tiny` reads.
        options: the recipe.

    Returns:
        What the connector learned from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_merges(folder / "merges.txt.gz")
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=1) + "\n", encoding="utf-8")
    with clean_build():
        torch.manual_seed(options.seed)
        clip, images = train_clip(folder, options)
        clap, sounds = train_clap(folder, options)
        write(clip, folder / "clip.safetensors")
        write(clap, folder / "clap.safetensors")
        embeddings = Embeddings(*text_embeddings(folder, clip, clap, options), image=images, audio=sounds)
    heads = train_connector(embeddings, options.connector)
    save_heads(heads.half(), folder, asdict(options))
    (folder / "clap_clip.pt").unlink()  # the same again, as a pickle
    return embeddings


def train_clip(folder: Path, options: BundleOptions) -> tuple[nn.Module, Tensor]:
    """Train the small CLIP on pictures with captions.

    Returns:
        The network and the embeddings of its training pictures, (N, D), the connector's memory of images.
    """
    network: Any = new_clip()
    frames = FrameOptions(**CONFIG["frames"])
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (frames.mean, frames.std))

    def encode(pictures: Tensor) -> Tensor:
        embedded: Tensor = network.visual((pictures.float() / 255.0 - mean) / std)
        return embedded

    scenes = training_scenes(3 * options.seed, options.clip.renders)
    tokens = tokens_of(scenes, tokenizer(folder), options.clip.wordings)
    samples = Samples(render_pictures(scenes, frames, VIEWS), tokens, options.clip.renders)
    train_towers(network, encode, network.encode_text, samples, options.clip, options.seed)
    return network, embed(encode, samples.inputs[:, 0])


def train_clap(folder: Path, options: BundleOptions) -> tuple[nn.Module, Tensor]:
    """Train the small CLAP on sounds with captions.

    Returns:
        The network and the embeddings of its training sounds, (N, D), the connector's memory of sounds.
    """
    network: Any = new_clap()

    def encode(mels: Tensor) -> Tensor:
        embedded: Tensor = network.audio(mels.float())
        return embedded

    scenes = training_scenes(3 * options.seed + 1, options.clap.renders)
    tokens = tokens_of(scenes, tokenizer(folder), options.clap.wordings)
    samples = Samples(render_mels(scenes, MelOptions(**CONFIG["mel"])), tokens, options.clap.renders)
    train_towers(network, encode, network.text, samples, options.clap, options.seed)
    return network, embed(encode, samples.inputs[:, 0])


def text_embeddings(folder: Path, clip: Any, clap: Any, options: BundleOptions) -> tuple[Tensor, Tensor]:
    """Encode the connector's captions with the text towers of both networks; (N, D) each."""
    scenes = training_scenes(3 * options.seed + 2, options.texts)
    tokens = tokens_of(scenes, tokenizer(folder), 1)[:, 0].long()
    return embed(clip.encode_text, tokens), embed(clap.text, tokens)


def embed(encode: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Encode many inputs to unit vectors (N, D), without gradients."""
    with torch.no_grad():
        return torch.cat([normalize(encode(part), dim=-1) for part in torch.split(inputs, ROWS_AT_ONCE)])


def tokenizer(folder: Path) -> Tokenizer:
    """Build the tokenizer of a bundle."""
    return Tokenizer(folder / "merges.txt.gz", TEXT["context_length"])


def write(network: nn.Module, path: Path) -> None:
    """Write a network in float16, which halves the bundle and changes similarities by less than 1e-3."""
    tensors = {name: t.half() if t.is_floating_point() else t for name, t in network.state_dict().items()}
    write_tensors(path, tensors)


def write_merges(path: Path) -> None:
    """Write the first merges of CLIP's byte-pair encoding, in the layout that the tokenizer reads."""
    with gzip.open(MERGES, "rt", encoding="utf-8") as file:
        lines = "".join(islice(file, COUNT + 1)).rstrip("\n")
    path.write_bytes(gzip.compress(lines.encode(), mtime=0))


def new_clip() -> Any:
    """Build the small CLIP in open_clip, whose first weights training starts from; it has our tensors' names."""
    needs_extra("open_clip", "all")
    import open_clip

    parts = CONFIG["clip"]
    return open_clip.CLIP(parts["dim"], parts["vision"], parts["text"])


def new_clap() -> Any:
    """Build the small CLAP, its text tower in open_clip; see :func:`new_clip`."""
    needs_extra("open_clip", "all")
    from open_clip.transformer import TextTransformer

    network = nn.Module()
    network.audio = tiny.MelNetwork(CONFIG["clap"]["channels"], CONFIG["clap"]["dim"])
    network.text = TextTransformer(output_dim=CONFIG["clap"]["dim"], **TEXT)
    return network
