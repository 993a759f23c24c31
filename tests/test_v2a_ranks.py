"""V2AMetrics on 1 to 5 processes: every rank has the bits of one process, in two collectives, whatever it was given."""

import math

import pytest
import torch
import torch.distributed as dist
from test_distributed import WORLDS, all_here, shards
from test_networks import Levels
from tiny import RAW, TinyEncoder, bits, in_group, make_samples, run_once, take

from torchmetrics_majorscore import V2AMetrics

UNHEARD = (
    "The ``compute`` method of metric .* was called before",
    "update after compute without reset",
    ".* vectors of .* do not span",
    ".* vectors of .* have no covariance",
    ".* samples are too few for",
    ".* have a positive product of negative similarities",
    "The inputs of .* last differently",
)
pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}:UserWarning") for message in UNHEARD]
COUNT = 13
LABELS = ["a bell", "a drum", "rain"]
G = torch.Generator().manual_seed(0)
SOUNDS = [torch.rand(35_200 + 160 * n, generator=G) * 2 - 1 for n in range(2 * COUNT)]
SAMPLES = make_samples(COUNT) | {"audio": SOUNDS[:COUNT], "target_audio": SOUNDS[COUNT:]}
SHARES = ("strided", "padded", "first", "last", "none", "few")


def make(labels=LABELS, **options):
    return V2AMetrics(
        TinyEncoder(), labels=labels, networks={"levels": Levels()}, splits=2, frames=True, **{**RAW, **options}
    )


def feed(metrics, rows, size=4):
    for start in range(0, len(rows), size):
        metrics.update(**take(SAMPLES, rows[start : start + size]))
    return metrics


def as_bits(values):
    return {name: bits(value) for name, value in values.items()}


def error_of(metrics) -> tuple[str, bool]:
    try:
        metrics.compute()
        return "no error", all_here(dist.get_world_size())
    except RuntimeError as error:
        return str(error), all_here(dist.get_world_size())


def work(rank: int, world: int, folder) -> None:
    with in_group(rank, world, folder, UNHEARD):
        seen, calls, gather = {}, [], dist.all_gather
        dist.all_gather = lambda *given, **options: calls.append(1) or gather(*given, **options)
        for share in SHARES:
            metrics = feed(make(), shards(rank, world, COUNT)[share])
            calls.clear()
            values = as_bits(metrics.compute())
            seen[share] = values, len(calls), all_here(world), as_bits(metrics.compute()) == values
        own = feed(make(), list(range(rank, COUNT, world)))
        seen["rows"] = len(own["fd_levels"].rows()["id"]), any(one._is_synced for one in own.values(copy_state=False))
        seen["labels"] = error_of(feed(make(LABELS if rank % 2 else ["a cat", *LABELS]), [rank, 5 + rank]))
        seen["columns"] = error_of(feed(make(free=rank % 2 == 0), [rank, 5 + rank]))
        torch.save(seen, folder / f"{rank}.pt")


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Compare like with like: the last bits of a matrix product may depend on the number of threads."""


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    return run_once(work, tmp_path_factory)


@pytest.mark.parametrize("world", WORLDS)
def test_every_rank_has_the_bits_of_one_process_in_two_collectives(group, world):
    whole = as_bits(feed(make(), list(range(COUNT))).compute())
    few = as_bits(feed(make(), list(range(world - 1))).compute())
    counts = {name for name in whole if name.endswith("_n")}
    nothing = {name: bits(torch.tensor(0.0 if name in counts else math.nan)) for name in whole}
    for seen in group(world):
        for share in SHARES:
            expected = {"none": nothing, "few": few if world > 1 else nothing}.get(share, whole)
            assert seen[share] == (expected, 2, True, True), share
        assert seen["rows"][1] is False


@pytest.mark.parametrize("world", WORLDS[1:])
@pytest.mark.parametrize("case", ["labels", "columns"])
def test_ranks_that_differ_raise_the_same_error(group, world, case):
    (outcome,) = {seen[case] for seen in group(world)}
    assert outcome[0].startswith("Expected one metric on all ranks, got different")
    assert outcome[1]
