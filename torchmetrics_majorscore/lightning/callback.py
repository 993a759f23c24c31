"""Scores in a training run without a line in the LightningModule."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn
from torch.utils.data import DistributedSampler
from torchmetrics import Metric, MetricCollection
from typing_extensions import Unpack

from torchmetrics_majorscore.encoders import Encoder
from torchmetrics_majorscore.encoders.handle import Handle
from torchmetrics_majorscore.lightning.clips import BestAndWorst, audio_loggers, log_clips
from torchmetrics_majorscore.lightning.inputs import InputReader, check_names, hash_bound, input_reader, take_subset
from torchmetrics_majorscore.metrics.base import SimilarityMetric
from torchmetrics_majorscore.metrics.collection import MAJORScores
from torchmetrics_majorscore.metrics.options import MetricOptions
from torchmetrics_majorscore.metrics.rows import RowMetric

Stage = Literal["val", "test"]


@dataclass
class _Run:
    """One dataloader's pass: its metrics, what it is called, and which samples and clips are kept."""

    scores: MetricCollection
    loader: Any
    suffix: str
    bound: int | None
    clips: BestAndWorst | None

    @property
    def members(self) -> list[Any]:
        return list(self.scores.values(copy_state=False))

    @property
    def judge(self) -> Any:
        """The member by which samples are best and worst."""
        members = [member for member in self.members if isinstance(member, SimilarityMetric)]
        return next((one for one in members if getattr(one, "combine", "") == "average"), members[0])


