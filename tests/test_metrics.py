"""Values, rows, warnings, signatures and constants of the metrics, on given embeddings."""

from itertools import combinations

import pytest
import torch
from given import FOUR, MODALITIES, Plain, close, embed, mean

import torchmetrics_majorscore as package
from torchmetrics_majorscore import CLIPCLAPScore, FairScore, MAJORScore, MAJORScores
from torchmetrics_majorscore.functional import fair_score, major_score, pair_similarities

COMBINE = ("sum", "product", "average")
PAIRS = ["text", "all", ["audio-video", "text-video"]]
BASELINE = {"clip": None, "clap": None}
SIGNATURES = {
    "majorscore|enc:given|pairs:video-text+text-audio|comb:average": lambda: MAJORScore(encoder=None),
    "majorscore|enc:given|pairs:video-audio|comb:product|abs": lambda: MAJORScore(
        "product", None, pairs=["audio-video"], absolute=True
    ),
    "fairscore|enc:given|pairs:video-text+video-audio+text-audio": lambda: FairScore(None),
    "fairscore|enc:plain@7|pairs:video-text+text-audio|fps:1": lambda: FairScore(Plain("plain@7"), pairs="text"),
    "clipclapscore|enc:given|pairs:video-text+text-audio|comb:sum": lambda: CLIPCLAPScore("sum", **BASELINE),
    "clipclapscore|enc:a+b|pairs:text-audio|comb:average|fps:1": lambda: CLIPCLAPScore(
        clip=Plain("a"), clap=Plain("b"), pairs=["audio-text"]
    ),
}


def joined(*batches):
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


@pytest.mark.parametrize("combine", COMBINE)
@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("pairs", PAIRS)
@pytest.mark.parametrize("names", [MODALITIES, FOUR])
def test_major_is_the_mean_of_the_samples_scores(combine, absolute, pairs, names):
    metric = MAJORScore(combine, None, pairs=pairs, absolute=absolute, modalities=names)
    batches = [embed(5, names), embed(2, names, seed=1)]
    batches[0]["audio"] -= 2  # some similarities are negative
    for batch in batches:
        metric.update(embeddings=batch)
    scores = major_score(joined(*batches), combine, pairs=pairs, absolute=absolute)
    metric._warned = True  # the warning has a test of its own
    value = metric.compute()
    close(value, mean(scores))
    assert (value.dtype, value.shape) == (torch.float32, ())


@pytest.mark.parametrize("pairs", PAIRS)
@pytest.mark.parametrize("names", [MODALITIES, FOUR])
def test_fair_is_the_mean_of_the_samples_scores(pairs, names):
    metric = FairScore(None, pairs=pairs, modalities=names)
    batches = [embed(5, names), embed(2, names, seed=1)]
    for batch in batches:
        metric.update(embeddings=batch)
    close(metric.compute(), mean(fair_score(joined(*batches), pairs=pairs)))


@pytest.mark.parametrize("combine", COMBINE)
@pytest.mark.parametrize("pairs", ["text", ["video-text"], ["text-audio"]])
def test_the_baseline_takes_each_cosine_in_its_own_space(combine, pairs):
    clip, clap = embed(4, ("video", "text")), embed(4, ("text", "audio"), seed=1)
    clap = {name: embedding[:, :5] for name, embedding in clap.items()}
    metric = CLIPCLAPScore(combine, **BASELINE, pairs=pairs)
    metric.update(embeddings={f"clip_{n}": e for n, e in clip.items()} | {f"clap_{n}": e for n, e in clap.items()})
    columns = {"video-text": pair_similarities(clip), "text-audio": pair_similarities(clap)}
    similarities = torch.cat(list(columns.values()) if pairs == "text" else [columns[pairs[0]]], dim=1)
    close(metric.compute(), mean(major_score(similarities, combine)))


