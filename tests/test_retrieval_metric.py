"""Recall as a metric: what it holds, through batches, orders, ids, merges, copies, casts, collections and bad input."""

import copy
import math
import pickle

import pytest
import torch
from torchmetrics import MetricCollection

from torchmetrics_majorscore import CrossModalRecall
from torchmetrics_majorscore.functional.retrieval import any_retrieval, recall_at, retrieve

pytestmark = pytest.mark.filterwarnings("ignore:The ``compute`` method of metric .* was called before:UserWarning")
COUNT, NAMES = 40, ("video", "text", "audio")
G = torch.Generator().manual_seed(0)
CLIPS = torch.randn(COUNT, 8, generator=G)
GIVEN = {name: CLIPS + 1.2 * torch.randn(COUNT, 8, generator=G) for name in NAMES}
CLASSES = [f"class {row % 9}" for row in range(COUNT)]
LABELS = torch.arange(COUNT) % 9


def feed(metric, rows=range(COUNT), size=7, labels=True, names=True):
    rows = list(rows)
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        metric.update(
            {name: x[batch] for name, x in GIVEN.items()},
            labels=[CLASSES[row] for row in batch] if labels else None,
            ids=[f"clip {row}" for row in batch] if names else None,
        )
    return metric


def make(**options):
    return CrossModalRecall(**{"query": "video", "gallery": "audio", "k": 3, **options})


@pytest.mark.parametrize("share", [False, True])
def test_values_are_those_of_the_functions(share):
    found = retrieve(GIVEN["video"], GIVEN["audio"], LABELS, LABELS)
    expected = recall_at(found, 3, share=share).mean().item()
    assert feed(make(share=share)).compute().item() == pytest.approx(expected, rel=1e-6)
    for own_modality in (False, True):
        every = any_retrieval(GIVEN, dict.fromkeys(NAMES, LABELS), own_modality=own_modality)
        expected = recall_at(every["text"], 3, share=share).mean().item()
        metric = make(query="text", gallery="any", share=share, own_modality=own_modality)
        assert feed(metric).compute().item() == pytest.approx(expected, rel=1e-6)
    alone = retrieve(GIVEN["video"], GIVEN["audio"], torch.arange(COUNT), torch.arange(COUNT))
    assert feed(make(), labels=False).compute().item() == pytest.approx(recall_at(alone, 3).mean().item(), rel=1e-6)


@pytest.mark.parametrize("names", [True, False])
def test_order_batches_and_merges_do_not_move_a_bit(names):
    expected = feed(make(), size=COUNT, names=names).compute()
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(3)).tolist()
    for rows, size in ((range(COUNT), 1), (order, 7), (order[::-1], COUNT)):
        assert torch.equal(feed(make(), rows, size, names=names).compute(), expected)
    one, other = feed(make(), range(25), names=names), feed(make(), range(20 if names else 25, COUNT), names=names)
    one.merge_state(other)
    assert torch.equal(one.compute(), expected)
    assert torch.equal(pickle.loads(pickle.dumps(one)).half().compute(), expected)
    assert torch.equal(copy.deepcopy(one).compute(), expected)


def test_what_comes_twice_counts_once():
    metric = feed(feed(make()), [3, 0, 17])
    assert torch.equal(metric.compute(), feed(make()).compute())
    rows = metric.rows()
    assert len(rows["id"]) == 3 * COUNT
    assert (rows["id"][0], rows["modality"][0], rows["label"][8]) == ("clip 0", "video", "class 1")
    assert torch.equal(rows["embedding"][:7], GIVEN["video"][:7])


def test_modalities_may_come_apart():
    metric = make()
    for name, x in GIVEN.items():
        metric.update({name: x[: COUNT - len(name)]}, labels=LABELS[: COUNT - len(name)])
    one, other = GIVEN["video"][:-5], GIVEN["audio"][:-5]
    expected = recall_at(retrieve(one, other, LABELS[:-5], LABELS[:-5]), 3).mean().item()
    assert metric.compute().item() == pytest.approx(expected, rel=1e-6)


