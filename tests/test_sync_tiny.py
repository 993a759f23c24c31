"""``sync-tiny``: planted shifts are found, clips of any length have values, slow videos have reasons; its recipe."""

import pickle
import warnings
from itertools import product

import pytest
import torch

from torchmetrics_majorscore import DeSync, V2AMetrics
from torchmetrics_majorscore.functional.desync import sync_offsets
from torchmetrics_majorscore.networks.sync_tiny import DIM, FPS, SIZE, SyncTiny, shrink
from torchmetrics_majorscore.networks.synchrony import load_sync
from torchmetrics_majorscore.training.synchrony import SyncOptions, crop, draw_lags, fit
from torchmetrics_majorscore.training.world.scene import Scene
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import render_sounds

CPU, RATE = torch.device("cpu"), 48_000
SCENES = [
    Scene(kind, "large", "slow", place, "red", "loud", seed=9_000_000 + number)
    for number, (kind, place) in enumerate(product(("drum", "bell", "clock", "horn"), ("cave", "sea")))
]


@pytest.fixture(scope="module")
def clips():
    return render_frames(SCENES, FPS), render_sounds(SCENES)


def offsets(videos, sounds):
    network = load_sync("sync-tiny")
    heard = network.encode_audio(list(sounds), RATE, CPU)
    return sync_offsets(network.compare(network.encode_video(list(videos), CPU), heard, CPU))


@pytest.mark.parametrize("late", [0.0, 0.4, -0.4])
def test_planted_shifts_are_found(clips, late):
    frames, sounds = clips
    shift = round(abs(late) * FPS)
    early = frames[:, : 100 - shift], sounds[:, shift * RATE // FPS :]
    delayed = frames[:, shift:], sounds[:, : sounds.shape[1] - shift * RATE // FPS]
    found = offsets(*(early if late < 0 else delayed))
    assert torch.equal(found[:, 0], found[:, 1])  # one window
    assert (found[:, 0] - late).abs().median() < 0.1
    assert ((found[:, 0] - late).abs() < 0.1).double().mean() >= 0.75


def test_a_clip_of_any_length_has_vectors_for_each_frame_and_the_same_in_any_batch(clips):
    network, videos = load_sync("sync-tiny"), [clips[0][0], clips[0][1][:26], clips[0][2].repeat(2, 1, 1, 1)]
    seen = network.encode_video(videos, CPU)
    assert [tuple(rows.shape) for rows in seen] == [(100, 1, DIM), (26, 1, DIM), (200, 1, DIM)]
    assert torch.equal(network.encode_video(videos[1:2], CPU)[0], seen[1])
    sounds = [clips[1][0], clips[1][1][:RATE], clips[1][2].repeat(2)]
    heard = network.encode_audio(sounds, RATE, CPU)
    assert [len(rows) for rows in heard] == [100, 25, 200]
    logits = network.compare(seen, heard, CPU)
    assert logits.shape == (3, 2, 21)
    assert logits.isfinite().all()
    assert (sync_offsets(logits)[2] == 0.0).all()


def test_it_is_loaded_by_name_and_says_which_weights_it_has():
    network = load_sync("sync-tiny")
    assert network is load_sync("sync-tiny") is pickle.loads(pickle.dumps(network))
    assert network.name.startswith("sync-tiny@")
    assert (network.fps, network.shortest, network.column) == (25, 1.0, "desync_tiny")
    with pytest.raises(ValueError, match="'synchformer' or 'sync-tiny' or a network object, got 'tiny'"):
        load_sync("tiny")


def test_pictures_of_any_size_are_seen(clips):
    large = clips[0][0].repeat_interleave(4, dim=-1).repeat_interleave(4, dim=-2)
    assert torch.equal(shrink(large), shrink(clips[0][0]))


def test_a_slow_video_gets_a_reason_and_no_number(clips):
    metric = DeSync(network=load_sync("sync-tiny"), sample_rate=RATE, fps=12)
    with pytest.warns(UserWarning, match="has 12 frames per second, and 25 are compared") as said:
        metric.update(audio=list(clips[1][:2]), video=list(clips[0][:2]), ids=["a", "b"])
    assert sum("25 are compared" in str(one.message) for one in said) == 1
    assert metric.rows()["first"].isnan().all()


def test_the_embedded_world_has_a_column_of_its_own(clips):
    def columns(**options):
        return {name for name in V2AMetrics("c-mcr-tiny", sample_rate=RATE, **options) if name.startswith("desync")}

    assert columns(fps=25) == columns(fps=30) == columns(fps=25, networks=["sync-tiny"]) == {"desync_tiny"}
    assert columns(fps=8) == columns() == columns(fps=25, free=False) == set()
    assert columns(fps=25, networks={"synchformer": load_sync(weights="seeded")}) == {"desync"}
    metrics = V2AMetrics("c-mcr-tiny", sample_rate=RATE, fps=25)
    given = {"text": ["a bell", "a drum"], "target_audio": clips[1][:2], "ids": ["a", "b"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two clips are few for the distance
        metrics.update(video=clips[0][:2], audio=clips[1][:2], **given)
        assert metrics.compute()["desync_tiny"] == 0.0


def test_lags_are_those_by_which_the_sound_comes_later():
    vectors = torch.randn(3, 40, DIM, generator=torch.Generator().manual_seed(0))
    sounds = torch.stack([vectors[row].roll(lag, 0) for row, lag in enumerate((0, 7, -4))])
    scores = SyncTiny().lags(vectors, sounds, 10)
    assert (scores.argmax(dim=-1) - 10).tolist() == [0, 7, -4]
    assert torch.allclose(scores[1:2], SyncTiny().lags(vectors[1:2], sounds[1:2], 10), atol=1e-3)


def test_windows_of_picture_and_sound_differ_by_the_drawn_lag():
    generator = torch.Generator().manual_seed(0)
    lags = draw_lags(200, 40, generator)
    assert {-40 <= lag <= 40 for lag in lags.tolist()} == {True}
    assert (lags == 0).sum() > (lags.abs() == 30).sum()
    frames = torch.arange(100.0).view(1, 100, 1, 1, 1).expand(200, -1, -1, -1, -1)
    mels = torch.arange(100.0).repeat_interleave(4).view(1, 400, 1).expand(200, -1, -1)
    pictures, sounds = crop(frames, mels, lags, 60, generator)
    assert pictures.shape == (200, 60, 1, 1, 1)
    assert torch.equal(pictures[:, 0].flatten() - sounds[:, 0, 0], lags.float())
    assert torch.equal(sounds[:, -1, 0] - sounds[:, 0, 0], torch.full((200,), 59.0))


def test_the_recipe_learns():
    generator = torch.Generator().manual_seed(0)
    beats = (torch.rand(8, 100, generator=generator) < 0.15).float()
    frames = (beats.view(8, 100, 1, 1, 1).expand(-1, -1, 3, SIZE, SIZE) * 255).to(torch.uint8)
    mels = beats.repeat_interleave(4, dim=1)[..., None].expand(-1, -1, 40) * 6.0
    torch.manual_seed(0)
    network = SyncTiny()
    fit(network, frames, mels, SyncOptions(steps=30, batch_size=6, noise=0.1))
    lags = network.lags(network.see(frames[:, 10:80]), network.hear(mels[:, 28:308]), 10)
    assert (lags.argmax(dim=-1) - 10).eq(3).float().mean() > 0.7
    assert not any(parameter.requires_grad for parameter in network.parameters())
