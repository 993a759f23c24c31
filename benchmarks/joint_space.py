"""Ways to compare pictures, captions and sounds of the embedded world, and what is measured of each.

For `embedded_world.py`: C-MCR's joint space, CLIP and CLAP left alone, and a relative representation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.encoders.cmcr import Heads
from torchmetrics_majorscore.functional import fair_score, major_score
from torchmetrics_majorscore.statistics.balance import balance
from torchmetrics_majorscore.statistics.bootstrap import bootstrap
from torchmetrics_majorscore.statistics.consistency import auroc, derange, win_rate
from torchmetrics_majorscore.training.connector import Embeddings
from torchmetrics_majorscore.training.world.captions import caption
from torchmetrics_majorscore.training.world.scene import COMBINATIONS, KINDS, Scene, Split, unseen, with_wrong_attribute

CPU = torch.device("cpu")
ANCHORS = 2000


@dataclass(frozen=True)
class Raw:
    """Embeddings of scenes in CLIP's and CLAP's own spaces: frames (N, T, D), the others (N, D)."""

    frames: Tensor
    audio: Tensor
    clip_text: Tensor
    clap_text: Tensor
    clip_wrong: Tensor
    clap_wrong: Tensor


@dataclass(frozen=True)
class Vectors:
    """Unit vectors of scenes as one method sees them; ``wrong`` are captions with one wrong attribute."""

    video: Tensor
    text_of_video: Tensor
    wrong_of_video: Tensor
    audio: Tensor
    text_of_audio: Tensor
    wrong_of_audio: Tensor
    joint: bool = True


def encode(folder: Path, scenes: Sequence[Scene], frames: Tensor, sounds: Tensor, split: Split) -> Raw:
    """Encode scenes with the CLIP and the CLAP of a bundle, through the code that serves the metrics."""
    clip, clap = load_encoder("clip-tiny", weights=folder), load_encoder("clap-tiny", weights=folder)
    texts = [caption(scene, split) for scene in scenes]
    wrong = [caption(with_wrong_attribute(scene), split) for scene in scenes]
    flat = clip.encode("video", list(frames.flatten(0, 1)[:, None]), CPU)
    return Raw(
        flat.view(*frames.shape[:2], -1),
        clap.encode("audio", list(sounds), CPU),
        clip.encode("text", texts, CPU),
        clap.encode("text", texts, CPU),
        clip.encode("text", wrong, CPU),
        clap.encode("text", wrong, CPU),
    )


def joint(raw: Raw, heads: Heads, text: str) -> Vectors:
    """Project into the joint space; ``text`` is "clip" (as C-MCR) or "mean" of both towers through their heads."""
    with torch.no_grad():
        clip, clap = (lambda x, head=head: normalize(head(x), dim=-1) for head in (heads.Head_B, heads.Head_A))
        video = normalize(clip(raw.frames.flatten(0, 1)).view(*raw.frames.shape[:2], -1).mean(dim=1), dim=-1)
        right, wrong = clip(raw.clip_text), clip(raw.clip_wrong)
        if text == "mean":
            right = normalize(right + clap(raw.clap_text), dim=-1)
            wrong = normalize(wrong + clap(raw.clap_wrong), dim=-1)
        return Vectors(video, right, wrong, clap(raw.audio), right, wrong)


def separate(raw: Raw) -> Vectors:
    """Leave the two spaces alone: CLIPCLAP."""
    video = normalize(raw.frames.mean(dim=1), dim=-1)
    return Vectors(video, raw.clip_text, raw.clip_wrong, raw.audio, raw.clap_text, raw.clap_wrong, joint=False)


def relative(raw: Raw, embeddings: Embeddings) -> Vectors:
    """Describe a vector by its cosines to texts of training, centred: no training (Moschella et al., 2023)."""
    rows = torch.randperm(len(embeddings.text_clip), generator=torch.Generator().manual_seed(0))[:ANCHORS]

    def describe(x: Tensor, anchors: Tensor) -> Tensor:
        cosines = x @ anchors[rows].T
        return normalize(cosines - cosines.mean(dim=-1, keepdim=True), dim=-1)

    clip, clap = embeddings.text_clip, embeddings.text_clap
    right, wrong = describe(raw.clip_text, clip), describe(raw.clip_wrong, clip)
    video = describe(normalize(raw.frames.mean(dim=1), dim=-1), clip)
    return Vectors(video, right, wrong, describe(raw.audio, clap), right, wrong)


def hits(queries: Tensor, items: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Say of each query whether the nearest item of its gallery is its own, and whether it shows the same kind."""
    count = len(COMBINATIONS)
    nearest = torch.stack(
        [(q @ i.T).argmax(dim=-1) for q, i in zip(queries.split(count), items.split(count), strict=True)]
    )
    own, per_kind = torch.arange(count), count // len(KINDS)
    return (
        (nearest == own).flatten().double().numpy(),
        (nearest // per_kind == own // per_kind).flatten().double().numpy(),
    )


def similarities(v: Vectors, text_order: Any = slice(None), *, wrong: bool = False) -> Tensor:
    """Give the video-text and text-audio similarities, (N, 2), with the texts in another order or wrong ones."""
    texts = (v.wrong_of_video, v.wrong_of_audio) if wrong else (v.text_of_video, v.text_of_audio)
    pairs = ((v.video, texts[0][text_order]), (v.audio, texts[1][text_order]))
    return torch.stack([(x * y).sum(dim=-1) for x, y in pairs], dim=-1).double()


def average(values: np.ndarray) -> Any:
    """Bootstrap a mean."""
    return bootstrap(lambda x: x.mean(axis=-1), values)


def measure(v: Vectors, scenes: Sequence[Scene], split: Split) -> dict[str, Any]:
    """Compute everything that the tables show of one method."""
    order = derange([scene.kind for scene in scenes], seed=0)
    consistent, mispaired, wrong = similarities(v), similarities(v, order), similarities(v, wrong=True)
    right, wrong_score = (major_score(s, "average").numpy() for s in (consistent, wrong))
    mispaired_score = major_score(mispaired, "average").numpy()
    result: dict[str, Any] = {
        "V-T R@1": average(hits(v.video, v.text_of_video)[0]),
        "A-T R@1": average(hits(v.audio, v.text_of_audio)[0]),
        "AUROC deranged captions": bootstrap(auroc, right, mispaired_score),
        "wins hard negatives": bootstrap(win_rate, right, wrong_score),
        "consistent": balance(*consistent.T.numpy()),
        "mispaired": balance(*mispaired.T.numpy()),
        "means": [*consistent.mean(dim=0).tolist(), *mispaired.mean(dim=0).tolist()],
    }
    if v.joint:
        own, kind = hits(v.video, v.audio)
        new = np.tile(np.isin(np.arange(len(COMBINATIONS)), unseen(split)), len(scenes) // len(COMBINATIONS))
        true, other = (v.video * v.audio).sum(dim=-1), (v.video * v.audio[order]).sum(dim=-1)
        result |= {
            "V-A R@1": average(own),
            "V-A R@1 unseen": average(own[new]),
            "V-A kind": average(kind),
            "V-A AUROC": bootstrap(auroc, true.double().numpy(), other.double().numpy()),
            "fairscore": fair_score(torch.cat([consistent, true[:, None].double()], dim=-1)).mean().item(),
        }
    return result
