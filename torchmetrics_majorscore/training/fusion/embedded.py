"""Late fusion on the embedded world: the towers of c-mcr-tiny and the small video network as frozen backbones.

Text and picture pass clip-tiny in its own space, sounds clap-tiny, videos the network of :mod:`.motion`. For training,
the items of a class are of different scenes in every modality, as in XMediaNet; for validation and test, one scene
gives all four, so that a clip also has partners of its own. A class is one of the 192 combinations, of which training
sees 144, validation those and 24 others, and the test all.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from torchmetrics_majorscore import __version__
from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.encoders.base import load_strictly
from torchmetrics_majorscore.encoders.checkpoints import read_tensors, write_tensors
from torchmetrics_majorscore.encoders.handle import state_digest
from torchmetrics_majorscore.encoders.motion import MotionNetwork, MotionOptions
from torchmetrics_majorscore.training.fusion.motion import MotionTraining, train_motion
from torchmetrics_majorscore.training.fusion.options import MODALITIES
from torchmetrics_majorscore.training.fusion.tuples import Items
from torchmetrics_majorscore.training.kept import kept_rows
from torchmetrics_majorscore.training.world.captions import caption
from torchmetrics_majorscore.training.world.scene import COMBINATIONS, SECONDS, Scene, Split, draw_scenes, unseen
from torchmetrics_majorscore.training.world.sight import frame_at, render_frames
from torchmetrics_majorscore.training.world.sound import render_sounds

CPU = torch.device("cpu")
AT_ONCE = 64
SEED = 910  # of the draws of scenes, apart from those of towers and of the video network


@dataclass(frozen=True)
class WorldOptions:
    """How many items there are.

    Args:
        text, image, audio, video: of each training combination, in XMediaNet's proportions.
        validation: scenes of each combination of validation.
        test: scenes of each combination of the test.
        motion: how the video network is trained.
    """

    text: int = 24
    image: int = 24
    audio: int = 6
    video: int = 6
    validation: int = 2
    test: int = 3
    motion: MotionTraining = field(default_factory=MotionTraining)


class World(NamedTuple):
    """Embeddings of the splits; row i of validation and test is one scene in every modality."""

    train: Items
    validation: Items
    test: Items
    scenes: list[Scene]
    """Of the test."""
    backbones: dict[str, str]
    """Modality to the name of its backbone, with the digest of its weights."""


def embed_world(folder: Path, options: WorldOptions) -> World:
    """Compute the embeddings of all splits, or take those of an earlier run.

    Args:
        folder: keeps them, and the video network.
        options: how many.

    Returns:
        The splits.
    """
    network = _motion(folder, options.motion)
    clip, clap = load_encoder("clip-tiny"), load_encoder("clap-tiny")
    backbones = {"text": clip.name, "image": clip.name, "audio": clap.name}
    backbones["video"] = f"motion-tiny@{state_digest(network)}"
    sizes = network.options
    encode: dict[str, Callable[[list[Scene], Split], Tensor]] = {
        "text": lambda scenes, split: clip.encode("text", [caption(scene, split) for scene in scenes], CPU),
        "image": lambda scenes, _: clip.encode("video", list(_pictures(scenes, clip.frame_size or 64)), CPU),
        "audio": lambda scenes, _: clap.encode("audio", list(render_sounds(scenes)), CPU),
        "video": lambda scenes, _: network.encode_video(list(render_frames(scenes, sizes.fps, sizes.size))),
    }
    splits = {}
    for split, drawn in _scenes(options).items():
        rows, classes = {}, {}
        for name, scenes in drawn.items():
            key = hashlib.sha256(f"{__version__}|{backbones[name]}|{split}|{scenes}".encode()).hexdigest()
            path = folder / "embeddings" / f"{split}_{name}.safetensors"
            own = _in_parts(encode[name], scenes, split, f"{split} {name}")
            rows[name], _ = kept_rows(path, key, backbones[name], own)
            classes[name] = torch.tensor([scene.combination for scene in scenes])
        splits[split] = _numbered(rows, classes)
    return World(splits["train"], splits["validation"], splits["test"], _scenes(options)["test"]["text"], backbones)


def _motion(folder: Path, options: MotionTraining) -> MotionNetwork:
    """Read the video network of an earlier run with the same options, or train and write it."""
    path, recipe = folder / "motion.safetensors", {"motion": str(asdict(options)), "majorscore": __version__}
    if path.is_file() and _metadata(path) == recipe:
        network = MotionNetwork(MotionOptions()).eval().requires_grad_(False)
        load_strictly(network, read_tensors(path), path.name)
        return network
    network = train_motion(options)
    write_tensors(path, network.state_dict(), recipe)
    return network


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return dict(file.metadata() or {})


def _scenes(options: WorldOptions) -> dict[Split, dict[str, list[Scene]]]:
    """Draw the scenes of all splits."""
    held_out = set(unseen("test"))
    seen = [number for number in range(len(COMBINATIONS)) if number not in held_out]
    drawn: dict[Split, dict[str, list[Scene]]] = {"train": {}}
    for place, name in enumerate(MODALITIES):
        repeated = [number for number in unseen("train") for _ in range(getattr(options, name))]
        drawn["train"][name] = draw_scenes(repeated, SEED + place, "train")
    for split, numbers, count in (
        ("validation", seen, options.validation),
        ("test", list(range(len(COMBINATIONS))), options.test),
    ):
        scenes = draw_scenes([number for number in numbers for _ in range(count)], SEED, split)  # type: ignore[arg-type]
        drawn[split] = dict.fromkeys(MODALITIES, scenes)  # type: ignore[index]
    return drawn


def _in_parts(
    encode: Callable[[list[Scene], Split], Tensor], scenes: list[Scene], split: Split, title: str
) -> Callable[[], tuple[Tensor, list[str]]]:
    def compute() -> tuple[Tensor, list[str]]:
        with torch.no_grad():
            starts = tqdm(range(0, len(scenes), AT_ONCE), title)
            parts = [encode(scenes[at : at + AT_ONCE], split) for at in starts]
        return torch.cat(parts), []

    return compute


def _pictures(scenes: list[Scene], size: int) -> Tensor:
    """Render each scene at a moment that its seed draws: uint8 (N, 1, 3, size, size)."""
    times = [[scene.random("picture").uniform(0.0, SECONDS)] for scene in scenes]
    return frame_at(scenes, torch.tensor(times, dtype=torch.float32), size)


def _numbered(rows: dict[str, Tensor], classes: dict[str, Tensor]) -> Items:
    """Number the combinations of a split from 0 on."""
    known = sorted({number for own in classes.values() for number in own.tolist()})
    numbers = {name: torch.searchsorted(torch.tensor(known), own) for name, own in classes.items()}
    return Items(rows, numbers, tuple(" ".join(COMBINATIONS[number]) for number in known))
