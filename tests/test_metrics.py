"""Metrics as torchmetrics uses them, on given embeddings; and what importing the package brings along."""

import ast
import copy
import importlib
import pickle
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
import torch
from torchmetrics import MetricCollection

import torchmetrics_majorscore as package
from torchmetrics_majorscore import CLIPCLAPScore, FairScore, MAJORScore, MAJORScores
from torchmetrics_majorscore.functional import fair_score, major_score, pair_similarities

MODALITIES = ("video", "text", "audio")
FOUR = ("video", "text", "audio", "depth")
COMBINE = ("sum", "product", "average")
PAIRS = ["text", "all", ["audio-video", "text-video"]]
BASELINE = {"clip": None, "clap": None}
ROOT = Path(package.__file__).parent
SIGNATURES = {
    "majorscore|enc:given|pairs:text|comb:average": lambda: MAJORScore(encoder=None),
    "majorscore|enc:given|pairs:video-audio|comb:product|abs": lambda: MAJORScore(
        "product", None, pairs=["audio-video"], absolute=True
    ),
    "fairscore|enc:given|pairs:all": lambda: FairScore(None),
    "fairscore|enc:plain@7|pairs:text|fps:1": lambda: FairScore(Plain("plain@7"), pairs="text"),
    "clipclapscore|enc:given|pairs:text|comb:sum": lambda: CLIPCLAPScore(
        "sum", **BASELINE
    ),
    "clipclapscore|enc:a+b|pairs:text-audio|comb:average|fps:1": lambda: CLIPCLAPScore(
        clip=Plain("a"), clap=Plain("b"), pairs=["audio-text"]
    ),
}


class Plain:
    """An encoder in name only."""

    modalities = MODALITIES
    sample_rate = 16_000
    encode_video = encode_text = encode_audio = None

    def __init__(self, name):
        self.name = name


def embed(rows=5, names=MODALITIES, seed=0):
    # A common part makes the similarities positive.
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(rows, 8, generator=generator) + 1 for name in names}


def joined(*batches):
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


def mean(scores):
    return scores.double().mean().float()


def close(one, other):
    torch.testing.assert_close(one, other, rtol=2e-7, atol=1e-7)


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


def test_rows_are_sorted_and_give_the_ids_back():
    batch = embed(6)
    ids = ["b", 3, "a", -(2**63) + 1, 2**63 - 1, "ü"]
    metric = MAJORScore(encoder=None)
    metric.update(embeddings=batch, ids=ids)
    metric.update(embeddings=embed(2, seed=1))
    rows = metric.rows()
    assert list(rows) == ["id", "video-text", "video-audio", "text-audio"]
    assert rows["id"][:2] == [None, None]
    assert sorted(map(str, rows["id"][2:])) == sorted(map(str, ids))
    ints = [one for one in rows["id"] if isinstance(one, int)]
    assert ints == [-(2**63) + 1, 3, 2**63 - 1]
    assert torch.equal(rows["video-text"][:2], pair_similarities(embed(2, seed=1), ["video-text"])[:, 0])
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


def test_class_constants():
    for cls in (MAJORScore, FairScore, CLIPCLAPScore):
        assert (cls.full_state_update, cls.is_differentiable) == (False, False)
        assert cls.higher_is_better is (cls is not FairScore)


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


# What the package is made of.
MODULES = sorted(ROOT.rglob("*.py"))
PACKAGES = [path for path in MODULES if path.name == "__init__.py"]
ALLOWED = {
    "functional": {"functional"},
    "encoders": {"encoders", "extras"},
    "media": {"media", "extras"},
    "metrics": {"functional", "encoders", "metrics", "extras", "__version__"},
    "extras": set(),
}


def dotted(path):
    return ".".join((ROOT.name, *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


def imported(tree, module, is_package):
    """Give the parts of the package that a module imports anywhere, also inside functions."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: len(module.split(".")) - node.level + is_package] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{source}.{alias.name}" for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.split(".")[0] == ROOT.name and "." in name)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    parts = set(imported(ast.parse(path.read_text()), dotted(path), path.name == "__init__.py"))
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    assert parts <= ALLOWED.get(own, parts)
    if own not in ("cli", "__main__"):
        assert "cli" not in parts


def test_imports_are_recognised():
    code = "def f():\n  from ..cli import g\n  from . import rows\n  import torchmetrics_majorscore.media.video\n"
    assert set(imported(ast.parse(code), f"{ROOT.name}.metrics.base", False)) == {"cli", "metrics", "media"}
    assert set(imported(ast.parse("from .major import x"), f"{ROOT.name}.metrics", True)) == {"metrics"}


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_all_names_what_can_be_imported(path):
    if path.parent.name == "lightning":
        pytest.importorskip("lightning")
    module = importlib.import_module(dotted(path))
    assert module.__all__ == sorted(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)
    for node in ast.parse(path.read_text()).body:  # and what is imported for users is named
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(ROOT.name):
            assert {alias.asname or alias.name for alias in node.names} <= set(module.__all__)


HEAVY = ("laion_clap", "transformers", "open_clip", "lightning", "matplotlib", "torchvision", "torchaudio", "av")
PROBE = f"""
import socket, sys
def refuse(*args, **kwargs): raise OSError("no network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import torch, torchmetrics
# torchmetrics loads some of them itself: hide those, so that importing one again raises.
for name in [name for name in sys.modules if name.split(".")[0] in {HEAVY}]: del sys.modules[name]
for name in {HEAVY}: sys.modules[name] = None
import torchmetrics_majorscore as t
m = t.MAJORScores(None)
m.update(embeddings=dict.fromkeys(("video", "text", "audio"), torch.eye(2)))
t.MAJORScore(), t.CLIPCLAPScore(), t.FairScore()
print(m.compute()["majorscore_average"].item())
"""


def test_importing_the_package_loads_no_network_library(monkeypatch):
    monkeypatch.delenv("MAJORSCORE_WEIGHTS", raising=False)
    run = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.strip()) == (0, "1.0"), run.stderr
