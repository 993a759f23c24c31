"""What a metric holds: its rows through forward, reset, merge, copies, casts and modes, and no weights."""

import copy
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from given import FOUR, Plain, close, embed, mean
from safetensors.torch import load_file, save_file
from torchmetrics import MetricCollection

from torchmetrics_majorscore import CLIPCLAPScore, FairScore, MAJORScore, MAJORScores, load_encoder
from torchmetrics_majorscore.encoders.table import BUNDLE
from torchmetrics_majorscore.functional import major_score
from torchmetrics_majorscore.metrics import ids

ALL = [
    lambda **options: MAJORScore(encoder=None, **options),
    lambda **options: MAJORScore("sum", encoder=None, pairs="all", **options),
    lambda **options: FairScore(None, **options),
    lambda **options: MAJORScores(None, **options),
    lambda **options: MetricCollection([MAJORScore("sum", None, **options), FairScore(None, **options)]),
]


def equal(one, other):
    one, other = (value if isinstance(value, dict) else {"": value} for value in (one, other))
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def of(make, *batches):
    metric = make()
    for batch in batches:
        metric.update(embeddings=batch)
    return metric.compute()


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("options", [{}, {"compute_on_cpu": True}])
@pytest.mark.parametrize("calls", ["ff", "uf", "fu", "ufuf", "uuff", "fuc"])
def test_forward_is_update_and_compute_of_the_batch_and_accumulates(make, options, calls):
    metric, seen = make(**options), []
    for step, call in enumerate(calls):
        batch = embed(2 + step, seed=step)
        if call == "c":
            metric.compute()
            continue
        seen.append(batch)
        if call == "u":
            metric.update(embeddings=batch)
        else:
            assert equal(metric(embeddings=batch), of(make, batch))
    assert equal(metric.compute(), of(make, *seen))
    members = metric.values() if isinstance(metric, MetricCollection) else [metric]
    assert [len(member.rows()["id"]) for member in members] == [sum(len(b["text"]) for b in seen)] * len(members)


@pytest.mark.parametrize("make", ALL)
def test_reset(make):
    metric = make()
    metric.update(embeddings=embed())
    metric.compute()
    metric.reset()
    assert len(next(iter(metric.values())).rows()["id"] if isinstance(metric, MetricCollection) else metric.ids) == 0
    metric.update(embeddings=embed(seed=1))
    assert equal(metric.compute(), of(make, embed(seed=1)))


def test_metrics_of_one_collection_that_differ_keep_their_own_rows():
    # Their first batch gives equal states; torchmetrics must not take them for the same metric.
    scores = MetricCollection({"a": MAJORScore(encoder=None), "b": MAJORScore(encoder=None, fps=8)})
    scores.update(embeddings=embed())
    assert len(scores.compute_groups) == 2
    scores = MetricCollection({"a": MAJORScore(encoder=None), "b": FairScore(None)})
    scores.update(embeddings=embed())
    assert len(scores.compute_groups) == 1


@pytest.mark.parametrize("form", ["metric", "dict"])
def test_merge_state(form):
    one, other = MAJORScore(encoder=None), MAJORScore(encoder=None)
    one.update(embeddings=embed(), ids=range(5))
    other.update(embeddings=embed(3, seed=1), ids=[7, 8, 9])
    other.update(embeddings={name: e[:1] for name, e in embed().items()}, ids=[0])  # the padding of a sampler
    one.merge_state(other if form == "metric" else other.metric_state)
    assert one.rows()["id"] == [0, 1, 2, 3, 4, 7, 8, 9]
    assert torch.equal(one.compute(), of(ALL[0], embed(), embed(3, seed=1)))


