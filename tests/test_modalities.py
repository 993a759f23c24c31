"""Any modality of an encoder, from update to the value: pictures, and tensors of a declared shape."""

import copy
import pickle
from itertools import combinations

import pytest
import torch
from vectors import random

from torchmetrics_majorscore import FairScore, MAJORScore, MAJORScores, V2AMetrics
from torchmetrics_majorscore.functional import fair_score, major_score, pair_similarities
from torchmetrics_majorscore.metrics.conditions import Conditions

SIX = ("video", "image", "text", "audio", "depth", "imu")
RATES = {"sample_rate": 8000, "fps": 2}


class Senses:
    """An encoder of six modalities: a random projection of a sample's mean values."""

    name = "senses@1"
    sample_rate = 8000
    shapes = {"depth": (1, None, 4), "imu": (None, 6)}  # noqa: RUF012

    def __init__(self, modalities=SIX):
        self.modalities = modalities
        self.seen = []

    def _project(self, modality, rows):
        self.seen.append((modality, len(rows)))
        return torch.nn.functional.normalize(
            torch.stack(rows).abs() @ random(3, 8, seed=SIX.index(modality)).abs(), dim=-1
        )

    def encode_video(self, batch):
        assert all(frames.dtype == torch.uint8 for frames in batch)
        return self._project("video", [frames.float().mean(dim=(0, 2, 3)) for frames in batch])

    def encode_image(self, batch):
        assert all(picture.dtype == torch.uint8 and picture.ndim == 3 for picture in batch)
        return self._project("image", [picture.float().mean(dim=(1, 2)) for picture in batch])

    def encode_text(self, batch):
        return self._project("text", [torch.tensor([len(text), text.count("a"), 1.0]) for text in batch])

    def encode_audio(self, batch):
        return self._project("audio", [torch.stack([x.mean(), x.std(), x.abs().max()]) for x in batch])

    def encode_depth(self, batch):
        assert all(x.dtype == torch.float32 for x in batch)
        return self._project("depth", [torch.stack([x.mean(), x.std(), x.max()]) for x in batch])

    def encode_imu(self, batch):
        return self._project("imu", [torch.stack([x[:, :3].std(), x[:, 3:].std(), x.max()]) for x in batch])


def batch(rows=4, modalities=SIX):
    inputs = {
        "video": random(rows, 3, 3, 8, 8).sigmoid(),
        "image": random(rows, 3, 8, 8, seed=1).sigmoid().mul(255).to(torch.uint8),
        "text": [f"{'a' * number} caption" for number in range(rows)],
        "audio": random(rows, 12_000, seed=2).tanh(),
        "depth": random(rows, 1, 6, 4, seed=3),
        "imu": [random(5 + row, 6, seed=4 + row) for row in range(rows)],
    }
    return {name: inputs[name] for name in modalities}


@pytest.mark.parametrize("modalities", [SIX, SIX[1:], SIX[1:5], ("image", "text"), ("audio", "depth")], ids="-".join)
def test_scores_are_those_of_the_embeddings(modalities, tmp_path):
    encoder = Senses(modalities)
    anchor = "text" if "text" in modalities else "all"
    metric = MAJORScore(encoder=encoder, pairs=anchor, **RATES)
    metric.update(**batch(modalities=modalities), ids=list("abcd"))
    embeddings = metric.encode(**batch(modalities=modalities))
    assert set(embeddings) == set(modalities)
    torch.testing.assert_close(metric.compute(), major_score(embeddings, pairs=anchor).mean())
    assert list(metric.rows())[1:] == ["-".join(pair) for pair in combinations(modalities, 2)]
    if len(modalities) > 2:
        fair = FairScore(encoder, **RATES)
        fair.update(embeddings=embeddings)
        similarities = pair_similarities(embeddings, "all")
        torch.testing.assert_close(fair.compute(), fair_score(similarities).mean())
        apart = [(one - other).abs() for one, other in combinations(similarities.unbind(dim=-1), 2)]
        assert len(apart) == {6: 105, 5: 45, 4: 15}[len(modalities)]
        torch.testing.assert_close(fair.compute(), torch.stack(apart).mean())
    metric.save_rows(tmp_path / "rows")
    later = MAJORScore(encoder=Senses(modalities), pairs=anchor, **RATES)
    later.merge_rows(tmp_path / "rows")
    assert torch.equal(later.compute(), metric.compute())
    assert later.rows()["id"] == list("abcd")


