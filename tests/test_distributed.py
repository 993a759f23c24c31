"""Several processes: the value of every rank has the bits of one process, whatever the ranks were given.

Per world size one group of real processes (gloo) runs all cases and writes what it saw; the tests look at that. The
processes are forks of one fresh interpreter that has imported the package, which costs seconds, once.
"""

import math

import pytest
import torch
import torch.distributed as dist
from tiny import (
    FPS,
    SAMPLE_RATE,
    NaiveMAJORScore,
    TinyEncoder,
    bits,
    in_group,
    make_embeddings,
    make_samples,
    run_once,
    take,
)
from torch.utils.data import DistributedSampler

from torchmetrics_majorscore import FairScore, MAJORScore, MAJORScores

pytestmark = [
    # torchmetrics says so on every rank without data, and of merged shards if the first is empty.
    pytest.mark.filterwarnings("ignore:The ``compute`` method of metric .* was called before:UserWarning"),
    pytest.mark.filterwarnings("ignore:update after compute without reset:UserWarning"),
    pytest.mark.filterwarnings("ignore:The inputs of .* last differently:UserWarning"),
    pytest.mark.filterwarnings("ignore:.* have a positive product of negative similarities:UserWarning"),
]
COUNT = 37
WORLDS = (1, 2, 3, 4, 5)
RAW = {"sample_rate": SAMPLE_RATE, "fps": FPS}
EMBEDDINGS = {"embeddings": make_embeddings(COUNT)}
METRICS = {
    "major": lambda: MAJORScore("product", None, pairs="all"),
    "fair": lambda: FairScore(None),
    "naive": lambda: NaiveMAJORScore(None),
}


def shards(rank: int, world: int, count: int = COUNT) -> dict[str, list[int]]:
    """Name the samples that a rank gets, by the way in which they are shared out."""
    padded = list(DistributedSampler(range(count), world, rank, shuffle=False)) if count else []
    return {
        "strided": list(range(rank, count, world)),
        "padded": padded,
        "first": list(range(count)) if rank == 0 else [],
        "last": list(range(count)) if rank == world - 1 else [],
        "none": [],
        "few": list(range(rank, min(world - 1, count), world)),  # one rank goes without
    }


def feed(metric, rows: list[int], ids: bool, size: int = 5):
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        embeddings = {modality: vectors[batch] for modality, vectors in EMBEDDINGS["embeddings"].items()}
        metric.update(embeddings=embeddings, ids=[f"clip {row}" for row in batch] if ids else None)
    return metric


def all_here(world: int) -> bool:
    """Run another collective, which a rank that has lost step would break."""
    total = torch.ones(())
    dist.all_reduce(total)
    return total.item() == world


def run_cases(rank: int, world: int) -> dict:
    """Run every case on this rank; give bits of values, or messages of errors."""
    seen: dict = {}
    for share, rows in shards(rank, world).items():
        for name, make in METRICS.items():
            for ids in (True, False):
                metric = feed(make(), rows, ids)
                first = bits(metric.compute())
                step = all_here(world)
                metric.reset()
                seen[share, name, ids] = first, step, bits(feed(metric, rows, ids).compute()), all_here(world)
    seen["raw"] = run_raw(rank, world)
    for name, (odd, even) in MISMATCHES.items():
        seen["mismatch", name] = run_mismatch(odd if rank % 2 else even, rank, world)
    return seen


def run_raw(rank: int, world: int) -> dict:
    scores = MAJORScores(TinyEncoder(), **RAW)
    rows = shards(rank, world, 11)["padded"]
    for start in range(0, len(rows), 2):
        scores.update(**take(make_samples(11), rows[start : start + 2]))
    return {name: bits(value) for name, value in scores.compute().items()}


class OfWeights(MAJORScore):
    """A metric that knows the digest of its encoder's weights, with rows or without."""

    def __init__(self, digest: bytes) -> None:
        super().__init__(encoder=None)
        self.fingerprint[16:] = torch.tensor(list(digest))


MISMATCHES = {
    "content": [lambda digest=digest: OfWeights(digest) for digest in (b"weights1", b"weights2")],
    "weights": [lambda seed=seed: MAJORScore(encoder=TinyEncoder(seed), **RAW) for seed in (0, 1)],
    "sample_rate": [lambda r=r: MAJORScore(encoder=TinyEncoder(), sample_rate=r, fps=FPS) for r in (8_000, 16_000)],
    "fps": [lambda fps=fps: FairScore(TinyEncoder(), sample_rate=SAMPLE_RATE, fps=fps) for fps in (8, 25)],
    "modalities": [
        lambda m=m: MAJORScore(encoder=None, modalities=m) for m in (("video", "text", "audio"), ("text", "audio"))
    ],
    "combine": [lambda c=c: MAJORScore(c, None) for c in ("sum", "product")],
    "pairs": [lambda pairs=pairs: MAJORScore(encoder=None, pairs=pairs) for pairs in ("text", "all")],
    "nan_strategy": [lambda nan=nan: FairScore(None, nan_strategy=nan) for nan in ("ignore", "error")],
}