@pytest.mark.parametrize("names", [MODALITIES, FOUR])
@pytest.mark.parametrize("pairs", PAIRS)
def test_a_collection_holds_every_score(names, pairs):
    scores = MAJORScores(None, pairs=pairs, modalities=names, prefix="val/", postfix="@1")
    batches = [embed(5, names), embed(2, names, seed=1)]
    for batch in batches:
        scores.update(embeddings=batch)
    every = joined(*batches)
    expected = {f"majorscore_{combine}": major_score(every, combine, pairs=pairs) for combine in COMBINE}
    expected["fairscore"] = fair_score(every, pairs="all")
    for pair in combinations(names, 2):
        expected[f"similarity_{'_'.join(pair)}"] = pair_similarities(every, [pair])
    values = scores.compute()
    assert set(values) == {f"val/{name}@1" for name in expected}
    for name, score in expected.items():
        close(values[f"val/{name}@1"], mean(score))
    assert scores.rows().keys() == {"id", *("-".join(pair) for pair in combinations(names, 2))}
    assert len(scores.rows()["id"]) == 7


def test_the_mean_of_products_is_not_the_product_of_means():
    metric = MAJORScore("product", None, absolute=True)
    eye = torch.eye(2)
    metric.update(embeddings={"video": eye, "text": torch.tensor([[1.0, 0.0], [1.0, 0.0]]), "audio": eye})
    assert metric.compute() == 0.5


def test_rows_keep_their_order_and_give_the_ids_back():
    batch = embed(6)
    ids = ["b", 3, "a", -(2**63) + 1, 2**63 - 1, "ü"]
    metric = MAJORScore(encoder=None)
    metric.update(embeddings=batch, ids=ids)
    metric.update(embeddings=embed(2, seed=1))
    metric.update(embeddings=batch, ids=ids)
    rows = metric.rows()
    assert list(rows) == ["id", "video-text", "video-audio", "text-audio"]
    assert rows["id"] == [*ids, None, None]
    assert torch.equal(rows["video-text"][6:], pair_similarities(embed(2, seed=1), ["video-text"])[:, 0])
    for pair in ("video-text", "video-audio", "text-audio"):
        column = pair_similarities(batch, [pair])[:, 0]
        assert [rows[pair][rows["id"].index(one)] for one in ids] == column.tolist()
        assert (rows[pair].dtype, rows[pair].device.type) == (torch.float32, "cpu")


@pytest.mark.parametrize("ids", [torch.arange(5), range(5), [0, 1, 2, 3, 4], (0, 1, 2, 3, 4)])
def test_ids_in_every_form(ids):
    metric = MAJORScore(encoder=None)
    metric.update(embeddings=embed(), ids=ids)
    assert metric.rows()["id"] == [0, 1, 2, 3, 4]


def test_the_order_of_samples_changes_no_bit():
    batch = embed(200)
    values = []
    for order in (torch.arange(200), torch.arange(199, -1, -1), torch.arange(200).view(8, 25).T.reshape(-1)):
        metric = MAJORScore("sum", encoder=None)
        for part in order.split(37):
            metric.update(embeddings={name: e[part] for name, e in batch.items()})
        values.append(metric.compute())
    assert values[0] == values[1] == values[2]


def broken(rows=4):
    batch = embed(rows)
    batch["audio"][1], batch["video"][2] = torch.nan, torch.nan
    return batch


@pytest.mark.parametrize("cls", [MAJORScore, FairScore])
@pytest.mark.parametrize("strategy", ["warn", "ignore", "error"])
def test_nan_strategy(cls, strategy):
    metric, kept = cls(encoder=None, nan_strategy=strategy), cls(encoder=None)
    metric.update(embeddings=broken())
    kept.update(embeddings={name: e[[0, 3]] for name, e in broken().items()})
    if strategy == "error":
        with pytest.raises(RuntimeError, match=r"^2 of 4 samples have no value for .*\(missing or not finite\)\.$"):
            metric.compute()
    elif strategy == "warn":
        with pytest.warns(UserWarning, match=r"^2 of 4 samples have no value for .* and are left out of the mean\.$"):
            assert torch.equal(metric.compute(), kept.compute())
    else:
        assert torch.equal(metric.compute(), kept.compute())


