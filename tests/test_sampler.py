"""The exact sampler: every row once, on any number of ranks, with and without Lightning."""

import pytest
import torch
import torch.distributed as dist
from tiny import bits, make_embeddings, run_processes
from torch.utils.data import DataLoader, DistributedSampler

from torchmetrics_majorscore import MAJORScore
from torchmetrics_majorscore.lightning import ExactDistributedSampler

WORLD = 3
SIZES = (0, 2, 3, 8)  # none, fewer than ranks, as many, more


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_ranks_share_the_rows(size, world):
    samplers = [ExactDistributedSampler(range(size), world, rank) for rank in range(world)]
    shares = [list(sampler) for sampler in samplers]
    assert sorted(row for share in shares for row in share) == list(range(size))
    assert [len(sampler) for sampler in samplers] == [len(share) for share in shares]
    assert shares == [list(range(rank, size, world)) for rank in range(world)]


def test_without_a_group_it_gives_all_rows():
    assert list(ExactDistributedSampler("abc")) == [0, 1, 2]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ((2, None), "Expected both num_replicas and rank or neither, got 2 and None"),
        ((None, 1), "Expected both num_replicas and rank or neither, got None and 1"),
        ((2, 2), "Expected rank from 0 to 1, got 2"),
        ((2, -1), "Expected rank from 0 to 1, got -1"),
    ],
)
def test_a_wrong_place(place, message):
    with pytest.raises(ValueError, match=message):
        ExactDistributedSampler(range(3), *place)


def test_lightning_leaves_it_alone():
    """Lightning asks for this type; any other sampler it would share out a second time."""
    sampler = ExactDistributedSampler(range(5), 2, 0)
    assert isinstance(sampler, DistributedSampler)
    sampler.set_epoch(3)  # as Lightning does
    assert list(sampler) == [0, 2, 4]


def work(rank, world, folder):
    """Score in a plain loop; the samplers are built before the group."""
    samplers = {size: ExactDistributedSampler(range(size)) for size in SIZES[1:]}
    store = dist.FileStore(str(folder / "store"), world)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world)
    seen = {}
    for size, sampler in samplers.items():
        metric = MAJORScore(encoder=None)
        rows = [int(row) for batch in DataLoader(range(size), 1, sampler=sampler) for row in batch]
        for row in rows:
            metric.update(embeddings=one(size, row))
        seen[size] = rows, bits(metric.compute())
    torch.save(seen, folder / f"{rank}.pt")
    dist.destroy_process_group()


def one(size, row):
    return {modality: vectors[row : row + 1] for modality, vectors in make_embeddings(size).items()}


def test_a_plain_loop_has_the_bits_of_one_process(tmp_path, one_thread):
    codes, seen = run_processes(work, WORLD, tmp_path)
    assert codes == [0] * WORLD
    for size in SIZES[1:]:
        metric = MAJORScore(encoder=None)
        metric.update(embeddings=make_embeddings(size))
        assert [rank[size] for rank in seen] == [
            (list(range(rank, size, WORLD)), bits(metric.compute())) for rank in range(WORLD)
        ]