def run_mismatch(make, rank: int, world: int) -> tuple:
    metric = make()
    vectors = make_embeddings(3, seed=rank)
    if rank != 1:  # a rank without rows takes part in the error, too
        modalities = metric._spaces[0].modalities
        metric.update(embeddings={modality: vectors[modality] for modality in modalities})
    try:
        metric.compute()
        message = "no error"
    except RuntimeError as error:
        message = str(error)
    alone = metric.rows()["id"]
    return message, all_here(world), len(alone) == (3 if rank != 1 else 0)


def work(rank: int, world: int, folder) -> None:
    with in_group(rank, world, folder, [mark.args[0].split(":")[1] for mark in pytestmark]):
        torch.save(run_cases(rank, world), folder / f"{rank}.pt")


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Compare like with like: the last bits of a matrix product may depend on the number of threads."""


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    return run_once(work, tmp_path_factory)


def one_process(name: str, rows: list[int], ids: bool = True) -> int:
    return bits(feed(METRICS[name](), rows, ids, size=COUNT).compute())


def check_every_rank(group, world: int, name: str, share: str, ids: bool, expected: int) -> None:
    """Every rank has the expected bits, before and after a reset, and the collectives in between worked."""
    for seen in group(world):
        assert seen[share, name, ids] == (expected, True, expected, True)


# 15 World size


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", ["major", "fair"])
def test_every_rank_has_the_bits_of_one_process(group, world, name):
    expected = one_process(name, list(range(COUNT)))
    for share in ("strided", "padded", "first", "last"):
        check_every_rank(group, world, name, share, True, expected)
    for share in ("strided", "first", "last"):
        check_every_rank(group, world, name, share, False, expected)


def test_the_world_size_check_bites(group):
    expected = one_process("naive", list(range(COUNT)))
    strided = {seen["strided", "naive", False][0] for world in WORLDS for seen in group(world)}
    assert strided != {expected}
    for world in WORLDS[1:]:
        assert group(world)
        with pytest.raises(AssertionError):
            check_every_rank(group, world, "naive", "padded", True, expected)


@pytest.mark.parametrize("world", WORLDS)
def test_raw_inputs_on_several_ranks(group, world):
    scores = MAJORScores(TinyEncoder(), **RAW)
    scores.update(**make_samples(11))
    expected = {name: bits(value) for name, value in scores.compute().items()}
    assert [seen["raw"] for seen in group(world)] == [expected] * world


# 16 Empty ranks


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", ["major", "fair"])
def test_ranks_without_data(group, world, name):
    nothing = bits(torch.tensor(math.nan))
    for ids in (True, False):
        check_every_rank(group, world, name, "none", ids, nothing)
        few = list(range(world - 1))
        check_every_rank(group, world, name, "few", ids, one_process(name, few, ids) if few else nothing)


# 19 Mismatch


@pytest.mark.parametrize("world", WORLDS[1:])
@pytest.mark.parametrize("difference", MISMATCHES)
def test_ranks_that_differ_raise_the_same_error(group, world, difference):
    outcomes = [seen["mismatch", difference] for seen in group(world)]
    assert len(set(outcomes)) == 1
    assert outcomes[0][0].startswith("Expected one metric on all ranks")
    assert outcomes[0][1:] == (True, True)


# Shards that are merged without a process group


@pytest.mark.parametrize("name", ["major", "fair"])
@pytest.mark.parametrize("ids", [True, False])
def test_merged_shards_equal_one_run(name, ids):
    expected = one_process(name, list(range(COUNT)), ids)
    for share in ("strided", "last", "padded") if ids else ("strided", "last"):
        parts = [feed(METRICS[name](), shards(rank, 4)[share], ids) for rank in range(4)]
        for part in parts[1:]:
            parts[0].merge_state(part)
        assert bits(parts[0].compute()) == expected


def test_shards_that_differ_are_not_merged():
    one, other = (make() for make in MISMATCHES["weights"])
    for metric in (one, other):
        metric.update(**make_samples(2))
    with pytest.raises(ValueError, match="different encoders"):
        one.merge_state(other)