def test_a_sample_counts_where_its_own_pairs_have_values():
    values = {}
    for pair in ("video-text", "video-audio", "text-audio"):
        metric = MAJORScore("sum", None, pairs=[pair], nan_strategy="ignore")
        metric.update(embeddings=broken())
        rows = metric.rows()[pair]
        values[pair] = int((~rows.isnan()).sum())
        close(metric.compute(), mean(rows[~rows.isnan()]))
    assert values == {"video-text": 3, "video-audio": 2, "text-audio": 3}


def test_two_negative_similarities_warn_once():
    eye = torch.eye(3)
    text = torch.stack([-eye[0], eye[1], -eye[2]])
    metric = MAJORScore("product", None)
    metric.update(embeddings={"video": eye, "text": text, "audio": eye})
    with pytest.warns(UserWarning, match="^2 of 3 samples have a positive product of negative similarities") as caught:
        assert metric.compute() == 1
    assert len(caught) == 1
    metric.update(embeddings={"video": eye, "text": text, "audio": eye})
    assert metric.compute() == 1
    for silent in (MAJORScore("product", None, absolute=True), MAJORScore("sum", None)):
        silent.update(embeddings={"video": eye, "text": text, "audio": eye})
        silent.compute()


@pytest.mark.parametrize("expected", SIGNATURES)
def test_signature(expected):
    assert SIGNATURES[expected]().signature == f"{expected}|v:{package.__version__}"


def test_signature_of_a_collection_and_repr():
    expected = f"majorscore|enc:given|pairs:video-audio|v:{package.__version__}"
    assert MAJORScores(None, pairs=["video-audio"]).signature == expected
    assert "product" in repr(MAJORScore("product", None))
    assert "encoder=given" in repr(FairScore(None))


@pytest.mark.parametrize("make", [lambda: MAJORScore(encoder=None), lambda: FairScore(None), lambda: MAJORScores(None)])
@pytest.mark.parametrize("several", [False, True])
def test_plot(make, several):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    metric = make()
    values = [metric(embeddings=embed(seed=seed)) for seed in range(3)]
    drawn = metric.plot(values) if several else metric.plot()
    for figure, axis in [drawn] if isinstance(drawn, tuple) else drawn:
        assert isinstance(figure, matplotlib.figure.Figure)
        assert axis.has_data()
    pyplot.close("all")


@pytest.mark.parametrize(
    ("metric", "lower", "upper"),
    [
        (MAJORScore(encoder=None), -1, 1),
        (MAJORScore("product", None, pairs="all"), -1, 1),
        (MAJORScore("sum", None), -2, 2),
        (MAJORScore("sum", None, pairs="all"), -3, 3),
        (MAJORScore("sum", None, absolute=True), 0, 2),
        (FairScore(None), 0, 4 / 3),
        (FairScore(None, pairs="text"), 0, 2),
    ],
)
def test_plots_show_the_possible_values_and_whole_labels(metric, lower, upper):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    assert (metric.plot_lower_bound, metric.plot_upper_bound) == pytest.approx((lower, upper))
    figure, axis = metric.plot([torch.tensor(0.123456), torch.tensor(0.123457)])
    figure.draw_without_rendering()
    label = axis.yaxis.label
    assert type(metric).__name__ in label.get_text()
    assert getattr(metric, "combine", "") in label.get_text()
    box = label.get_window_extent()
    assert 0 <= box.xmin <= box.xmax <= figure.bbox.width
    assert 0 <= box.ymin <= box.ymax <= figure.bbox.height
    assert axis.get_ylim()[0] <= lower <= upper <= axis.get_ylim()[1]
    (optimum,) = axis.texts
    box = optimum.get_window_extent()
    line = axis.transData.transform((0, upper if metric.higher_is_better else lower))[1]
    assert box.ymax <= line + 1 or box.ymin >= line - 1
    assert axis.bbox.ymin <= box.ymin <= box.ymax <= axis.bbox.ymax
    pyplot.close("all")


def test_class_constants():
    for cls in (MAJORScore, FairScore, CLIPCLAPScore):
        assert (cls.full_state_update, cls.is_differentiable) == (False, False)
        assert cls.higher_is_better is (cls is not FairScore)
