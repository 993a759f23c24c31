"""The recipe of ``sync-tiny``: to find, of all shifts of a scene's own sound, the one that its picture has.

Two windows of one scene, of the picture and of the sound, begin at times that differ by a drawn lag. Their vectors are
compared at every lag, and the loss is the cross-entropy of the true one: the negatives are the same sound, shifted.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from torchmetrics_majorscore.encoders.base import clean_build
from torchmetrics_majorscore.encoders.checkpoints import write_tensors
from torchmetrics_majorscore.encoders.resample import resample
from torchmetrics_majorscore.networks.sync_tiny import BANDS, FPS, PER_FRAME, SAMPLE_RATE, USUAL, SyncTiny, shrink
from torchmetrics_majorscore.training.descent import descend
from torchmetrics_majorscore.training.towers import training_scenes
from torchmetrics_majorscore.training.world.scene import SECONDS, Scene
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import render_sounds
from torchmetrics_majorscore.training.world.timbres import SAMPLE_RATE as RENDERED

SEED = 930
"""Of the scenes; no other recipe draws by this one."""
AT_ONCE = 48
REACH = 5  # pixels and bands


@dataclass(frozen=True)
class SyncOptions:
    """The whole recipe; the defaults made the weights in this package.

    Args:
        renders: scenes of each training combination.
        steps: batches.
        batch_size: scenes of a batch.
        window: frames of picture and sound that are compared.
        learning_rate: highest one of the cosine schedule.
        noise: standard deviation of what is added to log-mels.
        seed: of the scenes, the first weights and the batches; below 10.
    """

    renders: int = 8
    steps: int = 800
    batch_size: int = 32
    window: int = 60
    learning_rate: float = 3e-3
    noise: float = 0.5
    seed: int = 0


def train_sync(folder: Path, options: SyncOptions) -> None:
    """Train the network from its seed and write ``sync-tiny.safetensors``."""
    scenes = training_scenes(SEED + options.seed, options.renders)
    with clean_build():
        torch.manual_seed(options.seed)
        network = SyncTiny()
        fit(network, *render(network, scenes), options)
    tensors = {name: x.half() if x.is_floating_point() else x for name, x in network.state_dict().items()}
    recipe = {"recipe": str(asdict(options))}
    write_tensors(folder / "sync-tiny.safetensors", tensors, recipe)


def render(network: SyncTiny, scenes: list[Scene]) -> tuple[Tensor, Tensor]:
    """Render scenes.

    Returns:
        Frames (N, T, 3, SIZE, SIZE), uint8, and log-mels (N, PER_FRAME * T, BANDS), float16.
    """
    frames, mels = [], []
    for at in tqdm(range(0, len(scenes), AT_ONCE), "scenes", unit_scale=AT_ONCE):
        part = scenes[at : at + AT_ONCE]
        frames += [shrink(video) for video in render_frames(part, FPS)]
        mels += [network.log_mel(resample(sound, RENDERED, SAMPLE_RATE)).half() for sound in render_sounds(part)]
    return torch.stack(frames), torch.stack(mels)


def fit(network: SyncTiny, frames: Tensor, mels: Tensor, options: SyncOptions) -> None:
    """Train the network in place on renders."""
    generator = torch.Generator().manual_seed(options.seed)
    parameters = network.requires_grad_(True).train().parameters()
    most = round(SECONDS * FPS) - options.window

    def loss_of(_: int) -> Tensor:
        rows = torch.randperm(len(frames), generator=generator)[: options.batch_size]
        lags = draw_lags(options.batch_size, most, generator)
        pictures, sounds = crop(frames[rows], mels[rows].float(), lags, options.window, generator)
        seen = network.see(vary(pictures, generator))
        heard = network.hear(disturb(sounds, options.noise, generator))
        return cross_entropy(network.lags(seen, heard, most), lags + most)

    descend(
        parameters,
        loss_of,
        "sync-tiny",
        steps=options.steps,
        learning_rate=options.learning_rate,
        weight_decay=0.05,
    )
    network.eval().requires_grad_(False)


def draw_lags(count: int, most: int, generator: torch.Generator) -> Tensor:
    """Draw by how many frames the sound comes late, -most to most, as often as :meth:`.SyncTiny.lags` expects them."""
    weights = torch.exp(-torch.arange(-most, most + 1).abs() / FPS / USUAL)
    return torch.multinomial(weights, count, replacement=True, generator=generator) - most


def crop(frames: Tensor, mels: Tensor, lags: Tensor, window: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Cut a window out of the picture and the sound of each scene, of the latter ``lags`` frames earlier."""
    free = frames.shape[1] - window - lags.abs()
    starts = (torch.rand(len(lags), generator=generator) * (free + 1)).long() + lags.clamp(min=0)
    steps = torch.arange(window)
    rows = torch.arange(len(lags))[:, None]
    heard = (starts - lags)[:, None] * PER_FRAME + torch.arange(window * PER_FRAME)
    return frames[rows, starts[:, None] + steps], mels[rows, heard]


def vary(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Move videos (B, T, 3, H, W) within the frame, mirror every other one and swap their colours: no time changes."""
    moves = torch.randint(-REACH, REACH + 1, (2,), generator=generator).tolist()
    moved = pictures.roll(moves, dims=(-2, -1))[:, :, torch.randperm(3, generator=generator)]
    mirrored = torch.rand(len(pictures), generator=generator) < 0.5
    return torch.where(mirrored.view(-1, 1, 1, 1, 1), moved.flip(-1), moved)


def disturb(mels: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Move log-mels (B, T, BANDS) by some bands, silence some bands and add noise."""
    moved = mels.roll(int(torch.randint(-REACH, REACH + 1, (), generator=generator)), dims=-1)
    start = int(torch.randint(BANDS, (), generator=generator))
    moved[..., start : start + 2 * REACH] = moved.mean()
    return moved + noise * torch.randn(mels.shape, generator=generator)
