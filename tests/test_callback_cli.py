"""docs/cli.yaml runs with LightningCLI."""

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from lightning.pytorch import LightningDataModule
from tiny import SAMPLE_RATE, TinyEncoder
from toy_training import IGNORED, Generator, as_bits, expected, loader

from torchmetrics_majorscore.encoders import SharedEncoder
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.table import ENCODERS
from torchmetrics_majorscore.lightning import MAJORScoreCallback

CONFIG = Path(__file__).parents[1] / "docs/cli.yaml"
pytestmark = [
    pytest.mark.skipif(find_spec("jsonargparse") is None, reason="needs jsonargparse"),
    *(pytest.mark.filterwarnings(line) for line in IGNORED),
]
KEYS = {"frames": "video", "caption": "text", "sound": "audio", "id": "ids"}


class VideoToAudio(Generator):
    def validation_step(self, batch, batch_idx):
        return {"audio": batch["sound"]}


class Clips(LightningDataModule):
    def train_dataloader(self):
        clips = loader()
        take = clips.collate_fn
        clips.collate_fn = lambda rows: {key: take(rows)[name] for key, name in KEYS.items()}
        return clips

    val_dataloader = train_dataloader


@pytest.fixture
def project(monkeypatch):
    """A project with the names of the config, and a tiny encoder under the name c-mcr."""
    module = ModuleType("my_project")
    for part in (VideoToAudio, Clips):
        monkeypatch.setattr(part, "__module__", "my_project")
        setattr(module, part.__name__, part)
    monkeypatch.setitem(sys.modules, "my_project", module)
    tiny = SimpleNamespace(
        find_weights=lambda weights: Weights("tiny"),
        build=lambda weights, pool: TinyEncoder().eval(),
        modalities=TinyEncoder.modalities,
        bundle=None,
        frame_size=None,
        read_rates=lambda weights: (SAMPLE_RATE, 1.0),
        per_pair={},
    )
    monkeypatch.setitem(ENCODERS, "c-mcr", tiny)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setenv("JSONARGPARSE_DEPRECATION_WARNINGS", "off")  # of what Lightning calls
    monkeypatch.setattr(SharedEncoder, "offload", lambda self: None, raising=False)


def test_config_runs(project, tmp_path, one_thread):
    from lightning.pytorch.cli import LightningCLI

    few = {"max_epochs": 2, "accelerator": "cpu", "logger": "false", "enable_progress_bar": "false"}
    few |= {"default_root_dir": tmp_path, "enable_model_summary": "false"}
    options = [f"--trainer.{name}={value}" for name, value in few.items()]
    cli = LightningCLI(args=["fit", f"--config={CONFIG}", *options], save_config_callback=None)
    assert any(isinstance(callback, MAJORScoreCallback) for callback in cli.trainer.callbacks)
    assert as_bits(cli.trainer.callback_metrics) == expected()
    assert cli.trainer.checkpoint_callback.best_model_path
