"""Late fusion: the head's parameters, losses as loops, tuples, scenarios, stopping, and a run that goes on."""

import dataclasses
import math

import pytest
import torch
from torch.nn.functional import normalize

pytest.importorskip("lightning")
from torchmetrics_majorscore.encoders.fusion_heads import FusionHead
from torchmetrics_majorscore.functional.retrieval import pair_retrieval, recall_at
from torchmetrics_majorscore.training.fusion import module
from torchmetrics_majorscore.training.fusion.loss import fusion_loss
from torchmetrics_majorscore.training.fusion.module import Fusion, train_fusion
from torchmetrics_majorscore.training.fusion.options import MODALITIES, SCENARIOS, FusionOptions
from torchmetrics_majorscore.training.fusion.tuples import Items, TupleSampler
from torchmetrics_majorscore.training.info_nce import one_way_info_nce

SMALL = {"steps": 6, "batch_size": 5, "dim": 8, "check_every": 3}
WIDTHS = {"text": 12, "image": 20, "audio": 9, "video": 15}


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Small matrices are slower on several threads."""


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def items(count=7, each=(8, 8, 3, 3), seed=0, noise=0.3):
    """Each class has a latent vector, which the backbones see through matrices of their own."""
    latent, rows, classes = draw(count, 6), {}, {}
    for place, (name, width) in enumerate(WIDTHS.items()):
        own = torch.arange(count).repeat(each[place])
        seen = latent[own] + noise * draw(len(own), 6, seed=10 * seed + place)
        rows[name], classes[name] = normalize(seen @ draw(6, width, seed=50 + place), dim=-1), own
    return Items(rows, classes, tuple(f"class {number}" for number in range(count)))


@pytest.mark.parametrize(("width", "count"), [(2048, 590_336), (128, 98_816), (512, 197_120)])
def test_a_head_has_the_parameters_of_the_paper(width, count):
    assert sum(parameter.numel() for parameter in FusionHead(width).parameters()) == count


def test_a_head_is_two_layers_with_a_skip():
    head, x = FusionHead(5, 4).eval(), draw(3, 5)
    (w1, b1), (w2, b2) = ((layer.weight, layer.bias) for layer in (head.first, head.second))
    first = x @ w1.T + b1
    gelu = first * 0.5 * (1 + torch.erf(first / math.sqrt(2)))
    torch.testing.assert_close(head(x), first + gelu @ w2.T + b2)
    head = FusionHead(5, 400, dropout=0.5).train()
    torch.manual_seed(0)
    dropped = (head(x) == head.first(x)).float().mean()  # of the second layer alone
    assert 0.4 < dropped < 0.6


def naive_one_way(x, y, temperature, allowed=lambda i, j: True):
    total = 0.0
    for i in range(len(x)):
        e = {j: math.exp(float(x[i] @ y[j]) / temperature) for j in range(len(y)) if i == j or allowed(i, j)}
        total -= math.log(e[i] / sum(e.values()))
    return total / len(x)


def test_losses_are_those_of_loops():
    x, y = normalize(draw(6, 5), dim=-1).double(), normalize(draw(6, 5, seed=1), dim=-1).double()
    assert one_way_info_nce(x, y, 0.05).item() == pytest.approx(naive_one_way(x, y, 0.05))
    assert one_way_info_nce(x, y, 0.05).item() != pytest.approx(naive_one_way(y, x, 0.05))
    classes = torch.tensor([0, 1, 0, 2, 1, 0])
    expected = naive_one_way(x, y, 0.2, lambda i, j: classes[i] != classes[j])
    assert one_way_info_nce(x, y, 0.2, classes[:, None] == classes).item() == pytest.approx(expected)
    rows = {name: normalize(draw(6, 5, seed=place), dim=-1).double() for place, name in enumerate(MODALITIES)}
    pairs = FusionOptions().in_play(0)
    expected = sum(naive_one_way(rows[a], rows[b], 0.05) for a in MODALITIES for b in MODALITIES if a != b) / 12
    assert fusion_loss(rows, pairs, 0.05).item() == pytest.approx(expected)


def test_pairs_in_play():
    assert [len(FusionOptions(scenario=name).in_play(0)) for name in SCENARIOS] == [2, 2, 6, 12]
    robin = [FusionOptions(scenario="round-robin").in_play(step) for step in range(12)]
    assert len({pair for both in robin for pair in both}) == 12
    assert robin[:6] == robin[6:]
    assert all(one == other[::-1] for one, other in robin)
    assert not any("video" in pair for pair in FusionOptions(scenario="tri-modal").in_play(3))
    factors = [FusionOptions(scenario=name).factor for name in SCENARIOS]
    assert factors == [1, 6, 1, 1]
    # As many pairs as quad-modal compares in as many steps.
    assert 2 * factors[1] == 12


@pytest.mark.parametrize("mode", ["auto", "unique", "literal"])
def test_tuples_are_of_one_class(mode):
    given = items()
    sampler = TupleSampler(given.classes, 7, 5, mode, 0)
    repeated = False
    for _ in range(30):
        chosen, rows = sampler.draw(MODALITIES)
        assert all(torch.equal(given.classes[name][own], chosen) for name, own in rows.items())
        repeated |= len(set(chosen.tolist())) < 5
        assert sampler.alike(chosen) is None
    assert repeated == (mode == "literal")


@pytest.mark.parametrize("size", [4, 20])
def test_scarce_modalities_are_cycled(size):
    given = items()
    sampler = TupleSampler(given.classes, 7, size, "auto", 0)
    seen = {name: [] for name in MODALITIES}
    for _ in range(40):
        chosen, rows = sampler.draw(MODALITIES)
        if size > 7:
            assert torch.equal(sampler.alike(chosen), chosen[:, None] == chosen)
        for name, own in rows.items():
            seen[name] += [row for row in own.tolist() if given.classes[name][row] == 2]
    for name, count in zip(MODALITIES, (8, 8, 3, 3), strict=True):
        rounds = [seen[name][at : at + count] for at in range(0, len(seen[name]), count)]
        assert len(set(rounds[0])) == count
        assert all(one == rounds[0][: len(one)] for one in rounds)


def train(folder, scenario="quad-modal", given=None, **options):
    own = FusionOptions(**{**SMALL, "scenario": scenario, **options})
    return train_fusion(given or items(), items(seed=1), own, folder, progress=False)


def same(one, other):
    return all(torch.equal(one.state_dict()[name], tensor) for name, tensor in other.state_dict().items())


CHANGED = {
    "scenario": "tri-modal",
    "temperature": 0.1,
    "unit": False,
    "dim": 6,
    "dropout": 0.4,
    "steps": 9,
    "batch_size": 4,
    "classes": "literal",
    "learning_rate": 1e-2,
    "weight_decay": 1.0,
    "check_every": 2,
    "patience": None,  # below
    "stop_on": None,  # only written down
    "seed": 1,
}


def test_every_option_changes_the_heads(tmp_path):
    assert set(CHANGED) == {field.name for field in dataclasses.fields(FusionOptions)}
    before = torch.get_rng_state()
    first = train(tmp_path / "first", steps=5)
    assert same(first.heads, train(tmp_path / "again", steps=5).heads)
    assert torch.equal(before, torch.get_rng_state())
    assert not first.heads.training
    for name, value in CHANGED.items():
        if value is not None:
            other = train(tmp_path / name, **{"steps": 5, name: value})
            one, two = first.heads["text"].first.weight, other.heads["text"].first.weight
            assert one.shape != two.shape or not torch.equal(one, two), name


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_scenario_learns_its_pairs(tmp_path, scenario):
    given, held_out = items(12, (20, 20, 5, 5), noise=0.1), items(12, (4, 4, 4, 4), seed=1, noise=0.1)
    shape = {"batch_size": 12, "dim": 16, "check_every": 40, "learning_rate": 1e-2}
    options = FusionOptions(scenario=scenario, steps=160 if scenario == "round-robin" else 40, **shape)
    trained = train_fusion(given, items(12, seed=2, noise=0.1), options, tmp_path, progress=False)
    assert list(trained.heads) == list(options.modalities)
    found = pair_retrieval(trained.project(held_out.embeddings), held_out.classes)
    assert len(found) == (6 if scenario == "tri-modal" else 12)
    for pair in found.values():
        assert recall_at(pair, 1).mean() > 0.5  # chance: 1 / 12


def test_training_stops_and_the_best_heads_stay(tmp_path, monkeypatch):
    losses = iter([3.0, 1.0, 2.0, 1.5, 1.2, 0.1])
    states, look = [], Fusion.validation_step

    def note(fusion, *args):
        states.append({name: tensor.clone() for name, tensor in fusion.heads.state_dict().items()})
        value = torch.tensor(next(losses))
        with monkeypatch.context() as patch:
            patch.setattr(module, "fusion_loss", lambda *_: value)
            look(fusion, *args)

    monkeypatch.setattr(Fusion, "validation_step", note)
    trained = train(tmp_path, steps=60, patience=3)
    assert (trained.steps, trained.best_step, trained.loss) == (15, 6, 1.0)
    again = train(tmp_path, steps=60, patience=3)
    assert (again.steps, again.best_step, again.loss, len(states)) == (15, 6, 1.0, 5)
    assert same(again.heads, trained.heads)
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in trained.heads.state_dict().items())


@pytest.mark.parametrize("scenario", ["quad-modal", "round-robin"])
def test_a_stopped_run_goes_on_as_if_it_had_not(tmp_path, monkeypatch, scenario):
    whole = train(tmp_path / "whole", scenario, steps=18)
    step, count = Fusion.training_step, 0

    def stop(fusion, *args):
        nonlocal count
        count += 1
        if count == 11:
            raise OSError("the power has failed")
        return step(fusion, *args)

    monkeypatch.setattr(Fusion, "training_step", stop)
    with pytest.raises(OSError, match="power"):
        train(tmp_path / "stopped", scenario, steps=18)
    again = train(tmp_path / "stopped", scenario, steps=18)
    assert count == 11 + 9  # from the third look on
    assert same(whole.heads, again.heads)
    assert (whole.steps, whole.best_step, whole.loss) == (again.steps, again.best_step, again.loss)
    assert same(whole.heads, train(tmp_path / "stopped", scenario, steps=18).heads)
    assert count == 20  # nothing is left to do
    with pytest.raises(ValueError, match="Expected an empty folder, or one of the same items and options, got"):
        train(tmp_path / "stopped", scenario, steps=20)


def test_bad_items_and_options(tmp_path):
    given = items()
    with pytest.raises(ValueError, match="Expected batch_size <= 7, the number of classes, with classes: unique, got"):
        train(tmp_path, classes="unique", batch_size=8)
    with pytest.raises(ValueError, match="Expected at least two classes, got 1"):
        Items(given.embeddings, given.classes, ("one",))
    classes = {**given.classes, "audio": given.classes["audio"] % 6}
    with pytest.raises(ValueError, match="in each class, got no audio of 'class 6'"):
        Items(given.embeddings, classes, given.names)
    with pytest.raises(ValueError, match="Expected a class for each audio"):
        Items(given.embeddings, {**given.classes, "audio": torch.arange(3)}, given.names)
    for name, value, wanted in (
        ("scenario", "duo", "one of"),
        ("dropout", 1.0, "a number in"),
        ("temperature", 0, "a number > 0"),
        ("steps", 1.5, "an integer >= 1"),
        ("unit", "yes", "one of"),
        ("patience", 0, "an integer >= 1"),
    ):
        with pytest.raises(ValueError, match=f"Expected {name} to be {wanted}"):
            FusionOptions(**{name: value})
