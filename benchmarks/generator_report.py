"""What a trained generator of the embedded world reaches on held-out scenes; `generator_training.py` prints it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from generator import Clips as Draw
from generator import hear, measure
from torch import Tensor

from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.encoders.checkpoints import read_tensors, write_tensors
from torchmetrics_majorscore.networks.synchrony import load_sync
from torchmetrics_majorscore.statistics.consistency import derange
from torchmetrics_majorscore.training.generator.clips import Clips, render_clips
from torchmetrics_majorscore.training.generator.data import Samples
from torchmetrics_majorscore.training.generator.features import Features
from torchmetrics_majorscore.training.generator.flow import sample
from torchmetrics_majorscore.training.generator.module import draw_noise, has_bf16
from torchmetrics_majorscore.training.generator.sounds import Sounds, load_sounds
from torchmetrics_majorscore.training.world.scene import KINDS, Scene, Split
from torchmetrics_majorscore.training.world.sound import render_sounds

CPU = torch.device("cpu")


def judge(name: str, scenes: Sequence[Scene], clips: Clips, sounds: dict[str, Tensor]) -> None:
    """Print what sounds reach: a row each."""
    encoder, sync = load_encoder("c-mcr-tiny"), load_sync("sync-tiny")
    joint = {
        "video": encoder.encode("video", list(clips.frames[:, :: sync.fps]), CPU),
        "text": encoder.encode("text", list(clips.captions), CPU),
    }
    seen = sync.encode_video(list(clips.frames), CPU)
    draw = Draw(list(scenes), clips.sounds, hear(clips.sounds), joint, seen, 0)
    kinds = torch.tensor([KINDS.index(scene.kind) for scene in scenes])
    found = {one: measure(draw, own) for one, own in sounds.items()}
    low, high, top = (float(found[one]["majorscore"].mean()) for one in ("shuffled", "true", "vocoded"))
    print(f"\n{name}, {len(scenes)} clips\n")
    print("| sounds | MAJORScore | gap closed | of the vocoded gap | kind | KL | DeSync | onset F1 |")
    print("|---|---|---|---|---|---|---|---|")
    for one, own in found.items():
        score = float(own["majorscore"].mean())
        cells = [
            f"{score:.3f}",
            f"{(score - low) / (high - low):.0%}",
            f"{(score - low) / (top - low):.0%}",
            f"{float((own['logits'].argmax(dim=-1) == kinds).float().mean()):.0%}",
            f"{float(own['kl_zero_shot'].mean()):.2f}",
            f"{float(own['desync_tiny'].mean()):.3f}",
            f"{float(own['onset_f1'].nanmean()):.2f}",
        ]
        print(f"| {one} | {' | '.join(cells)} |", flush=True)


def generated(
    network: Any, sounds: Sounds, features: Features, *, without: str = "", take: int = 0, **options: Any
) -> Tensor:
    """Generate sounds for features, 16 at once.

    Args:
        network: trained.
        sounds: latents to waveforms.
        features: of N clips.
        without: "video", "text" or "both" for none of that.
        take: another one begins with other noise.
        options: of :func:`.sample`.
    """
    held, parts = Samples([features]), []
    for at in range(0, len(features), 16):
        rows = range(at, min(at + 16, len(features)))
        prompt = held.batch(rows).prompt
        all_of_them = torch.ones_like(prompt.seen)
        prompt = prompt.drop(all_of_them & (without in ("video", "both")), all_of_them & (without in ("text", "both")))
        ids = [features.ids[row] + f"-{take}" * bool(take) for row in rows]
        noise = draw_noise(ids, features.latent_mean.shape[1], network.sizes.latent)
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16(CPU)):
            latents = sample(network, prompt, noise, **options)
        parts.append(sounds.decode(latents.float()))
    return torch.cat(parts)


def training_sounds(folder: Path, scenes: Sequence[Scene]) -> Tensor:
    """Give the vectors by ``clap-tiny`` of the sounds that are learned from, (N, D), computed once."""
    path, clap = folder / "heard.safetensors", load_encoder("clap-tiny")
    if not path.is_file():
        parts = [scenes[at : at + 16] for at in range(0, len(scenes), 16)]
        heard = torch.cat([clap.encode("audio", list(render_sounds(part)), CPU) for part in parts])
        write_tensors(path, {"heard": heard})
    return read_tensors(path)["heard"]


def show_nearest(known: Tensor, sounds: dict[str, Tensor]) -> None:
    """Print how similar the most similar of the known sounds is: copies would be nearer to it than true sounds are."""
    clap = load_encoder("clap-tiny")
    print("\n| sounds | nearest of the training sounds | its 95 % quantile | nearer than the true sound's |")
    print("|---|---|---|---|")
    found = {one: (clap.encode("audio", list(own), CPU) @ known.T).amax(dim=-1) for one, own in sounds.items()}
    for one, own in found.items():
        nearer = float((own > found["true"]).float().mean())
        print(f"| {one} | {float(own.mean()):.3f} | {float(own.quantile(0.95)):.3f} | {nearer:.0%} |", flush=True)


@torch.no_grad()
def report(
    network: Any,
    folder: Path,
    split: Split,
    learned: Sequence[Scene],
    scenes: Sequence[Scene],
    features: Features,
    guidances: Sequence[float],
) -> None:
    """Judge a trained network on held-out scenes with their features, beside the scenes that it learned from."""
    sounds, clips = load_sounds(), render_clips(scenes, split)
    shuffled = torch.as_tensor(derange([scene.kind for scene in scenes], 0))
    own = {
        "shuffled": clips.sounds[shuffled],
        "true": clips.sounds,
        "through log-mels": sounds.vocoder.synthesise(sounds.vocoder.analyse(clips.sounds)),
        "vocoded": sounds.decode(sounds.encode(clips.sounds)[0]),
    }
    own |= {f"generated, w = {w:g}": generated(network, sounds, features, guidance=w) for w in guidances}
    judge(split, scenes, clips, own)
    show_nearest(training_sounds(folder, learned), own)