def test_labels_are_kept_to_the_bit():
    labels = torch.tensor([-(2**63) + 1, -1, 0, 2**63 - 1, 2**44 + 1, -(2**44)])
    metric = make()
    metric.update({"video": torch.eye(6), "audio": torch.eye(6)}, labels=labels)
    assert metric.rows()["label"] == labels.tolist() * 2
    assert metric.compute() == 1


def test_forward_gives_the_batch_and_accumulates():
    metric = make()
    batch = {name: x[:21] for name, x in GIVEN.items()}
    own = metric(batch, labels=CLASSES[:21], ids=range(21))
    assert torch.equal(own, feed(make(), range(21)).compute())
    metric({name: x[21:] for name, x in GIVEN.items()}, labels=CLASSES[21:], ids=range(21, COUNT))
    assert torch.equal(metric.compute(), feed(make()).compute())
    metric.reset()
    assert torch.equal(feed(metric).compute(), feed(make()).compute())


def test_a_collection_shares_the_rows():
    scores = MetricCollection({f"{q}-{g}": make(query=q, gallery=g) for q in NAMES for g in (*NAMES, "any") if q != g})
    scores.update(GIVEN, labels=CLASSES, ids=range(COUNT))
    assert len(scores.compute_groups) == 1
    found = scores.compute()
    assert torch.equal(found["video-audio"], feed(make()).compute())
    assert len({round(value.item(), 6) for value in found.values()}) > 3


def test_queries_without_relevant_items_are_counted():
    metric = make()
    broken = {name: x.clone() for name, x in GIVEN.items()}
    broken["video"][4], broken["audio"][9] = math.nan, math.inf
    labels = [*CLASSES[:-1], "alone"]
    metric.update({"video": broken["video"]}, labels=labels)
    metric.update({"audio": broken["audio"][:-1]}, labels=labels[:-1])
    with pytest.warns(UserWarning, match="2 of 40 samples have no value for video to audio, for nothing of the"):
        value = metric.compute()
    kept = [row for row in range(COUNT - 1) if row != 4]
    rows = [row for row in range(COUNT - 1) if row != 9]
    expected = recall_at(retrieve(GIVEN["video"][kept], GIVEN["audio"][rows], LABELS[kept], LABELS[rows]), 3).mean()
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    strict = make(nan_strategy="error")
    strict.update({"video": GIVEN["video"]}, labels=labels)
    with pytest.raises(RuntimeError, match="40 of 40 samples have no value"):
        strict.compute()
    quiet = make(nan_strategy="ignore")
    quiet.update({"video": GIVEN["video"]}, labels=labels)
    assert quiet.compute().isnan()
    with pytest.warns(UserWarning, match="before the ``update`` method"):
        assert make().compute().isnan()


REFUSED = [
    (lambda: make(gallery="video"), "Expected query and gallery as two of"),
    (lambda: make(query="smell"), "got 'smell' and 'audio'"),
    (lambda: make(own_modality=True), "Expected own_modality only with the gallery 'any', got it with 'audio'"),
    (lambda: make(k=0), "Expected k as an integer >= 1, got 0"),
    (lambda: make().update(GIVEN), "Expected labels, or ids to tell which items are of one clip, got neither"),
    (lambda: make().update({}, ids=[]), "Expected embeddings out of video, text, audio, image, got none"),
    (lambda: make().update({"smell": CLIPS}, ids=range(40)), "got smell"),
    (lambda: make().update(GIVEN, ids=range(3)), "Expected 40 ids, one per sample"),
    (lambda: make().update({**GIVEN, "text": CLIPS[:, :4]}, labels=LABELS), "Expected embeddings of one shape (B, D)"),
    (lambda: feed(make()).update({"text": CLIPS[:, :4]}, labels=LABELS), "Expected embeddings of 8 numbers as before"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match="Expected") as error:
        call()
    assert message in str(error.value)


def test_metrics_of_other_modalities_are_not_merged():
    one, other = feed(make()), feed(make(modalities=("audio", "text", "video")))
    with pytest.raises(ValueError, match="different encoders or options"):
        one.merge_state(other)


def test_signature():
    signature = make(query="text", gallery="any", k=5, share=True, network="late-fusion@1f").signature
    assert signature.startswith("crossmodalrecall|enc:late-fusion@1f|text-to-any|k:5|share|v:")
    assert "k:3, network=None" in repr(make())
