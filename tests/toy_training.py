"""A user's module that generates audio, data and a Trainer for it, and the values that a callback should log."""

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import Logger
from tiny import RAW, TinyEncoder, bits, make_samples, take
from torch import nn
from torch.utils.data import DataLoader

from torchmetrics_majorscore import MAJORScores
from torchmetrics_majorscore.lightning import MAJORScoreCallback

COUNT = 7
SAMPLES = make_samples(COUNT)
PATHS = {"video": "batch.video", "text": "batch.text", "audio": "outputs.audio.0", "ids": "batch.ids"}
IGNORED = [
    # Lightning's own advice and torch's deprecation within it.
    "ignore:The .*dataloader.* does not have many workers",
    "ignore:.isinstance.treespec, LeafSpec.. is deprecated",
    "ignore:The number of training batches .* is smaller than the logging interval",
    "ignore:Checkpoint directory .* exists and is not empty",
    "ignore:.* have a positive product of negative similarities:UserWarning",
]


class Generator(LightningModule):
    """A user's module that knows nothing of scores; what it generates changes with the epoch."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))

    def training_step(self, batch):
        return self.net(torch.ones(4, 2)).square().mean()

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.net(torch.ones(1, 2))
        fitting = self.trainer.state.fn == "fit"
        return {"audio": [generate(batch["audio"], self.current_epoch if fitting else 0)]}

    test_step = validation_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class History(Logger):
    """Keeps what is logged."""

    name, version = "history", 0

    def __init__(self):
        super().__init__()
        self.logged = []

    def log_hyperparams(self, params):
        pass

    def log_metrics(self, metrics, step=None):
        self.logged.append({name: value for name, value in metrics.items() if name != "epoch"})


class Silent(Logger):
    """The parts of a logger that need a package or a server, left out."""

    name, version, log_dir, _prefix = "silent", 0, None, ""

    def __init__(self):
        Logger.__init__(self)
        self._kept = Experiment()

    @property
    def experiment(self):
        return self._kept

    def log_hyperparams(self, params):
        pass

    def log_metrics(self, metrics, step=None):
        self.experiment.log(metrics)

    save = finalize = log_graph = lambda self, *args: None


class Experiment:
    def __init__(self):
        self.audio, self.text, self.logged = {}, {}, []

    def add_audio(self, tag, snd_tensor, global_step=None, sample_rate=44_100):
        self.audio[tag] = snd_tensor, sample_rate

    def add_text(self, tag, text_string, global_step=None):
        self.text[tag] = text_string

    def log(self, metrics):
        self.logged.append(metrics)


class Board(Silent, TensorBoardLogger):
    pass


class Bias(Silent, WandbLogger):
    pass


def generate(audio, epoch):
    return [waveform * 0.5**epoch for waveform in audio]


def read(pl_module, outputs, batch):
    return {**batch, "audio": outputs["audio"][0]}


def loader(rows=range(COUNT), size=2, **options):
    return DataLoader(rows, batch_size=size, collate_fn=lambda rows: take(SAMPLES, rows), **options)


def make_trainer(folder, *callbacks, logger=False, devices=1, **options):
    return Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        default_root_dir=folder,
        callbacks=list(callbacks),
        logger=logger,
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def expected(rows=range(COUNT), prefix="val/", epoch=0, suffix=""):
    """Give the bits that one process gets out of one batch."""
    scores = MAJORScores(TinyEncoder(), prefix=prefix, postfix=suffix, **RAW)
    samples = take(SAMPLES, list(rows))
    scores.update(**{**samples, "audio": generate(samples["audio"], epoch)})
    return {name: bits(value) for name, value in scores.compute().items()}


def as_bits(metrics):
    return {name: bits(torch.as_tensor(value, dtype=torch.float32)) for name, value in metrics.items()}


def make(inputs=PATHS, **options):
    return MAJORScoreCallback(inputs, encoder=TinyEncoder(), **RAW, **options)


def validated(folder, callback, loaders=None):
    trainer = make_trainer(folder, callback)
    trainer.validate(Generator(), loader() if loaders is None else loaders, verbose=False)
    return as_bits(trainer.callback_metrics)
