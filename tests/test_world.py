"""The embedded world: splits that do not leak, renders that show and sound what the scene says."""

from dataclasses import replace

import pytest
import torch

from torchmetrics_majorscore.training.world import sight
from torchmetrics_majorscore.training.world.captions import WORDINGS, caption, describe, vocabulary
from torchmetrics_majorscore.training.world.scene import (
    ATTRIBUTES,
    COMBINATIONS,
    KINDS,
    SECONDS,
    Scene,
    draw_scenes,
    unseen,
    with_wrong_attribute,
)
from torchmetrics_majorscore.training.world.sight import frame_at, render_frames
from torchmetrics_majorscore.training.world.sound import render_sounds
from torchmetrics_majorscore.training.world.timbres import SAMPLE_RATE
from torchmetrics_majorscore.training.world.view import write_mp4

SCENE = Scene("bell", "large", "slow", "sea", "red", "loud", seed=7)


def test_combinations_are_held_out_and_every_value_is_seen_in_training():
    train, validation, test = (unseen(split) for split in ("train", "validation", "test"))
    assert (len(train), len(validation), len(test)) == (144, 24, 24)
    assert sorted(train + validation + test) == list(range(192))
    for place in range(4):
        assert {COMBINATIONS[c][place] for c in train} == {c[place] for c in COMBINATIONS}
    with pytest.raises(ValueError, match=r"Expected combinations for training, got the held-out \("):
        draw_scenes([test[0]], 0, "train")


def test_no_two_draws_have_a_scene_in_common():
    draws = [(0, "train"), (1, "train"), (0, "validation"), (0, "test"), (1, "test")]
    seeds = [{scene.seed for scene in draw_scenes(unseen("train"), seed, split)} for seed, split in draws]
    assert len(set.union(*seeds)) == sum(map(len, seeds))
    assert draw_scenes([1, 2], 0, "test") == draw_scenes([1, 2], 0, "test")


def test_wordings_of_test_are_new_but_their_words_are_not():
    assert not set(WORDINGS["train"]) & set(WORDINGS["test"])
    scenes = draw_scenes(list(range(192)) * 5, 0, "test")
    trained = {word for s in scenes for w in WORDINGS["train"] for word in describe(s, w).replace(",", "").split()}
    tested = {word for s in scenes for word in caption(s, "test").replace(",", "").split()}
    assert tested - trained <= {"a", "an"}
    assert tested | trained <= vocabulary()
    assert caption(replace(SCENE, kind="anvil", seed=1), "train") == caption(
        replace(SCENE, kind="anvil", seed=1), "train"
    )
    assert describe(replace(SCENE, kind="anvil"), "a {kind}") == "an anvil"


def test_hard_negative_differs_in_one_attribute():
    for scene in draw_scenes(list(range(0, 192, 5)), 0, "test"):
        wrong = with_wrong_attribute(scene)
        assert sum(getattr(scene, name) != getattr(wrong, name) for name in ATTRIBUTES) == 1
        assert replace(wrong, size=scene.size, tempo=scene.tempo, place=scene.place) == scene
        assert caption(scene, "test") != caption(wrong, "test")


def test_a_render_does_not_depend_on_its_neighbours():
    scenes = draw_scenes(list(range(0, 192, 8)), 0, "test")
    scenes += [replace(scene, companion="frog") for scene in scenes[:2]]
    frames, sounds = render_frames(scenes, 2.0), render_sounds(scenes)
    assert frames.shape == (26, 8, 3, 64, 64)
    assert sounds.shape == (26, SECONDS * SAMPLE_RATE)
    assert sounds.abs().max() <= 1.0
    for row in (0, 9, 25):
        assert torch.equal(render_frames(scenes[row : row + 1], 2.0)[0], frames[row])
        assert torch.equal(render_sounds(scenes[row : row + 1])[0], sounds[row])
    assert torch.equal(frame_at(scenes[:1], torch.tensor([[0.0]])), render_frames(scenes[:1], 0.25))


