"""AVHScore, JavisScore and the probe of synchrony: the formulas, and the metric over them."""

import pytest
import torch
from vectors import random

from torchmetrics_majorscore import FrameScores
from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.functional import avh_score, javis_score, javis_windows, synchrony_probe
from torchmetrics_majorscore.training.world.scene import draw_scenes
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import render_sounds
from torchmetrics_majorscore.training.world.timbres import SAMPLE_RATE

CPU = torch.device("cpu")


def test_avh_is_the_mean_of_the_cosines():
    frames, audio = random(3, 5, 8, seed=0), random(3, 8, seed=1)
    expected = torch.cosine_similarity(frames.double(), audio.double()[:, None], dim=-1).mean(dim=-1)
    torch.testing.assert_close(avh_score(frames, 8 * audio), expected, atol=1e-12, rtol=0)
    with pytest.raises(
        ValueError, match=r"^Expected frames \(..., T, D\), audio \(..., D\), got \(3, 0, 8\), \(3, 8\)"
    ):
        avh_score(frames[:, :0], audio)


# Of JavisBench's segment_clip_transform (JavisDiT b505b37): frames, samples, fps, and the starts of its windows.
PUBLISHED = [
    (96, 64_000, 24, [0, 12, 24, 36, 48], [0, 8000, 16_000, 24_000, 32_000]),
    (100, 66_000, 24, [0, 12, 24, 36, 48, 52], [0, 8000, 16_000, 24_000, 32_000, 34_000]),
    (120, 64_000, 29.97, [0, 15, 30, 45, 60], [0, 8000, 16_000, 24_000, 32_000]),
    (200, 40_000, 24, [0, 12], [0, 8000]),
    (48, 64_000, 24, [0], [0]),
    (96, 32_000, 24, [0], [0]),
]


@pytest.mark.parametrize(("frames", "samples", "fps", "starts", "sounds"), PUBLISHED)
def test_windows_are_those_of_the_published_code(frames, samples, fps, starts, sounds):
    windows = javis_windows(frames, samples, fps, 16_000)
    assert [one.start for one, _ in windows] == starts
    assert [other.start for _, other in windows] == sounds
    whole = len(starts) == 1
    assert {one.stop - one.start for one, _ in windows} == {frames if whole else int(2 * fps)}
    assert {other.stop - other.start for _, other in windows} == {samples if whole else 32_000}


def test_javis_is_the_mean_of_the_lowest_cosines_of_each_window():
    frames, audio = random(2, 3, 9, 8, seed=0), random(2, 3, 8, seed=1)
    cosines = torch.cosine_similarity(frames.double(), audio.double()[:, :, None], dim=-1)
    expected = cosines.sort(dim=-1).values[..., :3].mean(dim=(1, 2))  # int(0.4 * 9)
    torch.testing.assert_close(javis_score(frames, audio), expected, atol=1e-12, rtol=0)
    assert javis_score(frames[:, :, :2], audio).isnan().all()
    frames[0, 1, 4, 2] = torch.inf
    assert javis_score(frames, audio).isnan().tolist() == [True, False]
    with pytest.raises(ValueError, match=r"^Expected frames \(..., W, N, D\)"):
        javis_score(frames, audio[:, :2])


def test_the_probe_is_the_auroc_of_the_diagonal():
    from torchmetrics_majorscore.statistics.consistency import auroc

    video, audio = random(4, 6, 8, seed=0), random(4, 6, 8, seed=1)
    similarity = torch.nn.functional.normalize(video, dim=-1) @ torch.nn.functional.normalize(audio, dim=-1).mT
    apart = ~torch.eye(6, dtype=torch.bool)
    expected = [auroc(each.diagonal().numpy(), each[apart].numpy()) for each in similarity]
    assert synchrony_probe(video, audio).tolist() == pytest.approx(expected)
    assert synchrony_probe(video, video).tolist() == [1.0] * 4
    assert synchrony_probe(video[:, :1].expand(4, 6, 8), audio[:, :1].expand(4, 6, 8)).tolist() == [0.5] * 4
    assert synchrony_probe(video[:, :1], audio[:, :1]).isnan().all()
    audio[2, 3] = 0.0
    assert synchrony_probe(video, audio).isnan().tolist() == [False, False, True, False]


