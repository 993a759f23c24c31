"""Onsets: detection, matching and scores, against MMAudio's script and mir_eval."""

import copy
import math
import pickle

import pytest
import torch

from torchmetrics_majorscore import OnsetScores
from torchmetrics_majorscore.functional import Onsets, detect_onsets, onset_scores

pytestmark = pytest.mark.filterwarnings("ignore:The ``compute`` method of metric .* was called before:UserWarning")
TRUE = torch.arange(8, dtype=torch.float64) * 0.9 + 0.5
# MMAudio 974010a, eval_onsets.py run as it is on files of these sounds (librosa 0.11, scikit-learn 1.9): accuracy, AP
# and F1 with --delta 0.3; and mir_eval 0.8.2, onset.f_measure of our strict detections with window=0.1.
CASES = {
    "all": (TRUE.tolist(), (1.0, 1.0, 1.0), 1.0),
    "first": (TRUE[:1].tolist(), (0.125, 1.0, 1.0), 0.2222),
    "first four": (TRUE[:4].tolist(), (0.5, 1.0, 1.0), 0.6667),
    "last four": (TRUE[4:].tolist(), (0.5, 1.0, 0.6667), 0.6667),
    "silence": ([], (0.0, 1.0, 0.0), 0.0),
    "late by 0.25 s": ((TRUE + 0.25).tolist(), (1.0, 1.0, 1.0), 0.0),
    "late by 0.4 s": ((TRUE + 0.4).tolist(), (0.0, 0.5, 0.0), 0.0),
}


def track(times):
    g = torch.Generator().manual_seed(0)
    wave = 0.002 * torch.randn(176_400, generator=g) * bool(times)
    burst = torch.randn(3000, generator=g) * torch.exp(-torch.arange(3000) / 500)
    for time in times:
        at = round(time * 22_050)
        wave[at : at + 3000] += 0.2 * burst[: len(wave) - at]
    return wave.clamp(-1, 1)


@pytest.mark.parametrize("name", CASES)
def test_scores_are_those_of_the_published_script(name):
    times, published, _ = CASES[name]
    found = detect_onsets(track(times), protocol="mmaudio")
    assert onset_scores(found, TRUE, protocol="mmaudio") == pytest.approx(published, abs=5e-5)


@pytest.mark.parametrize("name", CASES)
def test_strict_f1_is_that_of_mir_eval(name):
    times, _, expected = CASES[name]
    found = detect_onsets(track(times))
    assert found.times.tolist() == pytest.approx(times, abs=0.05)
    accuracy, average_precision, f1 = onset_scores(found, TRUE)
    assert f1 == pytest.approx(expected, abs=5e-5)
    assert average_precision <= accuracy  # what is never met keeps recall below 1
    if name == "silence":
        assert (accuracy, average_precision, f1) == (0, 0, 0)


def drawn(number, seed):
    return torch.rand(number, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).mul(4).sort().values


def test_matching_is_one_to_one_and_as_large_as_can_be():
    g = torch.Generator().manual_seed(7)
    true, times = (torch.rand(n, generator=g, dtype=torch.float64).mul(4).sort().values for n in (9, 12))
    accuracy, _, f1 = onset_scores(Onsets(times, times, times), true)
    # mir_eval 0.8.2: onset.f_measure(true, times, window=0.1); 3000 more random cases were compared when this was made
    assert (f1, accuracy) == pytest.approx((0.28571428571428575, 0.3333333333333333))
    near = torch.tensor([1.0, 1.08])
    assert onset_scores(Onsets(near, near, near), torch.tensor([0.95])).f1 == pytest.approx(2 / 3)
    assert onset_scores(Onsets(near, near, near), torch.tensor([0.99, 1.0])).f1 == 1.0
    # A greedy match of the middle detection to its nearest onset would leave one of the two others without.
    assert onset_scores(Onsets(near, near, near), torch.tensor([1.04, 1.15])).f1 == 1.0


def test_average_precision_by_hand():
    times = torch.tensor([1.0, 2.0, 3.0])
    preds = Onsets(times, torch.tensor([0.9, 0.8, 0.7]), times)
    # precision 1, 1/2, 2/3 at recall 1/4, 1/4, 2/4
    assert onset_scores(preds, torch.tensor([1.0, 3.0, 5.0, 7.0])).average_precision == pytest.approx(1 / 4 + 2 / 3 / 4)


