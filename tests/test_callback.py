"""The callback in a Trainer, on one process: what is logged, when, under which names, and what is left alone."""

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.utilities import CombinedLoader
from tiny import RAW, SAMPLE_RATE, TinyEncoder, bits
from toy_training import (
    COUNT,
    IGNORED,
    PATHS,
    SAMPLES,
    Generator,
    History,
    as_bits,
    expected,
    generate,
    loader,
    make,
    make_trainer,
    read,
    validated,
)

from torchmetrics_majorscore import FrechetDistance, MAJORScore, MAJORScores, V2AMetrics
from torchmetrics_majorscore.lightning import MAJORScoreCallback
from torchmetrics_majorscore.lightning.inputs import hash_bound, take_subset
from torchmetrics_majorscore.networks import zero_shot_network

pytestmark = [
    pytest.mark.filterwarnings(line) for line in (*IGNORED, "ignore:.* vectors of .* do not span:UserWarning")
]


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Compare like with like: the last bits of a matrix product may depend on the number of threads."""


@pytest.mark.parametrize("inputs", [PATHS, read, "toy_training.read"], ids=["paths", "function", "dotted"])
def test_values_of_every_stage_are_those_of_its_samples(tmp_path, inputs):
    history, model = History(), Generator()
    trainer = make_trainer(tmp_path, make(inputs), logger=history, max_epochs=2, num_sanity_val_steps=1)
    trainer.fit(model, loader(), loader())
    assert [as_bits(logged) for logged in history.logged] == [expected(), expected(epoch=1)]
    assert as_bits(trainer.callback_metrics) == expected(epoch=1)
    trainer.validate(model, loader(range(4)), verbose=False)
    assert as_bits(trainer.callback_metrics) == expected(range(4))
    trainer.test(model, loader(range(3)), verbose=False)
    assert as_bits(trainer.callback_metrics) == expected(range(3), "test/")


def test_module_and_checkpoint_hold_nothing_of_it(tmp_path):
    model, callback = Generator(), make()
    keys = set(model.state_dict())
    trainer = make_trainer(tmp_path, callback, max_epochs=1)
    trainer.fit(model, loader(), loader())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    checkpoint = torch.load(tmp_path / "a.ckpt", weights_only=False)
    assert set(model.state_dict()) == keys == set(checkpoint["state_dict"])
    assert [type(module).__name__ for module in model.modules()] == ["Generator", "Sequential", "Linear", "BatchNorm1d"]
    assert checkpoint["callbacks"] == callback.state_dict() == {}


def test_several_dataloaders_have_their_own_values(tmp_path):
    callback = make()
    parts = [expected(range(3), suffix="/dataloader_idx_0"), expected(range(3, 7), suffix="/dataloader_idx_1")]
    loaders = [loader(range(3)), loader(range(3, 7))]
    assert validated(tmp_path, callback, loaders) == parts[0] | parts[1]
    trainer = make_trainer(tmp_path, callback, max_epochs=2)
    trainer.fit(Generator(), loader(), loaders)
    assert len(trainer.callback_metrics) == 2 * len(parts[0])
    trainer.validate(Generator(), loader(), verbose=False)
    assert as_bits(trainer.callback_metrics) == expected()


def test_several_dataloaders_side_by_side_are_one(tmp_path):
    combined = CombinedLoader([loader(), loader()], "min_size")
    model = Generator()
    model.validation_step = lambda batches, batch_idx: {"audio": [batches[0]["audio"]]}
    paths = {name: path.replace("batch.", "batch.0.") for name, path in PATHS.items()}
    trainer = make_trainer(tmp_path, make(paths))
    trainer.validate(model, combined, verbose=False)
    assert as_bits(trainer.callback_metrics) == expected()


def test_checkpoints_and_early_stopping_see_the_values(tmp_path):
    name = "val/majorscore_average"
    values = [MAJORScores(TinyEncoder(), **RAW) for _ in range(4)]
    for epoch, scores in enumerate(values):
        scores.update(**{**SAMPLES, "audio": generate(SAMPLES["audio"], epoch)})
    values = [scores.compute()["majorscore_average"].item() for scores in values]
    best = ModelCheckpoint(tmp_path / "best", monitor=name, mode="max", save_top_k=1)
    worst = ModelCheckpoint(tmp_path / "worst", monitor=name, mode="min", save_top_k=1)
    stop = EarlyStopping(name, mode="max", stopping_threshold=values[1] - 1e-6, patience=9)
    trainer = make_trainer(tmp_path, make(), best, worst, stop, max_epochs=4, num_sanity_val_steps=1)
    trainer.fit(Generator(), loader(), loader())
    epochs = next(epoch for epoch, value in enumerate(values) if value > values[1] - 1e-6) + 1
    assert stop.stopped_epoch == epochs - 1
    assert (best.best_model_score.item(), worst.best_model_score.item()) == (max(values[:epochs]), min(values[:epochs]))


def test_every_n_epochs(tmp_path):
    name = "val/majorscore_average"
    kept = ModelCheckpoint(tmp_path / "kept", monitor=name, every_n_epochs=2, save_top_k=-1)
    history = History()
    trainer = make_trainer(tmp_path, make(every_n_epochs=2), kept, logger=history, max_epochs=5)
    trainer.fit(Generator(), loader(), loader())
    assert [as_bits(logged) for logged in history.logged] == [expected(epoch=1), expected(epoch=3)]
    assert len(kept.best_k_models) == 2
    assert validated(tmp_path, make(every_n_epochs=2)) == expected()


class Peek(Callback):
    def on_sanity_check_end(self, trainer, pl_module):
        self.metrics = dict(trainer.callback_metrics)


def test_the_sanity_check_scores_and_logs_nothing(tmp_path):
    peek, history = Peek(), History()
    trainer = make_trainer(tmp_path, make(), peek, logger=history, max_epochs=1, limit_val_batches=1)
    trainer.fit(Generator(), loader(), loader())
    assert peek.metrics == {}
    assert [as_bits(logged) for logged in history.logged] == [expected(range(2))]


def test_mistakes_show_in_the_sanity_check(tmp_path):
    bad = make({**PATHS, "text": "batch.caption"})
    trainer = make_trainer(tmp_path, bad, Trained(), max_epochs=1)
    with pytest.raises(ValueError, match=r"batch\.caption"):
        trainer.fit(Generator(), loader(), loader())


class Trained(Callback):
    def on_train_start(self, trainer, pl_module):
        pytest.fail("the mistake has not surfaced before the training")


def test_a_broken_validation_leaves_no_rows_behind(tmp_path):
    callback = make()
    with pytest.raises(IndexError):
        validated(tmp_path, callback, loader([0, 1, 2, 99]))
    assert validated(tmp_path, callback, loader(range(3, 7))) == expected(range(3, 7))


def test_given_metrics(tmp_path):
    major = MAJORScore("sum", TinyEncoder(), **RAW)
    value = expected()["val/majorscore_sum"]
    assert validated(tmp_path, MAJORScoreCallback(PATHS, major, prefix="")) == {"majorscore": value}
    both = MAJORScores(TinyEncoder(), postfix="_tiny", **RAW)
    assert set(validated(tmp_path, MAJORScoreCallback(PATHS, both))) == {f"{name}_tiny" for name in expected()}
    assert not major.update_called  # it was copied


def test_references_and_numbers_of_vectors_in_every_epoch(tmp_path):
    metrics = V2AMetrics(TinyEncoder(), labels=["a bell", "a drum"], cache_conditions=True, **RAW)
    history = History()
    callback = MAJORScoreCallback({**PATHS, "target_audio": "batch.audio"}, metrics, max_samples=4, every_n_epochs=2)
    make_trainer(tmp_path, callback, logger=history, max_epochs=4).fit(Generator(), loader(), loader())
    bound = hash_bound(4, COUNT)
    for logged, epoch in zip(history.logged, (1, 3), strict=True):
        whole = take_subset({**SAMPLES, "target_audio": SAMPLES["audio"]}, bound)
        alone = metrics.clone(prefix="val/")
        alone.update(**{**whole, "audio": generate(whole["audio"], epoch)})
        assert as_bits(logged) == {name: bits(value) for name, value in alone.compute().items()}
        assert logged["val/fd_joint_n"] == len(whole["ids"])
    assert not metrics["fd_joint"].update_called  # it was copied


def test_a_distance_alone(tmp_path):
    distance = FrechetDistance(network=zero_shot_network(TinyEncoder(), ["a bell", "a drum"]), sample_rate=SAMPLE_RATE)
    paths = {name: PATHS[name] for name in ("audio", "ids")} | {"target_audio": "batch.audio"}
    assert set(validated(tmp_path, MAJORScoreCallback(paths, distance, offload=True))) == {"val/frechetdistance"}
    with pytest.raises(ValueError, match="Expected a metric with a value for each sample for best_and_worst"):
        MAJORScoreCallback(paths, distance, best_and_worst=1)
