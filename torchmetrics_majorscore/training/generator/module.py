"""The generator in training: MMAudio's recipe around the network, the whole table of metrics at each validation.

Source: Cheng et al., "MMAudio", CVPR 2025, supplement, section H; what the public code does beside it is said where it
is done.
"""

import dataclasses
import time
import zlib
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from torchmetrics_majorscore.encoders.resample import resample
from torchmetrics_majorscore.functional import detect_onsets
from torchmetrics_majorscore.functional.onset_detection import SAMPLE_RATE as ONSET_RATE
from torchmetrics_majorscore.metrics import OnsetScores, V2AMetrics
from torchmetrics_majorscore.training.generator.averaging import PowerAverage
from torchmetrics_majorscore.training.generator.checkpoint import check_sizes
from torchmetrics_majorscore.training.generator.data import Batch
from torchmetrics_majorscore.training.generator.flow import GUIDANCE, STEPS, draw_times, flow_loss, sample
from torchmetrics_majorscore.training.generator.network import GeneratorNetwork
from torchmetrics_majorscore.training.generator.prompt import Prompt
from torchmetrics_majorscore.training.generator.sizes import GeneratorSizes

ONSET_TOLERANCE = 0.07


class VideoToAudio(LightningModule):
    """Learn to generate sounds, and log ``val/...``: what :class:`.V2AMetrics` gives, and onset scores.

    It draws its random numbers by seed, step and rank, so that a run that goes on from a checkpoint of an epoch's end
    goes on as if it had not been stopped. bf16 is used where the processor has it.

    Args:
        decoder: latents (B, L, C) to waveforms (B, S): its ``decode`` and ``sample_rate``; frozen, in no checkpoint.
        metrics: of the validation, with ``cache_conditions``, see :class:`.V2AMetrics`; None for no validation.
        sizes: of the network; None for those of MMAudio-S-16kHz.
        steps: optimizer steps of the whole training, for the two steps down of the learning rate.
        learning_rate: highest one.
        warm_up: steps.
        drop: probability that a sample loses its video, and that it loses its caption.
        width: of the average of the weights, see :func:`.power_of`.
        guidance: of samples at validation.
        euler_steps: of samples at validation.
        seed: of all draws.
    """

    def __init__(
        self,
        decoder: nn.Module,
        metrics: V2AMetrics | None = None,
        sizes: GeneratorSizes | None = None,
        steps: int = 300_000,
        learning_rate: float = 1e-4,
        warm_up: int = 1_000,
        drop: float = 0.1,
        width: float = 0.05,
        guidance: float = GUIDANCE,
        euler_steps: int = STEPS,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.network = GeneratorNetwork(sizes or GeneratorSizes())
        self.average = PowerAverage(self.network, width)
        self.metrics = metrics
        self.onsets = OnsetScores(tolerance=ONSET_TOLERANCE)
        self._decoder: Any = (decoder.eval().requires_grad_(False),)  # in a tuple it is no part of the checkpoint
        self.steps, self.learning_rate, self.warm_up = steps, learning_rate, warm_up
        self.drop, self.seed = drop, seed
        self.guidance, self.euler_steps = guidance, euler_steps
        self.seconds = {"all": 0.0, "validation": 0.0}

    def setup(self, stage: str) -> None:
        """Take from the training data what is constant in the network."""
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        if stage == "fit":
            mean, std = data.latent_statistics
            self.network.latent_mean.copy_(mean)
            self.network.latent_std.copy_(std)
            if self.network.sizes.missing == "learned":
                self.network.empty_text.data.copy_(data.samples.features[0].empty_text)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Compute the loss of a batch.

        Raises:
            ValueError: no sample of the batch has a video or a caption.
        """
        prompt, count = batch.prompt, len(batch.latent_mean)
        if not (prompt.seen | prompt.told).any():
            raise ValueError("Expected a batch with videos or captions, got one in which no sample has either.")
        draws = torch.Generator().manual_seed((self.seed * 1_000_003 + self.global_step) * 1_009 + self.global_rank)

        def like(x: Tensor) -> Tensor:
            return torch.randn(x.shape, generator=draws).to(x)

        lost = (torch.rand(2, count, generator=draws) < self.drop).to(self.device)
        x1 = self.network.normalise(batch.latent_mean + batch.latent_std * like(batch.latent_mean))
        t = draw_times(count, draws).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=has_bf16(self.device)):
            conditions = self.network.condition(prompt.drop(lost[0], lost[1]))
            loss = flow_loss(lambda x, at: self.network(x, at, conditions).float(), like(x1), x1, t).mean()
        self.log("loss", loss.detach(), prog_bar=True, batch_size=count)
        return loss

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Clip the norm of the gradient at 1, as MMAudio does.

        Raises:
            ArithmeticError: it is not finite. The checkpoint of the last validation stays as it is.
        """
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        if not norm.isfinite():
            raise ArithmeticError(
                f"Expected a finite loss and gradient, got {norm.item()} at step {self.global_step}; the checkpoint of "
                "the last validation is good. A lower learning rate may help."
            )

    def on_train_batch_end(self, *_: Any) -> None:
        """Take the step's weights into the average."""
        self.average.update(self.network)

    def configure_optimizers(self) -> Any:
        """AdamW with MMAudio's betas; warm-up, then a tenth from 80 % of the steps on, a hundredth from 90 % on."""
        trained = [value for value in self.network.parameters() if value.requires_grad]
        optimizer = torch.optim.AdamW(trained, self.learning_rate, betas=(0.9, 0.95), weight_decay=1e-6, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._share_of_rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _share_of_rate(self, step: int) -> float:
        down = sum(step >= share * self.steps for share in (0.8, 0.9))
        return float(min(1.0, (step + 1) / (self.warm_up + 1)) * 0.1**down)

    @torch.no_grad()
    def generate(self, prompt: Prompt, length: int, ids: Sequence[str], **options: Any) -> Tensor:
        """Generate sounds with the network as it is.

        Args:
            prompt: of B samples.
            length: of the latent.
            ids: of the samples; a sample's noise depends on its id alone.
            options: of :func:`.sample`.

        Returns:
            Waveforms (B, S).
        """
        noise = draw_noise(ids, length, self.network.sizes.latent).to(self.device)
        (decoder,) = self._decoder
        waveforms: Tensor = decoder.to(self.device).decode(sample(self.network, prompt, noise, **options))
        return waveforms

    def on_validation_epoch_start(self) -> None:
        """Begin to take the time."""
        self._validation_began = time.monotonic()

    def validation_step(self, batch: dict[str, Any], batch_index: int) -> None:
        """Generate with the averaged weights, and score."""
        mean, ids = batch["features"].latent_mean, batch["ids"]
        options: Any = {"guidance": self.guidance, "steps": self.euler_steps}
        with self.average.inside(self.network):
            audio = self.generate(batch["features"].prompt, mean.shape[1], ids, **options)
        if self.metrics is not None:
            given = {name: batch[name] for name in ("video", "text", "target_audio", "ids")}
            self.metrics.update(audio=audio, **given)
        (decoder,) = self._decoder
        heard = [detect_onsets(resample(one, decoder.sample_rate, ONSET_RATE)) for one in audio.cpu()]
        self.onsets.update(heard, [times.cpu() for times in batch["onsets"]], ids=ids)

    def on_validation_epoch_end(self) -> None:
        """Log the table, and what it cost."""
        found = self.metrics.compute() if self.metrics is not None else {}
        found |= {f"val/{name}": value for name, value in self.onsets.compute().items()}
        for metric in (self.metrics, self.onsets):
            if metric is not None:
                metric.reset()
        self.log_dict({name: value.float() for name, value in found.items()}, sync_dist=True)
        self.seconds["validation"] += time.monotonic() - self._validation_began

    def on_train_start(self) -> None:
        """Begin to take the time."""
        self._began = time.monotonic() - self.seconds["all"]

    def on_validation_end(self) -> None:
        """Say the share of the time that validation has taken so far."""
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            self._take_time()
            share = self.seconds["validation"] / self.seconds["all"]
            rank_zero_info(f"step {self.global_step}: validation has taken {share:.1%} of {self.seconds['all']:.0f} s")

    def _take_time(self) -> None:
        self.seconds["all"] = time.monotonic() - self._began

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what Lightning does not know."""
        self._take_time()  # Lightning writes it before on_validation_end
        checkpoint["generator"] = {"sizes": dataclasses.asdict(self.network.sizes), "seconds": self.seconds}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from there.

        Raises:
            ValueError: a checkpoint of other sizes.
        """
        kept = checkpoint["generator"]
        check_sizes(GeneratorSizes(**kept["sizes"]), self.network.sizes)
        self.seconds = dict(kept["seconds"])


def draw_noise(ids: Sequence[str], length: int, channels: int) -> Tensor:
    """Draw the noise that samples begin with, (B, length, channels), each by its id alone."""
    seeds = [zlib.crc32(one.encode()) for one in ids]
    return torch.stack([torch.randn(length, channels, generator=torch.Generator().manual_seed(n)) for n in seeds])


def has_bf16(device: torch.device) -> bool:
    """Tell whether the processor computes in bfloat16 itself."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
