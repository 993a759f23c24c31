"""Features of scenes of the embedded world, rendered and embedded once, and kept until something of theirs changes."""

import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.encoders.base import exact_float32
from torchmetrics_majorscore.encoders.download import file_sha256
from torchmetrics_majorscore.modalities import Video
from torchmetrics_majorscore.networks import sync_tiny
from torchmetrics_majorscore.networks.synchrony import SharedSync, load_sync
from torchmetrics_majorscore.training import world
from torchmetrics_majorscore.training.generator import autoencoder, sounds, vocoder
from torchmetrics_majorscore.training.generator.features import Features, read_features
from torchmetrics_majorscore.training.generator.rates import Rates
from torchmetrics_majorscore.training.generator.sounds import Sounds, load_sounds
from torchmetrics_majorscore.training.world.captions import caption
from torchmetrics_majorscore.training.world.scene import Scene, Split
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import render_sounds

CLIP_FPS = 8.0
RATES = Rates(25.0, CLIP_FPS, 25.0)
"""Tokens of these features per second."""
MODULES = (sys.modules[__name__], sounds, vocoder, autoencoder, sync_tiny)
"""Whose code the features depend on, beside that of the world."""
SCALES = {"clip": 128.0**0.5, "sync": 4.0}
"""Times which features have a deviation of about 1, as the text tower's states do: gated layers square small values."""
AT_ONCE = 16
CPU = torch.device("cpu")


def kept_features(
    path: Path,
    scenes: Sequence[Scene],
    split: Split,
    *,
    seen: bool = True,
    advance: Callable[[], object] = lambda: None,
) -> Features:
    """Read the features of scenes, or compute and keep them: a file of anything else is replaced.

    Args:
        path: of the safetensors file.
        scenes: and the others, see :func:`embed_scenes`.
        split: whose wordings the captions have.
        seen: whether there is video.
        advance: called for each scene that is computed.
    """
    digest = describe(scenes, split, seen)
    if path.is_file() and (known := read_features(path)).digest == digest:
        return known
    features = embed_scenes(scenes, split, seen=seen, advance=advance)
    features.write(path)
    return features


def describe(scenes: Sequence[Scene], split: Split, seen: bool) -> str:
    """Hash all that the features of scenes depend on: the scenes, how they are rendered, and every network."""
    networks = [load_encoder("clip-tiny").name, load_sync("sync-tiny").name, load_sounds().name]
    scenery = sorted(Path(world.__file__).parent.glob("*.py"))
    sources = [file_sha256(path) for path in (*scenery, *(Path(module.__file__ or "") for module in MODULES))]
    listed = [split, str(seen), *networks, *sources, *map(repr, scenes)]
    return hashlib.sha256("\n".join(listed).encode()).hexdigest()


def embed_scenes(
    scenes: Sequence[Scene], split: Split, *, seen: bool = True, advance: Callable[[], object] = lambda: None
) -> Features:
    """Render scenes and embed them.

    Args:
        scenes: N scenes.
        split: whose wordings the captions have.
        seen: whether there is video; without, ``clip`` and ``sync`` have no tokens.
        advance: called for each scene.

    Returns:
        Latents of the sounds, (N, 100, 20); vectors of CLIP for 8 frames a second, (N, 32, 128), and of ``sync-tiny``
        for 25, (N, 100, 64), both of one video at 25 frames per second and times :data:`SCALES`; states of CLIP's text
        tower, (N, 32, 96).
    """
    voice, clip, sync = load_sounds(), load_encoder("clip-tiny"), load_sync("sync-tiny")
    columns: list[tuple[Tensor, ...]] = []
    for at in range(0, len(scenes), AT_ONCE):
        part = scenes[at : at + AT_ONCE]
        columns.append((*_latents(voice, part), *_seen(clip, sync, part if seen else [], len(part))))
        for _ in part:
            advance()
    mean, std, frames, motion = (torch.cat(column) for column in zip(*columns, strict=True))
    text = _states(clip, [*(caption(scene, split) for scene in scenes), ""])
    return Features(
        latent_mean=mean,
        latent_std=std,
        clip=SCALES["clip"] * frames,
        sync=SCALES["sync"] * motion,
        text=text[:-1].contiguous(),
        empty_text=text[-1].clone(),
        ids=tuple(scene.id for scene in scenes),
        digest=describe(scenes, split, seen),
    )


def _latents(voice: Sounds, scenes: Sequence[Scene]) -> tuple[Tensor, Tensor]:
    with exact_float32(CPU):
        return voice.encode(render_sounds(scenes))


def _seen(clip: Any, sync: SharedSync, scenes: Sequence[Scene], count: int) -> tuple[Tensor, Tensor]:
    """Give what CLIP and ``sync-tiny`` see in scenes; no tokens of ``count`` samples without scenes."""
    if not scenes:
        return torch.zeros(count, 0, 128), torch.zeros(count, 0, 64)
    videos = render_frames(scenes, sync.fps)
    picked = torch.stack(Video(CLIP_FPS).check(videos, sync.fps).samples)
    pictures = clip.encode("video", list(picked.flatten(0, 1)[:, None]), CPU)
    motion = torch.stack(sync.encode_video(list(videos), CPU))
    return pictures.view(*picked.shape[:2], -1), motion[:, :, 0]


def _states(clip: Any, captions: Sequence[str]) -> Tensor:
    own = clip.on(CPU)
    with exact_float32(CPU):
        states: Tensor = own.network.states(own.tokenizer(list(captions)).long())
    return states