@pytest.fixture(scope="module")
def changing():
    """Two clips that show another scene in each half: 8 s of frames at 2 fps, and their sounds."""
    scenes = draw_scenes([0, 70, 130, 190], 0, "test")
    frames, sounds = render_frames(scenes, fps=2), render_sounds(scenes)
    return frames.view(2, 16, 3, 64, 64), sounds.view(2, -1)


def test_the_metric_gives_what_the_formulas_give_of_the_encoder(changing):
    video, audio = changing
    metric = FrameScores("c-mcr-tiny", sample_rate=SAMPLE_RATE, fps=2)
    metric.update(video=video, audio=audio, ids=["a", "b"])
    rows = dict(zip(metric.columns, torch.cat(metric.values).T.tolist(), strict=True))
    encoder = load_encoder("c-mcr-tiny")
    frames = torch.stack([encoder.encode("video", [frame[None] for frame in clip], CPU) for clip in video])
    assert rows["avhscore"] == pytest.approx(
        avh_score(frames, encoder.encode("audio", [*audio], CPU)).tolist(), abs=1e-6
    )
    cut = 2 * SAMPLE_RATE
    windows = [(second, round(second * SAMPLE_RATE)) for second in (0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6)]
    seen = torch.stack([frames[:, int(2 * second) : int(2 * second) + 4] for second, _ in windows], dim=1)
    heard = [encoder.encode("audio", [clip[start : start + cut] for _, start in windows], CPU) for clip in audio]
    assert rows["javisscore"] == pytest.approx(javis_score(seen, torch.stack(heard)).tolist(), abs=1e-6)
    seconds = [encoder.encode("audio", list(clip.split(SAMPLE_RATE)), CPU) for clip in audio]
    probes = synchrony_probe(frames.view(2, 8, 2, -1).mean(dim=2), torch.stack(seconds))
    assert rows["synchrony"] == pytest.approx(probes.tolist(), abs=1e-6)
    assert metric.compute()["avhscore"].item() == pytest.approx(sum(rows["avhscore"]) / 2)
    assert metric.signature.startswith("framescores")
    assert "fps:2" in metric.signature


def test_a_change_that_comes_late_is_seen(changing):
    video, audio = changing
    right, late = (FrameScores("c-mcr-tiny", sample_rate=SAMPLE_RATE, fps=2) for _ in range(2))
    right.update(video=video, audio=audio)
    late.update(video=video, audio=audio.roll(2 * SAMPLE_RATE, dims=1))
    assert right.compute()["synchrony"] > late.compute()["synchrony"] + 0.1


def test_samples_and_options_that_do_not_fit_are_named(changing):
    video, audio = changing
    metric = FrameScores("c-mcr-tiny", sample_rate=SAMPLE_RATE, fps=2)
    with pytest.warns(UserWarning, match="video of sample 1 is missing"):
        metric.update(video=[video[0], None], audio=audio)
    metric.update(video=video[:1, :2], audio=audio[:1, :SAMPLE_RATE])  # one second: no other to compare with
    assert torch.cat(metric.values).isnan().tolist() == [[False] * 3, [True] * 3, [False, True, True]]
    with pytest.raises(ValueError, match=r"^Expected fps >= 1.5, three frames in 2 s, got 1: give more frames"):
        FrameScores("c-mcr-tiny", sample_rate=SAMPLE_RATE, fps=1)
    with pytest.raises(ValueError, match=r"^Expected an encoder of audio and of single frames of video, got clip"):
        FrameScores("clip-tiny")