@pytest.mark.parametrize(
    ("changes", "seen", "heard"),
    [
        ({"kind": "cat"}, True, True),
        ({"size": "small"}, True, True),
        ({"tempo": "fast"}, True, True),
        ({"place": "rain"}, True, True),
        ({"volume": "quiet"}, True, True),
        ({"seed": 8}, True, True),
        ({"colour": "blue"}, True, False),
        ({"companion": "frog"}, True, False),
        ({"noise_db": 10.0}, False, True),
    ],
)
def test_each_attribute_shows_where_it_should(changes, seen, heard):
    other = replace(SCENE, **changes)
    assert torch.equal(render_frames([SCENE]), render_frames([other])) is not seen
    assert torch.equal(render_sounds([SCENE]), render_sounds([other])) is not heard


def test_every_kind_has_a_silhouette_and_a_sound_of_its_own():
    scenes = [replace(SCENE, kind=kind) for kind in KINDS]
    for renders in (render_frames(scenes).flatten(1).float(), render_sounds(scenes)):
        distances = torch.cdist(renders, renders)
        assert distances[~torch.eye(len(KINDS), dtype=torch.bool)].min() > 0.05 * distances.max()


def test_small_sounds_higher_and_loud_is_louder():
    def centroid(scenes):
        power = torch.stft(render_sounds(scenes), 2048, window=torch.hann_window(2048), return_complex=True).abs() ** 2
        power = power.sum(dim=-1)[:, 8:]  # above the rumble of a cave
        return (power * torch.arange(power.shape[1])).sum(dim=-1) / power.sum(dim=-1)

    cave = [replace(SCENE, kind=kind, place="cave", noise_db=60.0) for kind in KINDS]
    higher = centroid([replace(scene, size="small") for scene in cave]) > centroid(cave)
    assert higher.double().mean() >= 15 / 16
    loudness = [render_sounds([replace(s, volume=v) for s in cave]).square().mean(dim=-1) for v in ("quiet", "loud")]
    assert (loudness[1] > 2 * loudness[0]).all()


def test_tempo_can_be_heard_and_seen_in_a_single_frame(monkeypatch):
    slow = [replace(SCENE, kind=kind, volume="quiet", seed=seed) for kind in KINDS for seed in range(3)]
    fast = [replace(scene, tempo="fast") for scene in slow]
    rates = [len([t for t in scene.events() if 0 <= t < SECONDS]) / SECONDS for scene in slow + fast]
    assert max(rates[:48]) < 1.6
    assert min(rates[48:]) > 2.2

    exposed = [render_frames(scenes).float() for scenes in (slow, fast)]
    monkeypatch.setattr(sight, "EXPOSURE", 1e-6)
    instant = [render_frames(scenes).float() for scenes in (slow, fast)]
    blur = [(a - b).square().mean(dim=(1, 2, 3, 4)) for a, b in zip(exposed, instant, strict=True)]
    assert (blur[1] > blur[0]).double().mean() > 0.75


def test_noise_has_the_asked_ratio():
    clean, noisy = (render_sounds([replace(SCENE, noise_db=ratio)])[0].double() for ratio in (200.0, 10.0))
    ratio = 10 * torch.log10(clean.square().mean() / (noisy - clean).square().mean())
    assert ratio == pytest.approx(10.0, abs=0.1)


def test_the_sound_of_a_written_clip_stands_where_it_stood(tmp_path):
    """What AAC puts in front of a sound is no part of it: 1024 samples, by which DeSync took one beat for the next."""
    pytest.importorskip("av")
    from torchmetrics_majorscore.media import read_waveform

    (sound,) = render_sounds(draw_scenes([0], 0, "train"))
    write_mp4(tmp_path / "clip.mp4", torch.zeros(100, 3, 16, 16, dtype=torch.uint8), 25.0, sound, SAMPLE_RATE)
    (heard,), _ = read_waveform(tmp_path / "clip.mp4")
    size = len(sound) + len(heard)
    alike = torch.fft.irfft(torch.fft.rfft(heard, size) * torch.fft.rfft(sound, size).conj(), size)
    assert int(alike.argmax()) == 0
