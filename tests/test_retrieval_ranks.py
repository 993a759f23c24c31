"""Recall on 1 to 3 processes: every rank has the bits of one process, and unlike metrics are refused."""

import math

import pytest
import torch
from test_distributed import all_here, shards
from test_retrieval_metric import COUNT, feed, make
from tiny import bits, in_group, run_once

UNHEARD = ("The ``compute`` method of metric .* was called before", "update after compute without reset")
METRICS = {"pair": make, "any": lambda: make(query="text", gallery="any")}


def work(rank: int, world: int, folder) -> None:
    with in_group(rank, world, folder, UNHEARD):
        seen = {}
        for share, rows in shards(rank, world, COUNT).items():
            for name, new in METRICS.items():
                for labels in (True, False):
                    metric = feed(new(), rows, labels=labels)
                    seen[share, name, labels] = bits(metric.compute()), all_here(world)
        try:
            make(k=3 + rank % 2).compute()
            seen["k"] = "no error"
        except RuntimeError as error:
            seen["k"] = str(error)
        torch.save(seen, folder / f"{rank}.pt")


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Compare like with like: the last bits of a matrix product may depend on the number of threads."""


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    return run_once(work, tmp_path_factory)


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric .* was called before:UserWarning")
def test_every_rank_has_the_bits_of_one_process(group, world):
    for name, new in METRICS.items():
        for labels in (True, False):
            whole = bits(feed(new(), labels=labels).compute())
            for seen in group(world):
                for share in ("strided", "padded", "first", "last"):
                    assert seen[share, name, labels] == (whole, True), share
                assert seen["none", name, labels] == (bits(torch.tensor(math.nan)), True)
    if world > 1:
        assert all(seen["k"].startswith("Expected one metric on all ranks, got") for seen in group(world))
