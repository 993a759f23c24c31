"""DeSync of raw sounds and frames: found as if given, videos seen once, clips that are too short, mistakes."""

import copy
import pickle

import pytest
import torch
from small_networks import frames, sound

from torchmetrics_majorscore import DeSync
from torchmetrics_majorscore.metrics.conditions import LARGE, Conditions
from torchmetrics_majorscore.modalities import Video
from torchmetrics_majorscore.networks.synchrony import load_sync

RATE, FPS = 1000, 50
SECONDS = (5.0, 8.0, 6.0)
AUDIO = [sound(int(RATE * s), n) for n, s in enumerate(SECONDS)]
VIDEO = [frames(int(FPS * s), n, side=4) for n, s in enumerate(SECONDS)]
IDS = ["a", "b", "c"]


class Counting:
    """A network whose features are means of segments, and whose logits are drawn by the features."""

    name, sample_rate, fps, shortest = "counting@0", 500, 25, 4.8
    width = 3

    def __init__(self):
        self.seen = self.heard = 0

    def encode_audio(self, batch):
        self.heard += len(batch)
        return [x.unfold(0, 320, 160).mean(dim=-1)[:, None, None].expand(-1, 2, 3) for x in batch]

    def encode_video(self, batch):
        self.seen += len(batch)
        means = [x.float().mean(dim=(1, 2, 3)).unfold(0, 16, 8).mean(dim=-1) for x in batch]
        return [x[:, None, None].expand(-1, 4, self.width) for x in means]

    def compare(self, video, audio):
        pairs = zip(video, audio, strict=True)
        ends = [torch.stack([v[place].sum() + 100 * a[place].sum() for place in (0, -1)]) for v, a in pairs]
        return torch.stack([(end[:, None] * torch.arange(1, 22)).sin() for end in ends])


def metric(network=None, **options):
    return DeSync(network=load_sync(network or Counting()), **{"sample_rate": RATE, "fps": FPS} | options)


def given(network=None):
    """Give the rows of logits that the handle makes."""
    handle, cpu = load_sync(network or Counting()), torch.device("cpu")
    seen = handle.encode_video([Video(25).check([x], FPS).samples[0] for x in VIDEO], cpu)
    own = DeSync()
    own.update(handle.compare(seen, handle.encode_audio(AUDIO, RATE, cpu), cpu), ids=IDS)
    return own


def same_rows(one, other):
    ours, theirs = one.rows(), other.rows()
    assert ours["id"] == theirs["id"]
    return all(torch.equal(ours[name].nan_to_num(9), theirs[name].nan_to_num(9)) for name in ("first", "last"))


def test_found_is_as_good_as_given_in_any_batches():
    own = metric()
    own.update(audio=AUDIO, video=VIDEO, ids=IDS)
    assert same_rows(own, given())
    assert own.compute() == given().compute() > 0
    split = metric()
    for row in range(3):
        split(audio=AUDIO[row : row + 1], video=VIDEO[row : row + 1], ids=IDS[row : row + 1])
    assert same_rows(split, own)


@pytest.mark.parametrize("in_file", [False, True])
def test_a_video_is_seen_once(in_file, tmp_path):
    class Wide(Counting):
        width = LARGE // 20 if in_file else 3

    network = Wide()
    path = tmp_path / "seen.sqlite"
    own = metric(network, cache_conditions=path if in_file else True)
    own.update(audio=AUDIO, video=VIDEO, ids=IDS)
    first = own.compute()
    own.reset()
    own.update(audio=AUDIO, ids=IDS)
    assert own.compute() == first
    own.reset()
    own.update(audio=AUDIO, video=VIDEO, ids=IDS)
    assert own.compute() == first
    assert (network.seen, network.heard) == (3, 9)
    if in_file:
        again = metric(network, cache_conditions=path)
        again.update(audio=AUDIO[::-1], ids=IDS[::-1])
        assert again.compute() == first
        assert network.seen == 3


def test_large_vectors_stay_in_the_file_unless_it_cannot_be_written(tmp_path):
    def remember(conditions):
        contents = conditions.note("video", [torch.zeros(1)], [1])
        return conditions.remember("net|video", contents, lambda items: [torch.arange(LARGE + 1.0)])[0]

    held = Conditions(tmp_path / "file")
    assert torch.equal(remember(held), torch.arange(LARGE + 1.0))
    assert not held._vectors
    assert torch.equal(remember(held), torch.arange(LARGE + 1.0))
    alone = Conditions(tmp_path)  # a folder
    with pytest.warns(UserWarning, match="Expected a file that cache_conditions can use"):
        remember(alone)
    assert len(alone._vectors) == 1


