"""Options of the callback: subsets, clips to listen to, memory, mistakes, and LightningCLI."""

import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny import RAW, SAMPLE_RATE, TinyEncoder
from torch.utils.data import IterableDataset
from torchmetrics import MeanMetric
from toy_training import (
    COUNT,
    IGNORED,
    PATHS,
    SAMPLES,
    Bias,
    Board,
    Generator,
    History,
    expected,
    loader,
    make,
    make_trainer,
    validated,
)

from torchmetrics_majorscore import MAJORScores
from torchmetrics_majorscore.encoders import SharedEncoder
from torchmetrics_majorscore.lightning import MAJORScoreCallback, callback, clips, inputs

pytestmark = [pytest.mark.filterwarnings(line) for line in IGNORED]
CONFIG = Path(__file__).parents[1] / "docs/cli.yaml"


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Compare like with like: the last bits of a matrix product may depend on the number of threads."""


# max_samples


def chosen(share):
    """Name the samples whose id has a hash in the lowest share."""
    hashes = [hashlib.blake2b(name.encode(), digest_size=8).hexdigest() for name in SAMPLES["ids"]]
    return [row for row, digits in enumerate(hashes) if int(digits, 16) < share * 2**64]


@pytest.mark.parametrize("order", [range(COUNT), range(COUNT - 1, -1, -1)])
@pytest.mark.parametrize("size", [1, 3])
def test_max_samples_depends_on_ids_alone(tmp_path, order, size):
    rows = chosen(3 / COUNT)
    assert 0 < len(rows) < COUNT
    assert validated(tmp_path, make(max_samples=3), loader(order, size)) == expected(rows)
    assert validated(tmp_path, make(max_samples=COUNT), loader(order, size)) == expected()


@pytest.mark.parametrize("kind", [str, int, torch.tensor])
def test_max_samples_is_about_the_number(kind):
    ids = torch.arange(10_000) if kind is torch.tensor else [kind(number) for number in range(10_000)]
    samples = {"embeddings": {"text": torch.arange(10_000)}, "ids": ids}
    kept = inputs.take_subset(samples, inputs.hash_bound(400, 10_000))
    assert abs(len(kept["ids"]) - 400) < 5 * 20  # five standard deviations
    assert list(map(int, kept["ids"])) == kept["embeddings"]["text"].tolist()


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(COUNT))


def test_max_samples_needs_ids_and_a_length(tmp_path):
    with pytest.raises(ValueError, match="Expected ids in the inputs to choose max_samples by them, got none"):
        validated(tmp_path, make({name: path for name, path in PATHS.items() if name != "ids"}, max_samples=3))
    with pytest.raises(ValueError, match="Expected a dataset with a length for max_samples, got Stream"):
        validated(tmp_path, make(max_samples=3), loader(Stream()))


# best_and_worst


def ranking():
    scores = MAJORScores(TinyEncoder(), **RAW)
    scores.update(**SAMPLES)
    rows = scores.rows()
    means = ((rows["video-text"].double() + rows["text-audio"].double()) / 2).tolist()
    return sorted(((mean, row) for row, mean in enumerate(means)), reverse=True)


def captions(places):
    return [f"{SAMPLES['ids'][row]}: {score:.4f}" for score, row in places]


def test_best_and_worst_go_to_the_loggers(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(Audio=lambda audio, **options: (audio, options)))
    board, bias, order = Board(), Bias(), ranking()
    trainer = make_trainer(tmp_path, make(best_and_worst=2), logger=[board, bias, History()])
    repeated = [*range(COUNT), *range(COUNT)]  # as a sampler repeats some
    trainer.validate(Generator(), loader(repeated, 3), verbose=False)
    wandb = {name: clips for logged in bias.experiment.logged for name, clips in logged.items() if "st" in name[-5:]}
    for kind, places in {"best": order[:2], "worst": order[:-3:-1]}.items():
        tags = [f"val/{kind}/{place}" for place in range(2)]
        assert [board.experiment.text[tag] for tag in tags] == captions(places)
        for tag, (_, row), (audio, options), caption in zip(
            tags, places, wandb[f"val/{kind}"], captions(places), strict=True
        ):
            assert torch.equal(board.experiment.audio[tag][0], SAMPLES["audio"][row][None])
            assert board.experiment.audio[tag][1] == options["sample_rate"] == SAMPLE_RATE
            assert torch.equal(torch.from_numpy(audio), SAMPLES["audio"][row])
            assert options["caption"] == caption
    assert len(board.experiment.audio) == 4


def test_nothing_is_kept_without_such_a_logger(tmp_path, monkeypatch):
    monkeypatch.setattr(callback, "BestAndWorst", None)
    trainer = make_trainer(tmp_path, make(best_and_worst=2), logger=History())
    trainer.validate(Generator(), loader(), verbose=False)


def kept_names(kept):
    return {order: [clip.name for clip in found] for order, found in kept.kept.items()}


def test_kept_clips():
    kept = clips.BestAndWorst(2, rank=3)
    stereo = torch.stack([torch.full((2, 5), 16_384), torch.full((2, 5), -32_768)]).to(torch.int16)
    kept.add(torch.tensor([torch.nan, 0.3, 0.2]), [stereo[0], None, stereo[0]], ["a", "b", "c"])
    assert kept_names(kept) == {"best": ["c"], "worst": ["c"]}
    kept.add(torch.tensor([0.1, 0.2]), stereo, None)
    kept.add(torch.tensor([0.3]), torch.ones(1, 5), None)
    names = {order: [f"sample {row} of rank 3" for row in rows] for order, rows in {"best": [5], "worst": [3]}.items()}
    assert kept_names(kept) == {"best": [*names["best"], "c"], "worst": [*names["worst"], "c"]}
    assert torch.equal(kept.kept["worst"][0].waveform, torch.full((5,), 0.5))


def test_kept_clips_are_copies():
    for batch in (torch.zeros(9, 5), torch.zeros(9, 2, 5), torch.zeros(9, 5, dtype=torch.int16)):
        kept = clips.BestAndWorst(1, rank=0)
        kept.add(torch.arange(9.0), batch, None)
        waveform = kept.kept["best"][0].waveform
        assert waveform.untyped_storage().nbytes() == 5 * waveform.element_size()


# offload, device


@pytest.mark.parametrize("offload", [True, False])
def test_offload_after_each_validation(tmp_path, monkeypatch, offload):
    calls = []
    monkeypatch.setattr(SharedEncoder, "offload", lambda self: calls.append(self), raising=False)
    trainer = make_trainer(tmp_path, make(offload=offload), max_epochs=2)
    trainer.fit(Generator(), loader(), loader())
    trainer.test(Generator(), loader(), verbose=False)
    assert len(calls) == (4 if offload else 0)  # the sanity check, two epochs, the test


def test_rows_are_kept_where_the_module_is():
    loop = SimpleNamespace(_combined_loader=SimpleNamespace(flattened=[None]), _is_sequential=True)
    state = {"testing": False, "sanity_checking": False, "state": SimpleNamespace(fn="validate"), "loggers": []}
    scores = make()
    scores.on_validation_start(
        SimpleNamespace(validate_loop=loop, **state), SimpleNamespace(device=torch.device("meta"))
    )
    assert {metric.device.type for metric in scores._runs[0].members} == {"meta"}


# Mistakes


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ({"video": "batch.frames"}, "Expected 'batch.frames' in .*, got batch as a dict with video, text, audio, ids"),
        ({"audio": "outputs.wave"}, "Expected 'outputs.wave' in .*, got outputs as a dict with audio"),
        ({"audio": "outputs.audio.1"}, "Expected 'outputs.audio.1' in .*, got outputs.audio as list of 1"),
        ({"text": "batch.ids.words"}, "Expected 'batch.ids.words' in .*, got batch.ids as list"),
    ],
)
def test_a_missing_key_is_named(tmp_path, paths, message):
    with pytest.raises(ValueError, match=message):
        validated(tmp_path, make(PATHS | paths))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"inputs": {"sound": "batch.audio"}}, ValueError, "Expected inputs named video, .*, got 'sound'"),
        ({"inputs": {"audio": "audio"}}, ValueError, "starts with 'batch' or 'outputs'.*, got 'audio'"),
        ({"inputs": "toy_training.nothing"}, ImportError, "path of a function.*, got 'toy_training.nothing'"),
        ({"inputs": "read"}, ImportError, "path of a function.*, got 'read'"),
        ({"metrics": MeanMetric()}, TypeError, "Expected metrics of this package, got MeanMetric"),
        ({"metrics": MAJORScores(None), "fps": 2}, ValueError, "only without metrics, got both"),
        ({"every_n_epochs": 0}, ValueError, "Expected every_n_epochs and .* got 0, None and 0"),
        ({"max_samples": 0}, ValueError, "got 1, 0 and 0"),
    ],
)
def test_mistakes_are_found_at_once(wrong, error, message):
    with pytest.raises(error, match=message):
        MAJORScoreCallback(**{"inputs": PATHS, **wrong})


def test_what_a_function_returns_is_checked(tmp_path):
    with pytest.raises(ValueError, match=r"Expected inputs named video, .*, got 'id'"):
        validated(tmp_path, make(lambda module, outputs, batch: {"id": [1]}))
    with pytest.raises(ValueError, match=r"Expected inputs as a dict with video, .*, got list"):
        validated(tmp_path, make(lambda module, outputs, batch: []))
