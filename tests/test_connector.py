"""The connector: its losses as loops, its options, and what it learns from texts and two unpaired memories alone."""

import dataclasses
import math
import random

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

pytest.importorskip("lightning")
from torchmetrics_majorscore.training import connector
from torchmetrics_majorscore.training.config import ConnectorOptions
from torchmetrics_majorscore.training.connector import (
    Connector,
    Embeddings,
    connector_losses,
    enhance,
    intra_loss,
    train_connector,
)
from torchmetrics_majorscore.training.info_nce import info_nce

SMALL = {"steps": 3, "batch_size": 16, "hidden": 12, "dim": 8}
CHANGED = {
    "temperature": 0.1,
    "memory_temperature": 0.1,
    "noise_variance": 0.02,
    "intra_weight": 1.0,
    "intra_squared": False,
    "inter": ("text",),
    "enhancement": False,
    "steps": 4,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "hidden": 16,
    "dim": 4,
    "seed": 1,
}


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Small matrices are slower on several threads."""


def units(rows, width, seed=0):
    return normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)), dim=-1)


class World:
    """Two rotations of one latent space into two encoders', with a gap between the modalities of each."""

    def __init__(self, width=32, latent=8):
        self.generator = torch.Generator().manual_seed(0)
        self.maps = [torch.linalg.qr(self.draw(width, width))[0][:latent] for _ in range(2)]
        self.gaps = 0.5 * normalize(self.draw(4, width), dim=-1)
        self.latent = latent

    def draw(self, *shape):
        return torch.randn(shape, generator=self.generator)

    def embed(self, latents, name):
        side, gap = {"text_clip": (0, 0), "text_clap": (1, 1), "image": (0, 2), "audio": (1, 3)}[name]
        exact = normalize(latents, dim=-1) @ self.maps[side] + self.gaps[gap]
        return normalize(exact + 0.02 * self.draw(*exact.shape), dim=-1)

    def embeddings(self, texts=2000, images=900, sounds=1000):
        said, seen, heard = (self.draw(rows, self.latent) for rows in (texts, images, sounds))
        both = {name: self.embed(said, name) for name in ("text_clip", "text_clap")}
        return Embeddings(**both, image=self.embed(seen, "image"), audio=self.embed(heard, "audio"))


@pytest.fixture(scope="module")
def given():
    return World(latent=4, width=12).embeddings(40, 30, 50)


def train(embeddings, **options):
    return train_connector(embeddings, ConnectorOptions(**{**SMALL, **options}), progress=False)


def same(one, other):
    return all(torch.equal(one.state_dict()[name], tensor) for name, tensor in other.state_dict().items())


def naive_nce(x, y, temperature):
    total = 0.0
    for i in range(len(x)):
        for anchor, others in ((x[i], y), (y[i], x)):
            e = [math.exp(float(anchor @ other) / temperature) for other in others]
            total -= math.log(e[i] / sum(e)) / 2
    return total / len(x)


def naive_enhance(texts, memory, temperature):
    rows = []
    for text in texts:
        e = [math.exp(float(text @ item) / temperature) for item in memory]
        mean = sum(weight / sum(e) * item for weight, item in zip(e, memory, strict=True))
        rows.append(mean / mean.norm())
    return torch.stack(rows)


def naive_loss(projected, options):
    t_clip, t_clap, v, a = (rows.detach().double() for rows in projected)
    inter = {"text": naive_nce(t_clip, t_clap, options.temperature), "memory": naive_nce(v, a, options.temperature)}
    power = 2 if options.intra_squared else 1
    distances = [(t_clip[i] - v[i]).norm() ** power + (t_clap[i] - a[i]).norm() ** power for i in range(len(v))]
    intra = float(sum(distances)) / len(v) / 2
    kept = {name: inter[name] for name in options.inter}
    return {**kept, "intra": intra, "loss": sum(kept.values()) + options.intra_weight * intra}


def test_losses_are_those_of_loops():
    x, y = units(7, 5).double(), units(7, 5, seed=1).double()
    assert info_nce(x, y, 0.2).item() == pytest.approx(naive_nce(x, y, 0.2), rel=1e-9)
    assert intra_loss(x, y).item() == pytest.approx(sum(float((x[i] - y[i]) @ (x[i] - y[i])) for i in range(7)) / 7)
    assert intra_loss(x, y, squared=False).item() == pytest.approx(sum(math.dist(x[i], y[i]) for i in range(7)) / 7)
    projected = tuple(units(6, 4, seed).double() for seed in range(4))
    for changed in ({}, {"inter": ("memory",)}, {"intra_squared": False, "intra_weight": 0.7}):
        options = ConnectorOptions(temperature=0.1, **changed)
        losses = {name: loss.item() for name, loss in connector_losses(projected, options).items()}
        assert losses == pytest.approx(naive_loss(projected, options), rel=1e-6)


def test_a_step_follows_the_formulas(monkeypatch):
    """Noise on all four, CLIP's through Head_B and CLAP's through Head_A, L of the result."""
    options = ConnectorOptions(temperature=0.1, noise_variance=0.01, hidden=12, dim=8)
    module = Connector(clap=5, clip=7, options=options)
    logged = {}
    monkeypatch.setattr(module, "log_dict", lambda values, **_: logged.update(values))
    rows = units(6, 7), units(6, 5, 1), units(6, 7, 2), units(6, 5, 3)
    module.on_fit_start()
    loss = module.training_step(rows, 0)
    generator = torch.Generator().manual_seed(options.seed)
    disturbed = [normalize(r + 0.1 * torch.randn(r.shape, generator=generator), dim=-1) for r in rows]
    clip, clap = (
        normalize(head(torch.cat([disturbed[i], disturbed[i + 2]])), dim=-1).split(6)
        for i, head in enumerate((module.heads.Head_B, module.heads.Head_A))
    )
    expected = naive_loss([clip[0], clap[0], clip[1], clap[1]], options)
    assert loss.item() == pytest.approx(expected["loss"], rel=1e-4)
    assert {name: value.item() for name, value in logged.items()} == pytest.approx(expected, rel=1e-4)


