"""Metrics over given features on 1 to 5 processes: the value of every rank has the bits of one process."""

import math

import pytest
import torch
import torch.distributed as dist
from test_distributed import COUNT, WORLDS, all_here, shards
from test_given import METRICS
from test_onsets import SAMPLES
from test_onsets import feed as feed_onsets
from tiny import bits, in_group, run_once

from torchmetrics_majorscore import FrechetDistance, InceptionScore, OnsetScores, PairedKL

UNHEARD = (
    "The ``compute`` method of metric .* was called before",
    "update after compute without reset",
    ".* vectors of .* do not span",
    ".* vectors of .* have no covariance",
    ".* samples are too few for",
)
pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}:UserWarning") for message in UNHEARD]


BROKEN = [x.clone() + 1000 for x in METRICS["frechet"][1]]
BROKEN[0][4], BROKEN[1][7] = math.nan, math.inf


def feed(name, rows, ids, size=5):
    make, given = METRICS[name]
    metric = make()
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        metric.update(*(x[batch] for x in given), ids=[f"clip {row}" for row in batch] if ids else None)
    return metric


def run_moments(rows) -> tuple:
    """Distances by moments, with some features that are not finite, and that nothing of it stays."""
    metric = FrechetDistance(gather="moments", nan_strategy="ignore")
    for start in range(0, len(rows), 5):
        batch = rows[start : start + 5]
        metric.update(*(x[batch] for x in BROKEN), ids=[f"clip {row}" for row in batch])
    shared = FrechetDistance(gather="moments", nan_strategy="ignore")
    shared.ids, shared.values = metric.ids, metric.values  # as in a collection, whose first member alone is updated
    shared.sync()
    distance = shared.distance().item()
    shared.unsync()
    return distance, bits(metric.compute()), metric._joined is None, all_here(dist.get_world_size())


def mismatch(rank: int, odd, even) -> tuple[str, bool]:
    metric = (odd if rank % 2 else even)()
    try:
        metric.compute()
        return "no error", all_here(dist.get_world_size())
    except RuntimeError as error:
        return str(error), all_here(dist.get_world_size())


def of_width(width: int):
    metric = InceptionScore()
    metric.update(torch.ones(3, width))
    return metric


MISMATCHES = {
    "network": (lambda: FrechetDistance(network="a"), lambda: FrechetDistance(network="b")),
    "direction": (PairedKL, lambda: PairedKL("preds||target")),
    "gather": (FrechetDistance, lambda: FrechetDistance(gather="moments")),
    "splits": (InceptionScore, lambda: InceptionScore(5)),
    "width": (lambda: of_width(5), lambda: of_width(6)),
}


def work(rank: int, world: int, folder) -> None:
    with in_group(rank, world, folder, UNHEARD):
        seen = {}
        for share, rows in shards(rank, world).items():
            for name in METRICS:
                for ids in (True, False):
                    metric = feed(name, rows, ids)
                    first = bits(metric.compute())
                    seen[share, name, ids] = first, all_here(world), len(metric.rows()["id"]) >= len(set(rows))
            seen["moments", share] = run_moments(rows)
        own = [row for row in shards(rank, world)["padded"] if row < len(SAMPLES)]
        seen["onsets"] = {name: bits(value) for name, value in feed_onsets(OnsetScores(), own).compute().items()}
        strict = FrechetDistance(gather="moments", nan_strategy="error")
        strict.update(BROKEN[0][4:5] if rank == 0 else BROKEN[0][:3])  # one rank alone has a vector that is not finite
        seen["error"] = *mismatch(0, None, lambda: strict), len(strict.rows()["id"]), strict._is_synced
        seen["mismatch"] = {name: mismatch(rank, *makes) for name, makes in MISMATCHES.items()}
        torch.save(seen, folder / f"{rank}.pt")


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Compare like with like: the last bits of a matrix product may depend on the number of threads."""


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    return run_once(work, tmp_path_factory)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", METRICS)
def test_every_rank_has_the_bits_of_one_process(group, world, name):
    whole, nothing = bits(feed(name, list(range(COUNT)), True, COUNT).compute()), bits(torch.tensor(math.nan))
    few = bits(feed(name, list(range(world - 1)), True).compute()) if world > 1 else nothing
    for seen in group(world):
        for share in ("strided", "padded", "first", "last"):
            assert seen[share, name, True] == (whole, True, True), share
        for share in ("strided", "first", "last"):
            assert seen[share, name, False] == (whole, True, True), share
        for ids in (True, False):
            assert seen["none", name, ids] == (nothing, True, True)
            assert seen["few", name, ids] == (few, True, True)


@pytest.mark.parametrize("world", WORLDS[1:])
@pytest.mark.parametrize("name", METRICS)
def test_padding_without_ids_is_seen(group, world, name):
    # DistributedSampler repeats samples; that the values then differ shows that ids do their work.
    padded = -COUNT % world
    same = bits(feed(name, list(range(COUNT)), False).compute())
    assert (group(world)[0]["padded", name, False][0] == same) == (padded == 0)


@pytest.mark.parametrize("world", WORLDS[1:])
@pytest.mark.parametrize("name", MISMATCHES)
def test_ranks_that_differ_raise_the_same_error(group, world, name):
    outcomes = {seen["mismatch"][name] for seen in group(world)}
    assert len(outcomes) == 1
    message, stepped = outcomes.pop()
    assert message.startswith("Expected one metric on all ranks, got")
    assert stepped


@pytest.mark.parametrize("world", WORLDS)
def test_moments_give_the_distance_of_rows(group, world):
    whole = FrechetDistance(nan_strategy="ignore")
    whole.update(*(x[:COUNT] for x in BROKEN))
    expected = whole.distance().item()
    for seen in group(world):
        for share in ("strided", "padded", "first", "last"):
            distance, value, *rest = seen["moments", share]
            assert distance == pytest.approx(expected, rel=1e-9)
            assert (value, *rest) == (bits(torch.tensor(distance)), True, True)
        assert math.isnan(seen["moments", "none"][0])
        assert seen["moments", "few"][1] == group(world)[0]["moments", "few"][1]


@pytest.mark.parametrize("world", WORLDS)
def test_onset_scores_on_several_ranks(group, world):
    whole = feed_onsets(OnsetScores(), list(range(len(SAMPLES)))).compute()
    assert [seen["onsets"] for seen in group(world)] == [{name: bits(one) for name, one in whole.items()}] * world


@pytest.mark.parametrize("world", WORLDS[1:])
def test_an_error_is_raised_on_all_ranks_and_the_rows_stay(group, world):
    for rank, seen in enumerate(group(world)):
        message, *rest = seen["error"]
        assert message == f"1 of {3 * world - 2} samples have no value for features (missing or not finite)."
        assert rest == [True, 3 if rank else 1, False]