def test_what_is_not_defined_is_nan():
    none, one = torch.empty(0), torch.ones(1)
    accuracy, average_precision, f1 = onset_scores(Onsets(none, none, none), none)
    assert all(map(math.isnan, (accuracy, average_precision, f1)))
    accuracy, average_precision, f1 = onset_scores(Onsets(one, one, one), none)
    assert math.isnan(accuracy)
    assert math.isnan(average_precision)
    assert f1 == 0
    assert all(map(math.isnan, onset_scores(Onsets(none, none, none), none, protocol="mmaudio")))
    assert onset_scores(Onsets(one, one, one), none, protocol="mmaudio") == (0, 0, 0)


def test_an_onset_at_the_very_start_is_no_error():
    # The script would take the waveform from a negative place and raise, but no peak comes before the fourth frame.
    wave = torch.zeros(22_050)
    wave[600:700] = 0.5
    for protocol in ("strict", "mmaudio"):
        assert detect_onsets(wave, protocol=protocol).confidence.tolist() == pytest.approx([1.0], abs=1e-5)
        assert detect_onsets(wave, protocol=protocol).times.tolist() == [1536 / 22_050]


@pytest.mark.parametrize("wave", [torch.empty(0), torch.zeros(30_000), torch.zeros(3), torch.full((9000,), math.nan)])
def test_no_onsets(wave):
    assert [len(part) for part in detect_onsets(wave)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: detect_onsets(torch.ones(2, 9)), "Expected a mono waveform (S,), floating, got (2, 9) torch.float32"),
        (lambda: detect_onsets(torch.ones(9).short()), "Expected a mono waveform (S,), floating, got (9,) torch.int16"),
        (lambda: detect_onsets(torch.ones(9), protocol="other"), "Expected protocol to be 'strict' or 'mmaudio'"),
        (lambda: onset_scores(Onsets(TRUE, TRUE, TRUE[1:]), TRUE), "Expected detections (P,) and true onsets (T,)"),
        (lambda: onset_scores(Onsets(TRUE, TRUE, TRUE), TRUE, tolerance=0), "Expected a tolerance > 0 seconds, got 0"),
        (lambda: OnsetScores(tolerance=-1), "Expected a tolerance > 0 seconds, got -1"),
        (lambda: OnsetScores("other"), "Expected protocol to be 'strict' or 'mmaudio', got 'other'"),
    ],
)
def test_what_does_not_fit_is_an_error_in_one_line(call, message):
    with pytest.raises(ValueError, match="Expected") as error:
        call()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


# The metric

SAMPLES = [(Onsets(*(drawn(7, seed),) * 3), drawn(3 + seed % 5, 100 + seed)) for seed in range(11)]


def feed(metric, rows, size=3):
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        preds, target = zip(*(SAMPLES[row] for row in batch), strict=True)
        metric.update(preds, target, ids=[f"clip {row}" for row in batch])
    return metric


@pytest.mark.parametrize("protocol", ["strict", "mmaudio"])
def test_means_over_samples(protocol):
    every = [onset_scores(*sample, protocol=protocol) for sample in SAMPLES]
    expected = [sum(column) / len(column) for column in zip(*every, strict=True)]
    metric = feed(OnsetScores(protocol), list(range(11)))
    values = metric.compute()
    assert list(values) == ["onset_accuracy", "onset_average_precision", "onset_f1"]
    assert [value.item() for value in values.values()] == pytest.approx(expected, rel=1e-6)
    assert metric.rows()["f1"].tolist() == pytest.approx([one.f1 for one in every], rel=1e-6)
    for copied in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        assert feed(copied, [4, 2]).compute() == values  # the same samples again
    half, rest = feed(OnsetScores(protocol), [9, 3, 5, 0]), feed(OnsetScores(protocol), [1, 2, 4, 6, 7, 8, 10, 9])
    half.merge_state(rest)
    assert half.compute() == values


def test_samples_without_true_onsets_and_refused_batches():
    metric = OnsetScores()
    with pytest.raises(ValueError, match="Expected as many sounds in preds and target, got 1 and 2"):
        metric.update([SAMPLES[0][0]], [TRUE, TRUE])
    with pytest.raises(ValueError, match="Expected detections"):
        metric.update([SAMPLES[0][0], SAMPLES[1][0]], [TRUE, TRUE[None]])
    assert metric.rows()["id"] == []
    metric.update([SAMPLES[0][0], SAMPLES[1][0]], [SAMPLES[0][1], torch.empty(0)])
    with pytest.warns(UserWarning, match="1 of 2 samples have no value for some onset score"):
        assert metric.compute()["onset_accuracy"].item() == pytest.approx(onset_scores(*SAMPLES[0]).accuracy)
    assert OnsetScores("mmaudio").signature.startswith("onsetscores|enc:given|protocol:mmaudio|tolerance:0.3|v:")