DIFFERENT = [
    (MAJORScore(encoder=Plain("one")), MAJORScore(encoder=Plain("two"))),
    (MAJORScore(encoder=None), MAJORScore(encoder=Plain("one"))),
    (MAJORScore(encoder=None), MAJORScore(encoder=None, modalities=FOUR)),
    (FairScore(encoder=None, sample_rate=16_000), FairScore(encoder=None, sample_rate=48_000)),
    (MAJORScore(encoder=None, fps=8), MAJORScore(encoder=None, fps=25)),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_merge_state_of_something_else_is_an_error(one, other):
    with pytest.raises(ValueError, match="states of one kind of metric, got states with different encoders or options"):
        one.merge_state(other)


@pytest.mark.parametrize("name", ["one"])
def test_merge_state_of_equal_encoders_of_two_processes(name):
    one, other = MAJORScore(encoder=Plain(name)), MAJORScore(encoder=Plain(name))
    for seed, metric in enumerate((one, other)):
        metric.update(embeddings=embed(seed=seed))
    one.merge_state(other)
    assert len(one.rows()["id"]) == 10


def test_a_refused_merge_leaves_the_rows_as_they_were():
    one, other = MAJORScore(encoder=None), MAJORScore(encoder=None, fps=8)
    for seed, metric in enumerate((one, other)):
        metric.update(embeddings=embed(seed=seed))
    with pytest.raises(ValueError, match="different encoders"):
        one.merge_state(other)
    assert len(one.rows()["id"]) == 5


def test_compute_after_a_merge_is_of_all_rows():
    one, other = MAJORScore(encoder=None), MAJORScore(encoder=None)
    for seed, metric in enumerate((one, other)):
        metric.update(embeddings=embed(seed=seed))
        metric.compute()
    one.merge_state(other)
    assert torch.equal(one.compute(), of(ALL[0], embed(), embed(seed=1)))


def test_of_conflicting_rows_the_first_stays_in_a_merge():
    one, other = MAJORScore(encoder=None), MAJORScore(encoder=None)
    for seed, metric in enumerate((one, other)):
        metric.update(embeddings=embed(seed=seed), ids=range(5))
    before = one.rows()
    one.merge_state(other)
    with pytest.warns(UserWarning, match="the first row of each was kept"):
        assert torch.equal(one.rows()["video-text"], before["video-text"])


@pytest.mark.parametrize("make", [MAJORScore, FairScore, MAJORScores])
def test_a_preempted_evaluation_goes_on_from_a_file(make, tmp_path):
    names = [f"clip {number}" for number in range(8)]
    whole, first, second = (make(encoder=None) for _ in range(3))
    whole.update(embeddings=embed(), ids=names[:5])
    whole.update(embeddings=embed(3, seed=1), ids=names[5:])
    first.update(embeddings=embed(), ids=names[:5])
    first.save_rows(tmp_path / "rows.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.pt"]
    ids._NAMES.clear()  # as in another process
    second.update(embeddings=embed(3, seed=1), ids=names[5:])
    second.update(embeddings={name: e[4:] for name, e in embed().items()}, ids=names[4:5])  # scored twice
    for _ in range(2):
        second.merge_rows(tmp_path / "rows.pt")
        assert equal(second.compute(), whole.compute())
    assert sorted(second.rows()["id"]) == names
    other = make(encoder=Plain("one"))
    with pytest.raises(ValueError, match=r"got states with different encoders or options, in .*rows\.pt\."):
        other.merge_rows(tmp_path / "rows.pt")


def copy_of_bundle(folder, name):
    """Make a metric with a copy of c-mcr-tiny's weights; "other" has other numbers in files of the same sizes."""
    folder = folder / name
    shutil.copytree(BUNDLE, folder)
    if name == "other":
        tensors = load_file(folder / "clip.safetensors")
        tensors["text_projection"] = tensors["text_projection"].flip(0).contiguous()
        save_file(tensors, folder / "clip.safetensors")
    return MAJORScore(encoder=load_encoder("c-mcr-tiny", weights=folder), fps=1, sample_rate=48_000)


def test_rows_of_other_weights_are_refused_even_if_files_have_one_name_and_size(tmp_path):
    one, same, other = (copy_of_bundle(tmp_path, name) for name in ("one", "same", "other"))
    assert one.encoder.portable_key == other.encoder.portable_key  # so it is not known when a metric is made
    generator = torch.Generator().manual_seed(0)
    batch = {
        "video": torch.randint(0, 256, (1, 4, 3, 64, 64), generator=generator, dtype=torch.uint8),
        "text": ["a small bell"],
        "audio": torch.rand(1, 192_000, generator=generator) - 0.5,
    }
    for number, metric in enumerate((one, same, other)):
        metric.update(**batch, ids=[number])
        metric.save_rows(tmp_path / f"{number}.pt")
    fresh = copy_of_bundle(tmp_path, "fresh")
    fresh.merge_rows(tmp_path / "2.pt")  # it has no rows and knows no weights yet
    for metric in (one, fresh):
        before = metric.rows()["id"]
        with pytest.raises(ValueError, match="got states of encoders with different weights"):
            metric.merge_state(other if metric is one else one)
        with pytest.raises(ValueError, match=r"different weights, in .*\.pt\."):
            metric.merge_rows(tmp_path / ("2.pt" if metric is one else "0.pt"))
        assert metric.rows()["id"] == before
    with pytest.raises(ValueError, match="different weights"):
        fresh.update(**batch, ids=[3])
    assert fresh.rows()["id"] == [2]
    one.merge_rows(tmp_path / "1.pt")
    assert one.rows()["id"] == [0, 1]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_one_id_the_row_with_the_most_values_counts(order):
    good, names = embed(3), ["a", "b", "c"]
    lost = {name: rows.clone() for name, rows in good.items()}
    lost["audio"][1] = float("nan")
    metric = MAJORScore(encoder=None)
    for place in order:
        metric.update(embeddings=(good, lost)[place], ids=names)
    assert metric.rows()["id"] == names
    assert torch.equal(metric.compute(), of(ALL[0], good))


class Counting(MAJORScore):
    """A metric with a state of its own beside the rows."""

    def __init__(self):
        super().__init__(encoder=None)
        self.add_state("batches", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, **inputs):
        super().update(**inputs)
        self.batches = self.batches + 1


def test_a_state_that_a_subclass_adds_is_merged_too(tmp_path):
    one, other = Counting(), Counting()
    for metric in (one, other):
        metric.update(embeddings=embed())
    one.merge_state(other)
    assert (int(one.batches), len(one.rows()["id"])) == (2, 10)
    one.save_rows(tmp_path / "rows.pt")
    with pytest.raises(ValueError, match="Expected a metric whose only state is rows, got one with batches as well"):
        other.merge_rows(tmp_path / "rows.pt")


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("call", ["update", "forward"])
def test_an_update_after_a_value_warns_of_the_union(make, call):
    metric = make()
    call = metric.update if call == "update" else metric
    metric(embeddings=embed())  # the value of a batch is none of the epoch
    call(embeddings=embed())
    metric.compute()
    with pytest.warns(
        UserWarning, match="^update after compute without reset: .* 10 rows before.*two dataloaders"
    ) as said:
        call(embeddings=embed())
    assert Path(said[0].filename).name == "rows.py"  # under Lightning no caller's line would tell more
    call(embeddings=embed())
    metric.compute()
    metric.reset()
    call(embeddings=embed())


def test_a_value_of_no_rows_is_no_reason_to_warn():
    metric = MAJORScore(encoder=None, nan_strategy="ignore")
    with pytest.warns(UserWarning, match="before the ``update`` method"):
        metric.compute()
    for _ in range(2):
        metric.update(embeddings=embed())


def test_another_default_device_changes_nothing():
    metric = MAJORScores(None)
    metric.update(embeddings=embed(), ids=list(range(5)))
    expected, batch = metric.compute(), embed()
    torch.set_default_device("meta")
    try:
        metric.reset()
        metric.update(embeddings=batch, ids=list(range(5)))
        values = metric.compute()
    finally:
        torch.set_default_device(None)
    assert equal(values, expected)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda metric: pickle.loads(pickle.dumps(metric))])
