"""What the comparison of scenarios prints: tables of the paper, differences, wrong tuples, galleries of equal size."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

pytest.importorskip("lightning")
pytest.importorskip("pandas")
from torchmetrics_majorscore.functional.retrieval import chance_at, pair_retrieval, recall_at
from torchmetrics_majorscore.training.fusion.comparison import measure, some_of
from torchmetrics_majorscore.training.fusion.options import MODALITIES, SCENARIOS, FusionOptions
from torchmetrics_majorscore.training.fusion.paper import compare_means, paper_tables, weakest
from torchmetrics_majorscore.training.fusion.tuples import Items
from torchmetrics_majorscore.training.fusion.wrong import wrong_tuples
from torchmetrics_majorscore.training.world.scene import draw_scenes

COUNT = 12


class Given:
    """Heads in name only: the backbones share a space, seen through noise that grows from scenario to scenario."""

    steps, best_step, loss = 100, 50, 1.0

    def __init__(self, scenario, seed=0, noise=None):
        self.options = FusionOptions(scenario=scenario, seed=seed)
        self.noise = SCENARIOS.index(scenario) * 0.5 if noise is None else noise
        self.heads = dict.fromkeys(self.options.modalities)

    def project(self, embeddings):
        generator = torch.Generator().manual_seed(self.options.seed)
        return {
            name: normalize(embeddings[name] + self.noise * torch.randn(embeddings[name].shape, generator=generator))
            for name in MODALITIES
            if name in embeddings and name in self.heads
        }


@pytest.fixture(scope="module")
def items():
    latent = torch.randn(COUNT, 8, generator=torch.Generator().manual_seed(1))
    classes = torch.arange(COUNT).repeat(4)
    names = tuple(map(str, range(COUNT)))
    return Items(dict.fromkeys(MODALITIES, latent[classes]), dict.fromkeys(MODALITIES, classes), names)


@pytest.fixture(scope="module")
def compared(items):
    return {
        scenario: measure([Given(scenario, seed) for seed in range(2)], {"test": items, "train": items})
        for scenario in SCENARIOS
    }


def test_measured_are_the_recalls_of_each_seed(items, compared):
    for scenario in SCENARIOS:
        for seed in range(2):
            found = pair_retrieval(Given(scenario, seed).project(items.embeddings), items.classes)
            assert set(found) <= set(compared[scenario].pairs["test"])
            for pair, one in found.items():
                own = compared[scenario].pairs["test"][pair][seed]
                assert own[:, 1].tolist() == recall_at(one, 5).tolist()
                assert compared[scenario].chance["test"][pair][0] == pytest.approx(chance_at(one, 1).mean().item())
    assert len(compared["tri-modal"].pairs["test"]) == 6
    assert list(compared["quad-modal"].every["test"]) == [(name, "any") for name in MODALITIES]


def test_tables_have_the_layout_of_the_paper(compared):
    tables = paper_tables(compared)
    assert list(tables) == ["I", "II", "III", "IV", "V", "VI", "I, control", "II, control"]
    assert [len(tables[number]) for number in ("I", "II", "III", "IV", "V", "VI")] == [14, 6, 8, 5, 14, 6]
    assert list(tables["III"].index)[:2] == ["Text → Image", "Text → Audio"]
    assert list(tables["IV"].index) == ["Text → Any", "Image → Any", "Audio → Any", "Mean", "Mean, published"]
    assert len(tables["I, control"]) == 13  # the paper has none
    means = {number: tables[number].loc["Mean, published"] for number in ("I", "III", "V", "VI")}
    assert [means[number]["test@10"] for number in means] == [0.15, 0.25, 0.36, 0.11]
    assert [means[number]["train@1"] for number in means] == [0.03, 0.07, 0.12, 0.01]
    rows = tables["V"].drop(index=["Mean", "Mean, published"])
    assert tables["V"].loc["Mean", "test@5"] == pytest.approx(rows["test@5"].mean())
    assert (rows["test@1_low"] <= rows["test@1"]).all()


def test_differences_are_over_common_pairs(compared):
    found = compare_means(compared)
    assert len(found) == 4
    pairs = {name: compared[name].pairs["test"] for name in SCENARIOS}
    common = pairs["tri-modal"]
    expected = np.mean([pairs["quad-modal"][pair][..., 0].mean() - common[pair][..., 0].mean() for pair in common])
    row = found.loc["quad-modal less tri-modal (one modality more)"]
    assert row["test@1"] == pytest.approx(expected)
    assert row["test@1_low"] <= row["test@1"] <= row["test@1_high"]
    assert row["of each seed at 1"].count(",") == 1


def test_the_weakest_pair_is_measured_in_chances(compared):
    row = weakest(compared).loc["quad-modal"]
    means = {pair: values[..., 0].mean() for pair, values in compared["quad-modal"].pairs["test"].items()}
    assert row["times chance"] == pytest.approx(min(means.values()) / (4 / 48))
    assert row["best step of steps taken"] == "50 of 100, 50 of 100"


def test_one_wrong_modality_is_found(items):
    found = wrong_tuples([Given("quad-modal", seed, noise=0.1) for seed in range(2)], items)
    assert list(found.index) == [*MODALITIES, "any"]
    assert (found["AUROC of MAJORScore"] > 0.95).all()
    assert (found["which one"] > 0.9).all()
    assert found.loc["any", "n"] == 2 * 4 * 48
    assert found["pairs"].tolist() == [6] * 5
    blind = wrong_tuples([Given("quad-modal", 0, noise=100.0)], items)
    assert blind.loc["any", "which one"] == pytest.approx(0.25, abs=0.12)
    assert blind.loc["any", "AUROC of MAJORScore"] == pytest.approx(0.5, abs=0.12)


def test_a_training_set_is_cut_to_the_size_of_the_test(items):
    cut = some_of(items, 2)
    for name in MODALITIES:
        assert cut.classes[name].bincount().tolist() == [2] * COUNT
        assert torch.equal(cut.embeddings[name][:COUNT], items.embeddings[name][:COUNT])


def test_splits_of_the_world_share_no_scene():
    pytest.importorskip("tqdm")
    from torchmetrics_majorscore.training.fusion.embedded import WorldOptions, _scenes
    from torchmetrics_majorscore.training.world.scene import unseen

    drawn = _scenes(WorldOptions(2, 2, 1, 1, 1, 1))
    seeds = {split: {scene.seed for own in names.values() for scene in own} for split, names in drawn.items()}
    assert not seeds["train"] & seeds["validation"]
    assert not seeds["test"] & (seeds["train"] | seeds["validation"])
    of = {split: {scene.combination for own in names.values() for scene in own} for split, names in drawn.items()}
    assert (len(of["train"]), len(of["validation"]), len(of["test"])) == (144, 168, 192)
    assert not of["validation"] & set(unseen("test"))
    train = [{scene.seed for scene in own} for own in drawn["train"].values()]
    assert sum(map(len, train)) == len(set.union(*train)) == 144 * 6  # items of a class are of different scenes
    assert drawn["test"]["audio"] == drawn["test"]["text"]
    towers = {scene.seed for draw in range(3) for scene in draw_scenes(unseen("train") * 2, draw, "train")}
    assert not seeds["train"] & towers
    assert math.isfinite(sum(seeds["test"]))