# Raw sounds

SOUNDS = {name: track(times) for name, (times, _, _) in CASES.items()}


@pytest.mark.parametrize("protocol", ["strict", "mmaudio"])
def test_raw_sounds_are_as_good_as_detections(protocol, tmp_path):
    names, found = list(SOUNDS), [detect_onsets(sound, protocol=protocol) for sound in SOUNDS.values()]
    detected = OnsetScores(protocol)
    detected.update(found, [TRUE] * len(names), ids=names)
    metric = OnsetScores(protocol, sample_rate=22_050, cache_conditions=tmp_path / "memory.sqlite")
    with pytest.warns(UserWarning, match=r"\(id 'silence'\) is silent; it is scored"):
        metric.update(audio=list(SOUNDS.values()), target=[TRUE] * len(names), ids=names)
    assert torch.equal(metric.rows()["f1"], detected.rows()["f1"])
    assert metric.compute() == detected.compute()
    assert f"|enc:onsets-{protocol}{':8s' if protocol == 'mmaudio' else ''}|" in metric.signature
    # References are sounds, then known by id.
    metric.reset()
    metric.update(audio=SOUNDS["all"][None], target_audio=SOUNDS["first four"][None], ids=["a"])
    against = metric.compute()
    assert against["onset_accuracy"] == 1
    assert protocol == "mmaudio" or against["onset_f1"].item() == pytest.approx(2 * 4 / (8 + 4))
    again = OnsetScores(protocol, sample_rate=22_050, cache_conditions=tmp_path / "memory.sqlite")
    again.update(audio=SOUNDS["all"][None], ids=["a"])
    assert again.compute() == against


def test_onsets_behind_eight_seconds_count_in_strict_alone():
    late = torch.cat([SOUNDS["all"], SOUNDS["first"]])  # one more at 8.5 s
    true = torch.cat([TRUE, TRUE[:1] + 8])
    for protocol, number in (("strict", 9), ("mmaudio", 8)):
        metric = OnsetScores(protocol, sample_rate=22_050)
        metric.update(audio=late[None], target=[true[:8]])
        assert metric.compute()["onset_f1"].item() == pytest.approx(16 / (8 + number))
        metric.reset()
        metric.update(audio=SOUNDS["all"][None], target=[true])
        assert metric.compute()["onset_accuracy"].item() == pytest.approx(8 / number)


def test_any_rate_is_resampled_and_a_missing_sound_has_no_value():
    metric = OnsetScores(sample_rate=44_100)
    sound = torch.zeros(2, 88_200)
    sound[:, 44_100:44_300] = 0.5
    metric.update(audio=sound[:1], target=[torch.tensor([1.02])])
    assert metric.compute()["onset_f1"] == 1
    with pytest.warns(UserWarning, match="audio of sample 0"):
        metric.update(audio=[None, sound[0]], target_audio=sound)
    with pytest.warns(UserWarning, match="1 of 3 samples have no value"):
        assert metric.compute()["onset_f1"] == 1
    metric.update(audio=[], target_audio=[])
    assert len(metric.rows()["id"]) == 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: OnsetScores().update(audio=torch.ones(1, 9), target=[TRUE]), "Expected OnsetScores(sample_rate=...)"),
        (lambda: OnsetScores(sample_rate=22_050).update(), "Expected either preds or audio, got none."),
        (lambda: OnsetScores(sample_rate=22_050).update(audio=torch.ones(1, 9)), "Expected audio and target_audio for"),
        (
            lambda: OnsetScores(sample_rate=22_050).update([], audio=torch.ones(1, 9), target=[TRUE]),
            "Expected either preds or audio, got preds.",
        ),
        (
            lambda: OnsetScores(sample_rate=9_000).update(
                audio=torch.ones(1, 9), target=[TRUE], target_audio=torch.ones(1, 9)
            ),
            "Expected either target or target_audio, got both.",
        ),
        (
            lambda: OnsetScores(sample_rate=22_050).update(audio=torch.rand(1, 9000), target=[TRUE, TRUE]),
            "Expected as many sounds in preds and target, got 1 and 2.",
        ),
        (lambda: OnsetScores(sample_rate=22_050, network="mine"), "Expected no network beside sample_rate"),
    ],
)
def test_raw_sounds_that_do_not_fit_are_an_error_in_one_line(call, message):
    with pytest.raises(ValueError, match="Expected") as error:
        call()
    assert message in str(error.value)
    assert "\n" not in str(error.value)
