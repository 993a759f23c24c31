"""Syncs of real processes: how many collectives, the same value whatever a rank's seed, one error on all ranks."""

import warnings
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from tiny import NaiveMAJORScore, bites, bits, make_embeddings, run_processes
from torchmetrics import MetricCollection

from torchmetrics_majorscore import FairScore, MAJORScore, MAJORScores

WORLD = 3
MOST = 8
COLLECTIVES = ("all_gather", "all_gather_into_tensor", "all_gather_object", "all_reduce", "barrier", "broadcast")


def parts(one) -> MetricCollection:
    """Make a collection as users put it together, of five naive metrics or of ours."""
    if one is NaiveMAJORScore:
        return MetricCollection({str(number): one() for number in range(5)}, compute_groups=False)
    scores = {combine: one(combine, None, absolute=True) for combine in ("sum", "product", "average")}
    return MetricCollection({**scores, "fair": FairScore(None)}, compute_groups=False)


CASES = {
    "collection": lambda: MAJORScores(encoder=None, absolute=True),
    "parts": lambda: parts(MAJORScore),
    "naive": lambda: parts(NaiveMAJORScore),
}


def count_collectives() -> list[int]:
    calls = [0]

    def counted(function):
        def call(*args, **kwargs):
            calls[0] += 1
            return function(*args, **kwargs)

        return call

    for name in COLLECTIVES:
        setattr(dist, name, counted(getattr(dist, name)))
    return calls


def outcome(metric) -> str:
    try:
        return str(metric.compute())
    except RuntimeError as error:
        return str(error)


def work(rank: int, world: int, folder) -> None:
    warnings.filterwarnings("ignore", "The ``compute`` method of metric .* was called before", UserWarning)
    store = dist.FileStore(str(folder / "store"), world)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=timedelta(seconds=20))
    calls, seen = count_collectives(), {}
    torch.manual_seed(rank)
    for name, make in CASES.items():
        metric = make()
        if rank:  # the first rank has no data
            metric.update(embeddings=make_embeddings(4 * rank, seed=rank))
        calls[0] = 0
        values = metric.compute()
        seen[name] = calls[0], {key: bits(value) for key, value in values.items()}
    held = make_embeddings(3, seed=rank)
    options = {"absolute": rank == 2}  # a difference that the first member, FairScore, does not have
    scores = MAJORScores(encoder=None, **options)
    scores.update(embeddings=held)
    seen["differ"] = outcome(scores)
    strict = MAJORScores(encoder=None, nan_strategy="error")
    strict.update(embeddings=held | {"audio": held["audio"].log()} if rank == 1 else held)
    seen["nan"] = [outcome(strict), outcome(strict)]
    strict.reset()
    strict.update(embeddings=held)
    seen["after"] = outcome(strict)
    seen["rows"] = len(strict.rows()["id"])
    torch.save(seen, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    codes, seen = run_processes(work, WORLD, tmp_path_factory.mktemp("sync"))
    assert codes == [0] * WORLD
    return seen


# 17 Constant collectives


def check_collectives(ranks, name):
    counts = {seen[name][0] for seen in ranks}
    assert len(counts) == 1
    assert 0 < counts.pop() <= MOST


def test_few_collectives_and_as_many_on_every_rank(ranks):
    check_collectives(ranks, "collection")
    check_collectives(ranks, "parts")
    assert {seen["collection"][0] for seen in ranks} == {2}
    with bites:
        check_collectives(ranks, "naive")


# 18 The same value on every rank


def test_every_rank_has_the_same_values_whatever_its_seed(ranks):
    assert all(seen["collection"] == ranks[0]["collection"] for seen in ranks)
    whole = MAJORScores(encoder=None, absolute=True)
    for rank in range(1, WORLD):
        whole.update(embeddings=make_embeddings(4 * rank, seed=rank))
    assert ranks[0]["collection"][1] == {name: bits(value) for name, value in whole.compute().items()}


# 19 Mismatch, 20 After an error


def test_members_that_differ_raise_on_every_rank(ranks):
    message = "Expected one metric on all ranks, got different encoders, weights or options."
    assert [seen["differ"] for seen in ranks] == [message] * WORLD


def test_after_an_error_in_compute_the_metric_works(ranks):
    first, second = ranks[0]["nan"]
    assert first == second
    assert "samples have no value" in first
    assert all(seen["nan"] == [first, first] for seen in ranks)
    assert "majorscore_average" in ranks[0]["after"]
    assert {seen["after"] for seen in ranks} == {ranks[0]["after"]}
    assert {seen["rows"] for seen in ranks} == {3}  # unsynced: a rank's own


@pytest.mark.parametrize("make", [MAJORScore, FairScore])
def test_after_an_error_on_one_process(make):
    metric, good = make(encoder=None, nan_strategy="error"), make_embeddings(3)
    metric.update(embeddings=good)
    value = bits(metric.compute())
    metric.update(embeddings=make_embeddings(3, seed=1) | {"text": torch.full((3, 16), torch.nan)})
    for _ in range(2):
        with pytest.raises(RuntimeError, match="3 of 6 samples have no value"):
            metric.compute()
    with pytest.raises(ValueError, match="Expected embeddings of"):
        metric.update(embeddings={})
    metric.reset()
    metric.update(embeddings=good)
    assert bits(metric.compute()) == value


# 21 forward stays flat


def check_flat(make):
    """Count the rows that a late step copies or reads."""
    metric, batch = make(), make_embeddings(2)
    for _ in range(300):
        metric(embeddings=batch)
    rows = [tensor for state in metric._defaults for tensor in _tensors(getattr(metric, state))]
    before = {tensor.data_ptr() for tensor in rows}
    metric._copy_state_dict = None  # torchmetrics' forward copies the whole state with it
    metric(embeddings=batch)
    after = [tensor for state in metric._defaults for tensor in _tensors(getattr(metric, state))]
    assert before <= {tensor.data_ptr() for tensor in after}


def _tensors(state) -> list[torch.Tensor]:
    return state if isinstance(state, list) else [state]


class NaiveRows(NaiveMAJORScore):
    """Rows kept in a list state, with torchmetrics' own forward."""

    full_state_update = True

    def __init__(self) -> None:
        super().__init__()
        self.add_state("kept", [], dist_reduce_fx="cat")

    def update(self, embeddings) -> None:
        super().update(embeddings=embeddings)
        self.kept.append(embeddings["text"])


def test_forward_copies_no_rows():
    check_flat(lambda: MAJORScore(encoder=None))
    check_flat(lambda: FairScore(None))
    with pytest.raises(TypeError, match="'NoneType' object is not callable"):
        check_flat(NaiveRows)