def test_the_collection_has_a_column_for_each_pair_and_encodes_once():
    encoder = Senses()
    scores = MAJORScores(encoder, **RATES)
    scores.update(**batch())
    values = scores.compute()
    assert {f"similarity_{one}_{other}" for one, other in combinations(SIX, 2)} <= values.keys()
    assert sorted(encoder.seen) == [(name, 4) for name in sorted(SIX)]


def test_a_sample_without_one_modality_keeps_its_other_pairs():
    metric = MAJORScore(encoder=Senses(), pairs="all", **RATES)
    given = batch()
    given["image"] = [None, *given["image"][1:]]
    given["depth"][1, 0, 2, 3] = torch.nan
    with pytest.warns(UserWarning, match=r"image of sample 0 .*missing|depth of sample 1 .*NaN"):
        metric.update(**given, ids=list("abcd"))
    rows = metric.rows()
    assert [x != x for x in rows["image-text"].tolist()] == [True, False, False, False]
    assert [x != x for x in rows["text-depth"].tolist()] == [False, True, False, False]
    assert not rows["video-text"].isnan().any()


def test_every_modality_but_sound_is_a_condition():
    encoder = Senses()
    metric = MAJORScore(encoder=encoder, pairs="all", cache_conditions=True, **RATES)
    metric.update(**batch(), ids=list("abcd"))
    first = metric.compute()
    metric.reset()
    encoder.seen.clear()
    metric.update(audio=batch()["audio"], ids=list("abcd"))
    assert encoder.seen == [("audio", 4)]
    assert torch.equal(metric.compute(), first)


@pytest.mark.parametrize("kept", [("audio", "depth"), ("audio", "text", "video", "depth")], ids="-".join)
def test_any_modality_may_be_a_condition(kept):
    """Where pictures are made of sound, it is the sound that stays the same."""
    encoder = Senses()
    metric = MAJORScore(encoder=encoder, pairs="all", cache_conditions=Conditions(modalities=kept), **RATES)
    new = batch() | {"image": batch()["image"].flip(0)}
    for given in (batch(), new):
        plain = MAJORScore(encoder=Senses(), pairs="all", **RATES)
        plain.update(**given, ids=list("abcd"))
        metric.reset()
        encoder.seen.clear()
        metric.update(
            **(given if given is not new else {n: x for n, x in new.items() if n not in kept}), ids=list("abcd")
        )
        assert torch.equal(metric.compute(), plain.compute())
    assert {name for name, _ in encoder.seen} == set(SIX) - set(kept)
    again = pickle.loads(pickle.dumps(metric.conditions))
    assert [again.hold(name) for name in SIX] == [copy.deepcopy(metric).conditions.hold(name) for name in SIX]
    assert again.hold("audio")
    assert not again.hold("image")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": torch.zeros(4, 1, 6, 5)}, r"depth of shape \(1, any, 4\) per sample, .* got \(1, 6, 5\)"),
        ({"depth": torch.zeros(4, 6, 4)}, r"got \(6, 4\)"),
        ({"depth": [[1.0]] * 4}, "Expected depth as tensors, got list"),
        ({"imu": torch.zeros(4, 9, 7)}, r"imu of shape \(any, 6\) per sample, .* got \(9, 7\)"),
        ({"image": torch.zeros(3, 8, 8)}, "one image needs a batch dimension"),
        ({"image": torch.zeros(4, 8, 8, 3)}, r"channels last\? use .movedim"),
        ({"image": torch.zeros(4, 3, 8, 8, dtype=torch.int64)}, "Expected image as uint8 or float"),
        ({"image": torch.full((4, 3, 8, 8), 200.0)}, r"float image in \[0, 1\]"),
        ({"touch": torch.zeros(4, 3)}, "Expected inputs out of video, image, text, audio, depth, imu, got touch"),
    ],
)
def test_mistakes_are_named(change, message):
    metric = MAJORScore(encoder=Senses(), **RATES)
    with pytest.raises(ValueError, match=message):
        metric.update(**(batch() | change))


