"""Training of the small video network on the embedded world: to name kind, size, tempo and place of what it sees."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from torchmetrics_majorscore.encoders.base import clean_build
from torchmetrics_majorscore.encoders.motion import MotionNetwork, MotionOptions
from torchmetrics_majorscore.training.descent import descend
from torchmetrics_majorscore.training.world.scene import KINDS, PLACES, SIZES, TEMPI, Scene, draw_scenes, unseen
from torchmetrics_majorscore.training.world.sight import render_frames

ATTRIBUTES = {"kind": KINDS, "size": SIZES, "tempo": TEMPI, "place": PLACES}
RENDERED_AT_ONCE = 64


@dataclass(frozen=True)
class MotionTraining:
    """How the network is trained.

    Args:
        renders: scenes of each training combination.
        epochs: rounds through them.
        batch_size: videos per step.
        frames: of a window, at a random place of a video.
        learning_rate: highest one of the schedule.
        seed: of scenes, weights and batches.
    """

    renders: int = 24
    epochs: int = 16
    batch_size: int = 64
    frames: int = 16
    learning_rate: float = 3e-3
    seed: int = 0


def train_motion(options: MotionTraining, network_options: MotionOptions | None = None) -> MotionNetwork:
    """Train the network from its seed; the random state is left as it was.

    Args:
        options: how.
        network_options: sizes of the network.

    Returns:
        The network without its classifier, in eval mode, without gradients.
    """
    sizes = network_options or MotionOptions()
    combinations = [combination for combination in unseen("train") for _ in range(options.renders)]
    scenes = draw_scenes(combinations, 900 + options.seed, "train")
    videos, classes = render_videos(scenes, sizes), attributes_of(scenes)
    with clean_build(), torch.enable_grad():
        torch.manual_seed(options.seed)
        network = MotionNetwork(sizes)
        classifier = nn.Linear(sizes.dim, sum(map(len, ATTRIBUTES.values())))
        _fit(network, classifier, videos, classes, options)
    return network.eval().requires_grad_(False)


def _fit(
    network: MotionNetwork, classifier: nn.Module, videos: Tensor, classes: Tensor, options: MotionTraining
) -> None:
    generator = torch.Generator().manual_seed(options.seed)
    steps = options.epochs * (len(videos) // options.batch_size)
    learned = [*network.parameters(), *classifier.parameters()]
    widths = [len(values) for values in ATTRIBUTES.values()]
    order = torch.empty(0, dtype=torch.int64)

    def loss_of(step: int) -> Tensor:
        nonlocal order
        if step % (len(videos) // options.batch_size) == 0:
            order = torch.randperm(len(videos), generator=generator)
        chosen, order = order[: options.batch_size], order[options.batch_size :]
        first = int(torch.randint(videos.shape[1] - options.frames + 1, (), generator=generator))
        logits = classifier(network(videos[chosen, first : first + options.frames].float() / 255.0))
        parts = zip(logits.split(widths, dim=-1), classes[chosen].unbind(dim=-1), strict=True)
        return torch.stack([cross_entropy(part, own) for part, own in parts]).sum()

    descend(
        learned,
        loss_of,
        "video network",
        steps=steps,
        learning_rate=options.learning_rate,
        weight_decay=0.05,
    )


def render_videos(scenes: list[Scene], options: MotionOptions) -> Tensor:
    """Render the videos of scenes as the network sees them: uint8 (N, T, 3, size, size)."""
    parts = []
    with tqdm(total=len(scenes), desc="videos") as bar:
        for at in range(0, len(scenes), RENDERED_AT_ONCE):
            part = scenes[at : at + RENDERED_AT_ONCE]
            parts.append(render_frames(part, options.fps, options.size))
            bar.update(len(part))
    return torch.cat(parts)


def attributes_of(scenes: list[Scene]) -> Tensor:
    """Give the numbers of kind, size, tempo and place of each scene, int64 (N, 4)."""
    return torch.tensor(
        [[values.index(getattr(scene, name)) for name, values in ATTRIBUTES.items()] for scene in scenes]
    )
