"""The sounds of the generator: its autoencoder and vocoder together, their weights, and the recipe that trains them."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from tqdm import tqdm

from torchmetrics_majorscore.encoders.base import clean_build, load_strictly
from torchmetrics_majorscore.encoders.checkpoints import read_tensors, write_tensors
from torchmetrics_majorscore.encoders.handle import state_digest
from torchmetrics_majorscore.training.descent import descend
from torchmetrics_majorscore.training.generator.autoencoder import STRIDE, Autoencoder, surprise
from torchmetrics_majorscore.training.generator.vocoder import HOP, SAMPLE_RATE, Vocoder
from torchmetrics_majorscore.training.towers import training_scenes
from torchmetrics_majorscore.training.world.scene import Scene
from torchmetrics_majorscore.training.world.sound import render_sounds

BUNDLE, WEIGHTS = Path(__file__).with_name("sounds-tiny"), "autoencoder.safetensors"
SEED = 940
"""Of the scenes; no other recipe draws by this one."""
AT_ONCE = 48


class Sounds(nn.Module):
    """Waveforms of 48 kHz to latents, 25 a second, and back."""

    sample_rate = SAMPLE_RATE
    step = HOP * STRIDE
    """Samples of a latent."""

    def __init__(self) -> None:
        super().__init__()
        self.vocoder, self.autoencoder = Vocoder(), Autoencoder()
        self.name = "sounds-tiny"

    def mels(self, waveforms: Tensor) -> Tensor:
        """Map waveforms (B, S) to log-mels (B, N_MELS, 2 L), L = ceil(S / step); what is missing is silent."""
        whole = -(-waveforms.shape[1] // self.step) * self.step
        return self.vocoder.analyse(pad(waveforms, (0, whole - waveforms.shape[1])))[..., :-1]

    def encode(self, waveforms: Tensor) -> tuple[Tensor, Tensor]:
        """Map waveforms (B, S) in [-1, 1] to means and standard deviations of latents, (B, L, C) each."""
        return self.autoencoder.encode(self.mels(waveforms))

    def decode(self, latents: Tensor) -> Tensor:
        """Map latents (B, L, C) to waveforms (B, step * L) in [-1, 1]."""
        mels = self.autoencoder.decode(latents)
        return self.vocoder.synthesise(torch.cat([mels, mels[..., -1:]], dim=-1))


def load_sounds(folder: str | Path = BUNDLE) -> Sounds:
    """Give the autoencoder of this package, or of a folder, with its vocoder, frozen.

    Raises:
        FileNotFoundError: there is no ``autoencoder.safetensors``.
        ValueError: the file has other tensors.
    """
    with clean_build():
        sounds = Sounds()
        load_strictly(sounds.autoencoder, read_tensors(Path(folder) / WEIGHTS), WEIGHTS)
    sounds.name = f"sounds-tiny@{state_digest(sounds)}"
    return sounds.eval().requires_grad_(False)


@dataclass(frozen=True)
class SoundOptions:
    """The recipe of the autoencoder; the defaults made the weights in this package.

    Args:
        renders: scenes of each training combination.
        steps: batches by the mean absolute error of log-mels, in standard deviations.
        sure_steps: batches more by their likelihood.
        batch_size: sounds of a batch.
        window: mels of each sound, at a drawn place.
        learning_rate: highest one of the cosine schedule.
        divergence: weight of the divergence of a latent from the standard normal distribution, beside either.
        seed: of the scenes, the first weights and the batches; below 10.
    """

    renders: int = 8
    steps: int = 1800
    sure_steps: int = 600
    batch_size: int = 16
    window: int = 96
    learning_rate: float = 2e-3
    divergence: float = 0.005
    seed: int = 0


def train_sounds(folder: Path, options: SoundOptions) -> None:
    """Train the autoencoder from its seed and write ``autoencoder.safetensors``."""
    scenes = training_scenes(SEED + options.seed, options.renders)
    with clean_build():
        torch.manual_seed(options.seed)
        sounds = Sounds()
        fit(sounds.autoencoder, render_mels(sounds, scenes), options)
    tensors = {name: x.half() for name, x in sounds.autoencoder.state_dict().items()}
    write_tensors(folder / WEIGHTS, tensors, {"recipe": str(asdict(options))})


def render_mels(sounds: Sounds, scenes: Sequence[Scene]) -> Tensor:
    """Render the log-mels of scenes, float16, (N, N_MELS, 2 L)."""
    parts = tqdm(range(0, len(scenes), AT_ONCE), "sounds", unit_scale=AT_ONCE)
    return torch.cat([sounds.mels(render_sounds(scenes[at : at + AT_ONCE])).half() for at in parts])


def fit(autoencoder: Autoencoder, mels: Tensor, options: SoundOptions) -> None:
    """Train the autoencoder in place on log-mels (N, N_MELS, 2 L): first what is decoded, then how sure it is too."""
    autoencoder.mean.copy_(mels.float().mean(dim=(0, 2))[:, None])
    autoencoder.deviation.copy_(mels.float().std(dim=(0, 2))[:, None])

    def error(batch: Tensor, latents: Tensor) -> Tensor:
        return ((autoencoder.spread(latents)[0] - batch) / autoencoder.deviation).abs().mean()

    def doubt(batch: Tensor, latents: Tensor) -> Tensor:
        return surprise(batch, *autoencoder.spread(latents)).mean()

    _fit(autoencoder, mels, error, options.steps, options)
    _fit(autoencoder, mels, doubt, options.sure_steps, options)


def _fit(
    autoencoder: Autoencoder,
    mels: Tensor,
    error: Callable[[Tensor, Tensor], Tensor],
    steps: int,
    options: SoundOptions,
) -> None:
    generator = torch.Generator().manual_seed(options.seed)

    def loss_of(_: int) -> Tensor:
        start = int(torch.randint(mels.shape[-1] - options.window + 1, (), generator=generator))
        rows = torch.randperm(len(mels), generator=generator)[: options.batch_size]
        batch = mels[rows, :, start : start + options.window].float()
        mean, deviation = autoencoder.encode(batch)
        drawn = mean + deviation * torch.randn(mean.shape, generator=generator)
        return error(batch, drawn) + options.divergence * divergence(mean, deviation)

    descend(
        autoencoder.parameters(),
        loss_of,
        "autoencoder",
        steps=steps,
        learning_rate=options.learning_rate,
        weight_decay=0.01,
        clip=1.0,
    )


def divergence(mean: Tensor, deviation: Tensor) -> Tensor:
    """Give the mean divergence of normal distributions from the standard one, in nats a latent."""
    return (0.5 * (mean**2 + deviation**2 - 1.0) - deviation.log()).mean()