@pytest.mark.parametrize("run", ["update", "forward"])
@pytest.mark.parametrize("kind", [MAJORScores, V2AMetrics])
def test_a_collection_refuses_what_none_of_it_takes(kind, run):
    scores = kind(Senses(), **RATES, **({"target": False, "free": False} if kind is V2AMetrics else {}))
    with pytest.raises(
        ValueError, match=r"a metric of the collection takes, got touch beside video, image, text, audio"
    ):
        getattr(scores, run)(**batch(), touch=torch.zeros(4, 3))
    assert scores["fairscore"].rows()["id"] == []


def test_of_two_modalities_a_collection_has_no_fairscore():
    scores = MAJORScores(Senses(("image", "text")))
    scores.update(**batch(modalities=("image", "text")), ids=list("abcd"))
    values = scores.compute()
    assert set(values) == {*(f"majorscore_{how}" for how in ("sum", "product", "average")), "similarity_image_text"}
    assert values["majorscore_average"] == values["similarity_image_text"]
    rows = scores.rows()["image-text"]  # in float32, which the mean is not
    torch.testing.assert_close(values["similarity_image_text"], rows.mean(), atol=2e-7, rtol=0)


def test_a_name_of_an_encoder_is_not_the_first_argument():
    with pytest.raises(ValueError, match=r"got 'clip-tiny'; an encoder goes by its name, encoder="):
        MAJORScore("clip-tiny")


def test_one_modality_has_no_pairs():
    with pytest.raises(ValueError, match=r"^Expected at least two modalities, got text"):
        MAJORScore(encoder=Senses(("text",)))


def test_a_modality_without_a_shape_is_refused():
    encoder = Senses()
    encoder.shapes = {}
    with pytest.raises(TypeError, match=r"Expected an encoder with shapes\['depth'\]"):
        MAJORScore(encoder=encoder)


@pytest.mark.filterwarnings("ignore:The .*dataloader.* does not have many workers")
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.. is deprecated")
def test_the_callback_takes_what_the_encoder_names():
    lightning = pytest.importorskip("lightning.pytorch")
    from torchmetrics_majorscore.lightning import MAJORScoreCallback

    class Module(lightning.LightningModule):
        def validation_step(self, batch, _):
            return {"audio": batch["audio"]}

    paths = {name: f"batch.{name}" for name in (*SIX, "ids")} | {"audio": "outputs.audio"}
    callback = MAJORScoreCallback(paths, MAJORScores(Senses(), pairs="all", **RATES))
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = lightning.Trainer(accelerator="cpu", callbacks=callback, **quiet)
    given = batch() | {"ids": list("abcd")}
    (logged,) = trainer.validate(Module(), torch.utils.data.DataLoader([given], batch_size=None), verbose=False)
    expected = MAJORScores(Senses(), pairs="all", **RATES)
    expected.update(**given)
    assert logged == {f"val/{name}": pytest.approx(value.item()) for name, value in expected.compute().items()}
    assert len([name for name in logged if name.startswith("val/similarity_")]) == 15
    with pytest.raises(ValueError, match="got 'touch'"):
        MAJORScoreCallback(paths | {"touch": "batch.touch"}, MAJORScore(encoder=Senses(), **RATES))
