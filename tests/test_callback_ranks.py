"""The callback on two processes: every rank logs the bits of one process, whatever the sampler gives it."""

import os
import socket
import warnings

import pytest
import torch
from tiny import run_processes
from torch.utils.data import IterableDataset
from toy_training import (
    COUNT,
    IGNORED,
    PATHS,
    SAMPLES,
    Board,
    Generator,
    as_bits,
    expected,
    loader,
    make,
    make_trainer,
)

from torchmetrics_majorscore.lightning import ExactDistributedSampler

pytestmark = [pytest.mark.filterwarnings(line) for line in IGNORED]
WORLD = 2
IGNORED_ON_RANKS = [
    *IGNORED,
    "ignore:Using `DistributedSampler` with the dataloaders",
    "ignore:The ``compute`` method of metric .* was called before:UserWarning",
    "ignore:update after compute without reset:UserWarning",
    "ignore:The inputs of .* last differently:UserWarning",
]
NAMELESS = {name: path for name, path in PATHS.items() if name != "ids"}


class FirstOnly(IterableDataset):
    """All samples on rank 0 and none on the others; nobody knows how many before."""

    def __iter__(self):
        return iter(range(COUNT) if torch.distributed.get_rank() == 0 else ())


def exact(size=1):
    """Give 4 batches to one rank and 3 to the other."""
    return loader(size=size, sampler=ExactDistributedSampler(range(COUNT)))


def run(folder, callback, loaders, fit=False, logger=False):
    """Validate, or train with validation, and give the bits of what was logged."""
    trainer = make_trainer(folder, callback, devices=WORLD, logger=logger, max_epochs=2, num_sanity_val_steps=1)
    if fit:
        trainer.fit(Generator(), loader(range(6)), loaders)
    else:
        trainer.validate(Generator(), loaders, verbose=False)
    return as_bits(trainer.callback_metrics)


def warned(folder, callback, loaders):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(folder, callback, loaders)
    return [str(one.message) for one in caught if "Expected ids" in str(one.message)]


def run_cases(folder):
    board = Board()
    return {
        "padded": run(folder, make(), loader()),
        "padded in fit": run(folder, make(), loader(), fit=True),
        "exact": run(folder, make(NAMELESS), exact()),
        "exact in fit": run(folder, make(NAMELESS), exact(), fit=True),
        "loaders": run(folder, make(), [loader(range(3)), loader(range(3, 7))]),
        "few": run(folder, make(), loader(range(1))),
        "empty": run(folder, make(NAMELESS), loader(FirstOnly())),
        "subset": run(folder, make(max_samples=3), loader()),
        "clips": [run(folder, make(best_and_worst=2), loader(), logger=board), board.experiment.text],
        "audio": {tag: audio[0] for tag, (audio, _) in board.experiment.audio.items()},
        "warned": [
            warned(folder, make(NAMELESS), loader()),
            warned(folder, make(), loader()),
            warned(folder, make(NAMELESS), loader(range(6))),
            warned(folder, make(NAMELESS), exact()),
        ],
    }


def work(rank, world, folder):
    """Be one of two processes that something else, as torchrun does, has started."""
    warnings.simplefilter("error")
    for line in IGNORED_ON_RANKS:
        warnings.filterwarnings("ignore", line.removesuffix(":UserWarning").split(":", 1)[1])
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": (folder / "port").read_text()}
    os.environ |= {"TORCHELASTIC_RUN_ID": "1", "GROUP_RANK": "0"}
    torch.save(run_cases(folder), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Compare like with like: the last bits of a matrix product may depend on the number of threads."""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        (folder / "port").write_text(str(free.getsockname()[1]))
    codes, seen = run_processes(work, WORLD, folder)
    assert codes == [0, 0]
    return seen


@pytest.mark.parametrize("case", ["padded", "exact", "empty"])
def test_validation_has_the_bits_of_one_process(seen, case):
    assert [logged[case] for logged in seen] == [expected()] * WORLD


@pytest.mark.parametrize("case", ["padded in fit", "exact in fit"])
def test_fit_has_the_bits_of_one_process(seen, case):
    assert [logged[case] for logged in seen] == [expected(epoch=1)] * WORLD


def test_several_dataloaders(seen):
    parts = [expected(range(3), suffix="/dataloader_idx_0"), expected(range(3, 7), suffix="/dataloader_idx_1")]
    assert [logged["loaders"] for logged in seen] == [parts[0] | parts[1]] * WORLD


def test_more_ranks_than_samples(seen):
    assert [logged["few"] for logged in seen] == [expected(range(1))] * WORLD


def test_the_subset_is_that_of_one_process(seen, tmp_path):
    callback = make(max_samples=3)
    trainer = make_trainer(tmp_path, callback)
    trainer.validate(Generator(), loader(), verbose=False)
    assert [logged["subset"] for logged in seen] == [as_bits(trainer.callback_metrics)] * WORLD
    assert seen[0]["subset"] != expected()


def test_best_and_worst_of_all_ranks(seen, tmp_path):
    board = Board()
    trainer = make_trainer(tmp_path, make(best_and_worst=2), logger=board)
    trainer.validate(Generator(), loader(), verbose=False)
    assert [logged["clips"] for logged in seen] == [[expected(), board.experiment.text], [expected(), {}]]
    names = {tag: caption.split(":")[0] for tag, caption in board.experiment.text.items()}
    assert len(set(names.values())) == 4
    assert {SAMPLES["ids"].index(name) % 2 for name in names.values()} == {0, 1}  # from both ranks
    for tag, audio in seen[0]["audio"].items():
        assert torch.equal(audio, SAMPLES["audio"][SAMPLES["ids"].index(names[tag])])


def test_a_warning_if_repeats_cannot_be_recognised(seen):
    (message,), *others = seen[0]["warned"]
    assert message.startswith("Expected ids, since the sampler repeats 1 of 7 samples to make ranks even, got none")
    assert "ExactDistributedSampler" in message
    assert others == [[], [], []]
    assert seen[1]["warned"] == [[], [], [], []]