def test_a_clip_that_is_too_short_has_no_value_and_the_others_have():
    own, audio, video = metric(), [AUDIO[0][:4700], AUDIO[1], AUDIO[2][:5400]], [*VIDEO[:2], VIDEO[2][:230]]
    with pytest.warns(UserWarning, match=r"4\.8 s are compared") as said:
        own.update(audio=audio, video=video, ids=IDS)
    lines = [str(one.message) for one in said]
    assert lines[-2:] == [
        "audio of sample 0 (id 'a') lasts 4.7 s, and 4.8 s are compared; it has no value.",
        "video of sample 2 (id 'c') lasts 4.6 s, and 4.8 s are compared; it has no value.",
    ]
    rows = own.rows()
    assert rows["first"].isnan().tolist() == [True, False, True]
    assert rows["first"][1] == given().rows()["first"][1]
    quiet = metric(nan_strategy="ignore")
    quiet.update(audio=[None, *audio[1:]], video=video, ids=IDS)
    assert same_rows(quiet, own)
    assert own.hearing.network.on(torch.device("cpu")).seen == 1


def test_av_benchmark_takes_eight_seconds_and_leaves_out_shorter_clips():
    handle = load_sync(Counting(), profile="av-benchmark")
    assert handle.name == "counting@0:av-benchmark:8s"
    own = DeSync(network=handle, sample_rate=RATE, fps=FPS, nan_strategy="ignore")
    own.update(audio=AUDIO, video=VIDEO, ids=IDS)
    assert own.rows()["first"].isnan().tolist() == [True, False, True]
    long = DeSync(network=handle, sample_rate=RATE, fps=FPS)
    long.update(audio=[torch.cat([AUDIO[1], AUDIO[0]])], video=[torch.cat([VIDEO[1], VIDEO[0]])], ids=["b"])
    assert [long.rows()[name][0] for name in ("first", "last")] == [own.rows()[name][1] for name in ("first", "last")]
    assert long.signature.startswith("desync|enc:counting@0:av-benchmark:8s|v:")


@pytest.mark.parametrize(
    ("rate", "picked", "centred", "places"),
    [
        (25, 25, False, [0, 1, 2, 3]),
        (24, 25, False, [0, 0, 1, 2]),
        (30, 25, False, [0, 1, 2, 3]),
        (50, 25, False, [0, 2, 4, 6]),
        (25, 25, True, [0, 1, 2, 3]),
        (30, 25, True, [0, 1, 2, 4]),
        (24, 0.5, True, [23, 71, 119, 167]),  # FFmpeg's filter fps=0.5 on a counting video of 8 s
    ],
)
def test_frames_are_picked_by_time(rate, picked, centred, places):
    count = 8 * rate if picked < 1 else 10
    video = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 2, 2)
    found = Video(picked, centred=centred).check([video], rate).samples[0][:, 0, 0, 0].tolist()
    assert found[: len(places)] == places
    assert len(found) == -(-count * picked // rate)


def test_the_metric_holds_no_network_and_pickles_small():
    own = metric(cache_conditions=True)
    own.update(audio=AUDIO, video=VIDEO, ids=IDS)
    assert not own.state_dict()
    assert copy.deepcopy(own).hearing.network is own.hearing.network
    other = pickle.loads(pickle.dumps(DeSync(network=load_sync(weights="seeded"), sample_rate=RATE, fps=FPS)))
    assert other.hearing.network is load_sync(weights="seeded")
    assert len(pickle.dumps(other)) < 10_000


def test_mistakes_are_refused_in_one_line():
    own, raw = metric(), {"audio": AUDIO, "video": VIDEO}
    for refused, message in (
        (lambda: own.update(torch.zeros(3, 2, 21), **raw), "Expected logits, or sounds and frames .*, got both"),
        (lambda: own.update(video=VIDEO), "Expected logits, or sounds and frames .*, got no sound"),
        (lambda: DeSync().update(**raw), r"got no network=load_sync\(\)"),
        (lambda: own.update(), r"Expected logits of shape \(B, 2, 21\).*, got NoneType"),
        (lambda: own.update(audio=AUDIO), "Expected video, or cache_conditions and ids .*, got neither"),
        (lambda: metric(cache_conditions=True).update(audio=AUDIO, ids=IDS), "got the new id 'a' without video"),
        (lambda: own.update(audio=AUDIO[:2], video=VIDEO), "Expected as many samples in every input, got audio 2"),
        (lambda: metric(fps=None).update(**raw), "Expected fps > 0 to score raw video, got None"),
        (lambda: metric(sample_rate=None).update(**raw), "Expected sample_rate > 0 to score raw audio, got None"),
        (lambda: metric(fps=0), "Expected fps as a number"),
        (lambda: load_sync("panns"), "Expected network to be 'synchformer' or 'sync-tiny' or a .*, got 'panns'"),
        (lambda: load_sync(load_sync(Counting()), seconds=8), "Expected no options beside a handle"),
        (lambda: load_sync(Counting(), weights="seeded"), "Expected weights only with a network's name"),
    ):
        with pytest.raises(ValueError, match=message):
            refused()
    assert not own.rows()["id"]
    with pytest.raises(TypeError, match=r"Expected a network with name, sample_rate, .*compare, got object without"):
        load_sync(object())
