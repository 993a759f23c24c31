"""V2AMetrics: its columns, one pass of each network, no free one from other sounds, whole batches, what is refused."""

import math
import pickle

import pytest
import torch
from signals import CPU
from small_networks import frames, sound
from test_networks import Levels
from test_watching import Counting
from tiny import RAW, SAMPLE_RATE, CountingEncoder, TinyEncoder, bits, make_samples, take

from torchmetrics_majorscore import (
    DeSync,
    FrameScores,
    FrechetDistance,
    InceptionScore,
    MAJORScores,
    OnsetScores,
    PairedKL,
    V2AMetrics,
)
from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.networks import load_network, zero_shot_network
from torchmetrics_majorscore.networks.synchrony import load_sync
from torchmetrics_majorscore.training.world.scene import KINDS, draw_scenes
from torchmetrics_majorscore.training.world.sound import render_sounds

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{message}:UserWarning")
    for message in (
        "The ``compute`` method of metric .* was called before",
        ".* vectors of .* do not span",
        ".* have a positive product",
        ".* samples are too few for 10 splits",
        "The inputs of .* last differently",
        "update after compute without reset",
    )
]
COUNT = 9
LABELS = ["a bell", "a drum", "rain"]
G = torch.Generator().manual_seed(0)
SOUNDS = [torch.rand(35_200 + 160 * n, generator=G) * 2 - 1 for n in range(2 * COUNT)]
SAMPLES = make_samples(COUNT) | {"audio": SOUNDS[:COUNT], "target_audio": SOUNDS[COUNT:]}
IDS = ["a", "b", "c"]
FREE = ["fd_joint", "fd_joint_n", "is_zero_shot", "kl_zero_shot"]


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Compare like with like: the last bits of a matrix product may depend on the number of threads."""


def make(encoder=None, **options):
    return V2AMetrics(encoder or TinyEncoder(), labels=LABELS, **{**RAW, **options})


def added(metrics):
    return [name for name in metrics if name.split("_")[0] in ("fd", "kl", "is")]


def as_bits(values):
    return {name: bits(value) for name, value in values.items()}


def test_values_are_those_of_the_single_metrics():
    network, levels = zero_shot_network(TinyEncoder(), LABELS), load_network(Levels())
    singles = {
        "fd_joint": FrechetDistance(network=network, sample_rate=SAMPLE_RATE),
        "kl_zero_shot": PairedKL(network=network, sample_rate=SAMPLE_RATE),
        "is_zero_shot": InceptionScore(1, network=network, sample_rate=SAMPLE_RATE),
        "fd_levels": FrechetDistance(network=levels, sample_rate=SAMPLE_RATE),
        "kl_levels": PairedKL(network=levels, sample_rate=SAMPLE_RATE),
        "is_levels": InceptionScore(2, network=levels, sample_rate=SAMPLE_RATE),
        "onsets": OnsetScores(sample_rate=SAMPLE_RATE),
        "frames": FrameScores(TinyEncoder(), nan_strategy="ignore", **RAW),
        "majors": MAJORScores(TinyEncoder(), **RAW),
    }
    expected = {}
    for name, single in singles.items():
        known = ("audio", "ids", *(("target_audio",) if name[:2] in ("fd", "kl", "on") else ()))
        known = {"majors": ("video", "text", "audio", "ids"), "frames": ("video", "audio", "ids")}.get(name, known)
        single.update(**{part: SAMPLES[part] for part in known})
        value = single.compute()
        expected |= as_bits(value if isinstance(value, dict) else {name: value})
    metrics = make(networks={"levels": Levels()}, splits=2, onsets="strict", frames=True)
    for rows in ([0, 1, 2, 3], [4, 5, 6, 7, 8]):
        metrics.update(**take(SAMPLES, rows))
    counts = {"fd_joint_n": bits(torch.tensor(float(COUNT))), "fd_levels_n": bits(torch.tensor(float(COUNT)))}
    assert as_bits(metrics.compute()) == expected | counts
    metrics.reset()
    assert as_bits(metrics(**SAMPLES)) == expected | counts


@pytest.mark.parametrize("run", ["update", "forward"])
def test_each_network_runs_once(run):
    encoder = CountingEncoder()
    metrics = make(encoder, networks={"levels": Levels()})
    levels = load_network(Levels()).on(CPU).batches
    levels.clear()
    for rows in ([0, 1], [2, 3], [2, 3]):
        getattr(metrics, run)(**take(SAMPLES, rows))
    # The labels once; the targets are sounds like the generated ones.
    assert encoder.calls == {"video": 3, "text": 3 + 1, "audio": 6}
    assert [len(batch) for batch in levels] == [2] * 6


class Listing(CountingEncoder):
    """Notes every sample that it encodes."""

    def __init__(self):
        super().__init__()
        self.given = {name: [] for name in self.modalities}

    def _count(self, modality, batch):
        self.given[modality] += [one if isinstance(one, str) else (tuple(one.shape), one.tolist()) for one in batch]
        return super()._count(modality, batch)


def test_of_frames_no_sound_is_encoded_twice_and_no_video_in_the_next_epoch():
    encoder, rate = Listing(), 1000
    encoder.sample_rate = rate
    lengths = (2600, 2000, 1000, 700)  # of three windows, of one, and of one second or less: the whole sound again
    samples = {
        "video": [frames(2 * math.ceil(n / rate), place, side=4) for place, n in enumerate(lengths)],
        "audio": [sound(n, place) for place, n in enumerate(lengths)],
        "text": ["a bell"] * 4,
        "ids": range(4),
    }
    options = {"sample_rate": rate, "fps": 2, "cache_conditions": True, "nan_strategy": "ignore"}
    metrics = make(encoder, free=False, target=False, frames=True, **options)
    metrics.update(**samples)
    first = as_bits(metrics.compute())
    assert first.keys() >= {"avhscore", "javisscore", "synchrony"}
    heard = encoder.given["audio"]
    assert len(heard) == len(lengths) + (3 + 2) + 2  # windows and seconds of the first, seconds of the second
    assert all(heard.count(one) == 1 for one in heard)
    seen = len(encoder.given["video"])
    assert seen == len(lengths) + sum(map(len, samples["video"]))
    metrics.reset()
    metrics.update(**{name: batch for name, batch in samples.items() if name != "video"})
    assert as_bits(metrics.compute()) == first
    assert len(encoder.given["video"]) == seen
    single = FrameScores(CountingEncoder(sample_rate=rate), **options)
    single.update(audio=samples["audio"], video=samples["video"], ids=samples["ids"])
    assert as_bits(single.compute()).items() <= first.items()


def test_the_audio_network_of_clap_runs_once(monkeypatch):
    scenes = draw_scenes(range(0, 192, 48), 0, "test")
    sounds = render_sounds(scenes)
    encoder = load_encoder("c-mcr-tiny")  # held, or it would be built anew
    clap = encoder.on(CPU).clap
    inner, calls = clap._mels, []
    monkeypatch.setattr(clap, "_mels", lambda mels: calls.append(len(mels)) or inner(mels))
    metrics = V2AMetrics("c-mcr-tiny", sample_rate=48_000, fps=1, cache_conditions=True)
    given = {"video": torch.zeros(4, 1, 3, 64, 64, dtype=torch.uint8), "text": ["a bell"] * 4, "ids": range(4)}
    metrics.update(audio=sounds / 2, target_audio=sounds, **given)
    assert calls == [4, 4]  # generated and real ones
    metrics.reset()
    metrics.update(audio=sounds / 2, ids=range(4))
    assert calls == [4, 4, 4]


def test_zero_shot_hears_claps_vectors_and_takes_the_cosines():
    sounds = list(render_sounds(draw_scenes(range(0, 192, 48), 0, "test")))
    network, encoder = zero_shot_network("c-mcr-tiny"), load_encoder("c-mcr-tiny")
    made = network.encode(sounds, 48_000, CPU)
    assert torch.equal(made["features"], encoder.on(CPU).clap.embed_audio(sounds))
    labels = encoder.encode("text", [f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}" for kind in KINDS], CPU)
    cosines = encoder.encode("audio", sounds, CPU) @ labels.T
    torch.testing.assert_close(made["logits"], 20 * cosines)
    assert network.logit_choices[1:] == ("scale:20",)
    assert zero_shot_network("c-mcr-tiny") is network is pickle.loads(pickle.dumps(network))
    assert len(pickle.dumps(network)) < 500
    other = zero_shot_network("c-mcr-tiny", ["a bell", "a cat"], 5)
    assert pickle.loads(pickle.dumps(other)) is other is not network


def test_labels(tmp_path):
    (tmp_path / "mine.txt").write_text("# some\na bell\n\na cat \n")
    assert zero_shot_network("c-mcr-tiny", tmp_path / "mine.txt") is zero_shot_network(
        "c-mcr-tiny", ["a bell", "a cat"]
    )
    assert zero_shot_network(TinyEncoder()).logit_choices[0].startswith("labels:309@")
    for labels in (["a"], ["a", "a"], [], ["a", ""]):
        with pytest.raises(ValueError, match="Expected at least two labels, each another text"):
            zero_shot_network("c-mcr-tiny", labels)
    with pytest.raises(FileNotFoundError):
        zero_shot_network("c-mcr-tiny", tmp_path / "none.txt")
    with pytest.raises(ValueError, match="Expected scale > 0, got -1"):
        zero_shot_network("c-mcr-tiny", scale=-1)
    with pytest.raises(ValueError, match="Expected an encoder with text and audio, got one with video, text"):
        zero_shot_network("clip-tiny")


def test_without_a_reference_its_columns_are_left_out():
    assert sorted(added(make())) == FREE
    with pytest.warns(UserWarning, match="fd_joint, kl_zero_shot are left out, since there is nothing to compare with"):
        metrics = make(target=False)
    assert added(metrics) == ["is_zero_shot"]
    metrics.update(**{name: batch for name, batch in SAMPLES.items() if name != "target_audio"})
    assert metrics.compute()["is_zero_shot"] >= 1


def test_statistics_of_real_sounds(tmp_path):
    metrics = make()
    metrics.update(**SAMPLES)
    path = tmp_path / "real.safetensors"
    metrics["fd_joint"].statistics().save(path)
    with pytest.warns(UserWarning, match="kl_zero_shot are left out"):
        other = make(target=False, references={"fd_joint": path})
    other.update(**SAMPLES)
    assert other.compute()["fd_joint"].item() == pytest.approx(metrics.compute()["fd_joint"].item(), rel=1e-5)
    assert "|ref:" in other.signatures["fd_joint"]
    assert sorted(added(make(references={"fd_joint": path}))) == FREE
    with pytest.raises(ValueError, match="Expected references by the name of their column, got fd_panns"):
        make(references={"fd_panns": path})
    wrong = V2AMetrics(TinyEncoder(1, "another"), labels=LABELS, references={"fd_joint": path}, **RAW)
    with pytest.raises(ValueError, match="Expected statistics of network='another:audio', got those of 'tiny:audio'"):
        wrong.update(**SAMPLES)
    assert wrong["fairscore"].rows()["id"] == []


def test_nothing_of_a_refused_batch_is_kept():
    for run in ("update", "forward"):
        metrics = make()
        getattr(metrics, run)(**take(SAMPLES, [0, 1, 2, 3]))
        before = as_bits(metrics.compute())
        for broken in ({"target_audio": None}, {"target_audio": SAMPLES["audio"][:1]}, {"ids": ["a"]}):
            for refused in ("update", "forward"):
                with pytest.raises(ValueError, match="Expected"):
                    getattr(metrics, refused)(**{**take(SAMPLES, [4, 5]), **broken})
        assert as_bits(metrics.compute()) == before
        metrics.update(**take(SAMPLES, list(range(4, COUNT))))
        whole = make()
        whole.update(**SAMPLES)
        assert as_bits(metrics.compute()) == as_bits(whole.compute())


def test_one_warning_for_a_sound(recwarn):
    given = take(SAMPLES, [0, 1, 2])
    given["audio"][0], given["target_audio"][1] = torch.zeros(SAMPLE_RATE), torch.zeros(SAMPLE_RATE)
    make(networks={"levels": Levels()}).update(**given)
    said = [str(warning.message) for warning in recwarn if "silent" in str(warning.message)]
    assert [text.split(" of ")[0] for text in said] == ["audio", "target_audio"]


def test_copies_pickles_and_holds_no_weights():
    metrics = make(networks={"levels": Levels()}, prefix="val/")
    metrics.update(**SAMPLES)
    for one in (metrics.clone(), pickle.loads(pickle.dumps(metrics))):
        assert as_bits(one.compute()) == as_bits(metrics.compute())
        assert not {*metrics.compute()} ^ {*one.compute()}
    assert (metrics.state_dict(), list(metrics.parameters()), list(metrics.buffers())) == ({}, [], [])
    assert not any(isinstance(module, (TinyEncoder, Levels)) for module in metrics.modules())
    assert all(name.startswith("val/") for name in metrics.compute())
    assert "enc:tiny:audio|labels:3@" in metrics.signatures["val/kl_zero_shot"]


def test_desync_is_that_of_the_single_metric_and_videos_are_seen_once(recwarn):
    network, sizes = Counting(), (5.0, 8.0, 4.0)
    audio = [sound(int(SAMPLE_RATE * s), n) for n, s in enumerate(sizes)]
    video = [frames(int(25 * s), n, side=4) for n, s in enumerate(sizes)]
    options = {"sample_rate": SAMPLE_RATE, "fps": 25, "cache_conditions": True}
    single = DeSync(network=load_sync(network), sample_rate=SAMPLE_RATE, fps=25, nan_strategy="ignore")
    single.update(audio=audio, video=video, ids=IDS)
    metrics = make(free=False, networks={"synchformer": load_sync(network), "levels": Levels()}, **options)
    given = {"text": ["a bell"] * 3, "audio": audio, "target_audio": audio, "ids": IDS}
    metrics.update(video=video, **given)
    said = [str(one.message) for one in recwarn if "are compared" in str(one.message)]
    assert [text.split(" of ")[0] for text in said] == ["audio", "video"]
    assert bits(metrics.compute()["desync"]) == bits(single.compute())
    assert metrics["desync"].rows()["first"].isnan().tolist() == [False, False, True]
    metrics.reset()
    seen = network.seen
    metrics.update(**given)
    assert bits(metrics.compute()["desync"]) == bits(single.compute())
    assert network.seen == seen
    assert metrics.signatures["desync"].startswith("desync|enc:counting@0|")


def test_a_network_that_compares_has_one_column():
    metrics = make(networks={"synchformer": load_sync(weights="seeded"), "mine": Counting()})  # nothing is built
    assert [name for name in metrics if name.startswith("desync")] == ["desync", "desync_mine"]


def test_networks_are_a_list():
    with pytest.raises(ValueError, match="Expected networks as a list of names, got 'panns'"):
        make(networks="panns")


def test_columns_of_published_networks():
    networks = {name: load_network(name, weights="seeded") for name in ("panns", "vggish")}
    metrics = make(networks=networks, free=False)  # nothing is built
    assert sorted(added(metrics)) == ["fd_panns", "fd_panns_n", "fd_vggish", "fd_vggish_n", "is_panns", "kl_panns"]
    assert metrics["is_panns"].splits == 10