class MAJORScoreCallback(Callback):
    """Log MAJORScores in validation and test, without a line in the LightningModule.

    Logs ``val/majorscore_average``, ``val/fairscore`` and so on in ``fit`` and ``validate``, ``test/...`` in ``test``,
    for ``ModelCheckpoint(monitor="val/majorscore_average", mode="max")`` and ``EarlyStopping`` to see. Each of several
    dataloaders has its own values, ``val/fairscore/dataloader_idx_1``. The sanity check scores, so that mistakes show
    early, and logs nothing. On any number of ranks the values have the bits of one process, if there are ``ids`` or the
    sampler is an :class:`ExactDistributedSampler`. No weight, row or option gets into the module or its checkpoint.

    Args:
        inputs: where a batch's samples are. A function ``inputs(pl_module, outputs, batch)`` that returns a dict with
            ``video``, ``text``, ``audio``, ``ids`` (or ``embeddings``) as ``update`` takes them, where ``outputs``
            is what ``validation_step`` returned; the dotted path of such a function; or a dict of paths like
            ``{"video": "batch.frames", "text": "batch.caption", "audio": "outputs.audio", "ids": "batch.id"}``, where
            a step is a key, a position or an attribute.
        metrics: metrics of this package, or a collection of them, like :class:`V2AMetrics`; they are copied. None for
            :class:`MAJORScores`. Those that compare with real sounds take ``target_audio`` from the inputs. Distances
            are logged with their numbers of vectors, which are the same in every epoch also with ``max_samples``.
        encoder: for ``metrics=None``: see :class:`MAJORScore`; None is its default.
        every_n_epochs: within ``fit``, score only the n-th, 2 n-th, ... epoch, as ``ModelCheckpoint`` counts with its
            own ``every_n_epochs``: give it the same, for in between the last value stands in ``callback_metrics``.
        max_samples: score about this many samples of each dataset: those whose id has a hash in the lowest
            ``max_samples / len(dataset)``. This depends on the id alone, so the subset is the same in every epoch, in
            any order and on any number of ranks; in return the number is off by about its square root.
        prefix: in front of each name.
        best_and_worst: send the audio of this many best and worst samples (by majorscore_average, or the first metric
            if there is none) to TensorBoard and Weights & Biases, if such a logger is attached.
        offload: move the encoder to the CPU after each validation, so that training has the memory. This concerns
            every metric of the process with that encoder.
        options: for ``metrics=None``: ``sample_rate``, ``fps`` and so on, see :class:`.MetricOptions`. With
            ``cache_conditions`` each dataloader remembers its own in memory; a file is for all, its ids unique.

    Raises:
        ValueError: an option out of range, or options of MAJORScores beside ``metrics``.
        TypeError: a metric that is not of this package.
        ImportError: ``inputs`` is a path that leads nowhere.
    """

    _warned = False

    def __init__(
        self,
        inputs: InputReader | Mapping[str, str] | str,
        metrics: Metric | MetricCollection | None = None,
        *,
        encoder: Encoder | None = None,
        every_n_epochs: int = 1,
        max_samples: int | None = None,
        prefix: str = "{stage}/",
        best_and_worst: int = 0,
        offload: bool = False,
        **options: Unpack[MetricOptions],
    ) -> None:
        if metrics is not None and (encoder is not None or options):
            given = [*(["encoder"] if encoder is not None else []), *options]
            raise ValueError(f"Expected {', '.join(given)} only without metrics, got both: give them to the metrics.")
        _check_counts(every_n_epochs, max_samples, best_and_worst)
        self.inputs = input_reader(inputs)
        self.metrics = _collect(MAJORScores(encoder or "c-mcr", **options) if metrics is None else metrics)
        if best_and_worst and not any(isinstance(member, SimilarityMetric) for member in self.metrics.values()):
            raise ValueError("Expected a metric with a value for each sample for best_and_worst, got none.")
        self.every_n_epochs = every_n_epochs
        self.max_samples = max_samples
        self.prefix = prefix
        self.best_and_worst = best_and_worst
        self.offload = offload
        self._copies: dict[tuple[Stage, int], MetricCollection] = {}
        self._runs: list[_Run] = []

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with no rows."""
        self._runs = []
        stage = _stage(trainer)
        fitting = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        if fitting and (trainer.current_epoch + 1) % self.every_n_epochs:
            return
        loop = trainer.test_loop if stage == "test" else trainer.validate_loop
        if trainer.state.fn == TrainerFn.FITTING:
            loop = trainer.fit_loop.epoch_loop.val_loop
        # trainer.val_dataloaders are those of fit even in a later validate, hence the loop's own; if they run side by
        # side and not one after the other, Lightning gives all batches the index 0.
        loaders = loop._combined_loader.flattened if loop._combined_loader is not None else []
        count = len(loaders) if loop._is_sequential else 1
        listens = self.best_and_worst and bool(audio_loggers(trainer))
        for index in range(count):
            if (stage, index) not in self._copies:
                self._copies[stage, index] = self.metrics.clone()
            scores = self._copies[stage, index]
            scores.to(pl_module.device).reset()
            bound = None if self.max_samples is None else hash_bound(self.max_samples, _size(loaders[index]))
            clips = BestAndWorst(self.best_and_worst, trainer.global_rank) if listens else None
            suffix = f"/dataloader_idx_{index}" if count > 1 else ""
            self._runs.append(_Run(scores, loaders[index], suffix, bound, clips))

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Score a batch."""
        if not self._runs:
            return
        run = self._runs[dataloader_idx]
        samples = self.inputs(pl_module, outputs, batch)
        check_names(samples)
        if samples.get("ids") is None:
            self._warn_of_repeats(trainer, run.loader)
        if run.bound is not None:
            samples = take_subset(samples, run.bound)
        # Also without samples: the rank then takes part in the sync like one that has been updated.
        run.scores.update(**samples)
        if run.clips and samples.get("audio") is not None:
            judge = run.judge
            scores = judge._score(judge.values[-1][:, judge._places].double())
            run.clips.add(scores, samples["audio"], samples.get("ids"))

    def _warn_of_repeats(self, trainer: Trainer, loader: Any) -> None:
        sampler = getattr(getattr(loader, "batch_sampler", None), "sampler", getattr(loader, "sampler", None))
        if self._warned or trainer.world_size == 1 or not isinstance(sampler, DistributedSampler):
            return
        size: int = len(sampler.dataset)  # type: ignore[arg-type]
        if sampler.total_size > size:
            self._warned = True
            rank_zero_warn(
                f"Expected ids, since the sampler repeats {sampler.total_size - size} of {size} samples to make ranks "
                "even, got none, so repeats count twice: add ids to the inputs, or use ExactDistributedSampler."
            )

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the values."""
        prefix = self.prefix.format(stage=_stage(trainer))
        # Here and not with each batch: a rank without batches has to take part. Lightning computes, and resets, what
        # is logged; metric_attribute only keeps it from looking for the metric in the module.
        for run in self._runs if not trainer.sanity_checking else ():
            run.scores.compute()  # in one sync; each member keeps its value for Lightning
            for name, metric in run.scores.items(keep_base=False, copy_state=False):
                pl_module.log(f"{prefix}{name}{run.suffix}", metric, add_dataloader_idx=False, metric_attribute=name)
            if run.clips:
                for order, clips in run.clips.gather(trainer).items():
                    if trainer.is_global_zero:
                        tag = f"{prefix}{order}{run.suffix}"
                        log_clips(audio_loggers(trainer), tag, clips, run.judge.sample_rate, trainer.global_step)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the memory back."""
        if trainer.sanity_checking:
            for run in self._runs:
                run.scores.reset()
        self._runs = []
        if self.offload:
            for handle in {handle for member in self.metrics.values() for handle in _handles(member)}:
                handle.offload()

    on_test_start = on_validation_start
    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end
    on_test_end = on_validation_end


def _stage(trainer: Trainer) -> Stage:
    return "test" if trainer.testing else "val"


def _check_counts(every_n_epochs: int, max_samples: int | None, best_and_worst: int) -> None:
    if every_n_epochs < 1 or best_and_worst < 0 or (max_samples is not None and max_samples < 1):
        got = f"{every_n_epochs}, {max_samples} and {best_and_worst}"
        raise ValueError(f"Expected every_n_epochs and max_samples >= 1 and best_and_worst >= 0, got {got}.")


def _handles(member: Any) -> list[Handle[Any]]:
    """Give the handles on what a metric encodes with."""
    if isinstance(member, SimilarityMetric):
        return [space.encoder for space in member._spaces if space.encoder]
    return [member.hearing.network] if getattr(member, "hearing", None) else []


def _collect(metrics: Metric | MetricCollection) -> MetricCollection:
    if isinstance(metrics, Metric):
        metrics = MetricCollection({type(metrics).__name__.lower(): metrics})
    for member in metrics.values():
        if not isinstance(member, RowMetric):
            raise TypeError(f"Expected metrics of this package, got {type(member).__name__}.")
    return metrics


def _size(loader: Any) -> int:
    dataset: Any = getattr(loader, "dataset", None)
    if not hasattr(dataset, "__len__"):
        raise ValueError(f"Expected a dataset with a length for max_samples, got {type(dataset).__name__}.")
    return len(dataset)