def test_a_copy_has_rows_of_its_own(copied):
    metric = MAJORScore(encoder=None)
    metric.update(embeddings=embed())
    other = copied(metric)
    other.update(embeddings=embed(seed=1))
    assert len(metric.rows()["id"]) == 5
    assert torch.equal(metric.compute(), of(ALL[0], embed()))
    assert torch.equal(other.compute(), of(ALL[0], embed(), embed(seed=1)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_embeddings_of_any_dtype_and_a_metric_that_is_cast(dtype):
    metric = MAJORScore(encoder=None).to(dtype).half().double()
    batch = {name: e.to(dtype).requires_grad_() for name, e in embed().items()}
    metric.update(embeddings=batch)
    torch.nn.ModuleList([metric]).half().to(torch.float16)  # as the module does that holds the metric
    value = metric.compute()
    close(value, mean(major_score(batch).detach()))
    assert (value.dtype, value.requires_grad) == (torch.float32, False)
    assert metric.rows()["video-text"].dtype == torch.float32


@pytest.mark.parametrize("inference", [False, True])
def test_update_in_inference_mode(inference):
    metric = MAJORScore(encoder=None)
    with torch.inference_mode(inference):
        metric.update(embeddings=embed())
    metric.update(embeddings=embed(seed=1))
    assert torch.equal(metric.compute(), of(ALL[0], embed(), embed(seed=1)))


def test_named_encoders_need_no_weights_to_be_named(monkeypatch):
    monkeypatch.delenv("MAJORSCORE_WEIGHTS", raising=False)
    for metric in (MAJORScore(), FairScore(), CLIPCLAPScore(), MAJORScores()):
        members = metric.values() if isinstance(metric, MetricCollection) else [metric]
        for member in members:
            assert all(not space.encoder._replicas for space in member._spaces)
            assert list(member.parameters()) == []
    metric = MAJORScore()
    metric.update(embeddings=embed())
    assert torch.equal(metric.compute(), of(ALL[0], embed()))