def test_enhancement_is_that_of_loops_in_any_chunks(monkeypatch):
    texts, memory = units(11, 6), units(9, 6, seed=1)
    whole = enhance(texts, memory, 0.05)
    torch.testing.assert_close(whole.double(), naive_enhance(texts.double(), memory.double(), 0.05), rtol=0, atol=1e-6)
    nearest = enhance(texts, memory, 0.05, nearest=True)
    best = [max(range(9), key=lambda k, i=i: float(texts[i] @ memory[k])) for i in range(11)]
    torch.testing.assert_close(nearest, memory[best])
    shapes = []
    monkeypatch.setattr(connector, "MOST_COSINES", 20)  # two rows of nine cosines
    monkeypatch.setattr(connector, "normalize", lambda x, dim: (shapes.append(len(x)), normalize(x, dim=dim))[1])
    torch.testing.assert_close(enhance(texts, memory, 0.05), whole, rtol=0, atol=1e-6)
    torch.testing.assert_close(enhance(texts, memory, 0.05, nearest=True), nearest)
    assert shapes == [2, 2, 2, 2, 2, 1] * 2


def test_batches_go_through_all_texts(given):
    options = ConnectorOptions(batch_size=16, steps=5)
    tables = tuple(torch.arange(40.0)[:, None] + part / 8 for part in range(4))
    batches = list(connector._Batches(tables, options))
    assert len(batches) == 5
    for batch in batches:
        assert all(torch.equal(rows, batch[0] + part / 8) for part, rows in enumerate(batch))
    rows = [set(batch[0].flatten().tolist()) for batch in batches]
    assert [len(one) for one in rows] == [16] * 5
    assert not rows[0] & rows[1]
    assert not rows[2] & rows[3]
    assert rows[0] | rows[1] != rows[2] | rows[3]
    reseeded = next(iter(connector._Batches(tables, ConnectorOptions(batch_size=16, seed=1))))
    assert set(reseeded[0].flatten().tolist()) != rows[0]
    whole = next(iter(connector._Batches(tables, ConnectorOptions(batch_size=99))))
    assert sorted(whole[0].flatten().tolist()) == list(range(40))


def test_every_option_changes_the_heads(given):
    assert set(CHANGED) == {field.name for field in dataclasses.fields(ConnectorOptions)}
    heads = train(given)
    torch.rand(1)  # another random state than before
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    assert same(heads, train(given))
    assert not heads.training
    assert not any(parameter.requires_grad for parameter in heads.parameters())
    weights = [heads.Head_A.net2[0].weight]
    for name, value in CHANGED.items():
        weight = train(given, **{name: value}).Head_A.net2[0].weight
        assert not any(torch.equal(weight, other) for other in weights), name
        weights.append(weight)
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_steps_are_counted_and_the_rate_decays(given, tmp_path, monkeypatch):
    rates, step = [], Connector.training_step

    def note(module, *args):
        rates.append(module.optimizers().param_groups[0]["lr"])
        return step(module, *args)

    monkeypatch.setattr(Connector, "training_step", note)
    monkeypatch.chdir(tmp_path)
    train(given, steps=5, learning_rate=0.002)
    assert rates == pytest.approx([0.001 * (1 + math.cos(math.pi * k / 5)) for k in range(5)])
    assert list(tmp_path.iterdir()) == []


def recall(heads, seen, heard):
    cosines = normalize(heads.Head_B(seen), dim=-1) @ normalize(heads.Head_A(heard), dim=-1).T
    own = torch.arange(len(seen))
    return float((cosines.argmax(1) == own).float().mean() + (cosines.argmax(0) == own).float().mean()) / 2


def test_what_was_never_paired_is_found():
    world = World()
    embeddings = world.embeddings()
    both = world.draw(200, world.latent)
    held_out = world.embed(both, "image"), world.embed(both, "audio")
    options = {"batch_size": 256, "hidden": 64, "dim": 32, "noise_variance": 0.001, "learning_rate": 1e-3}
    assert recall(train(embeddings, **{**options, "steps": 1}), *held_out) < 0.05  # chance: 0.005
    assert recall(train(embeddings, **{**options, "steps": 100}), *held_out) > 0.7


def test_the_order_of_the_memories_carries_nothing(given):
    """Images and sounds are never matched by row: a permuted memory gives the same heads, but for rounding."""
    generator = torch.Generator().manual_seed(0)
    for enhancement in (True, False):
        heads = train(given, steps=10, enhancement=enhancement)
        for name in ("audio", "image"):
            memory = getattr(given, name)
            permuted = memory[torch.randperm(len(memory), generator=generator)]
            other = train(dataclasses.replace(given, **{name: permuted}), steps=10, enhancement=enhancement)
            for key, tensor in heads.state_dict().items():
                torch.testing.assert_close(other.state_dict()[key], tensor, rtol=0, atol=1e-5)
        fewer = dataclasses.replace(given, audio=given.audio[:25])
        assert not same(heads, train(fewer, steps=10, enhancement=enhancement))
