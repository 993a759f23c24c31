"""Known conditions: what stays the same from epoch to epoch is encoded once, and no score changes by a bit."""

import copy
import pickle
import sqlite3
import warnings

import pytest
import torch
from tiny import RAW, CountingEncoder, TinyEncoder, bits, make_samples, run_processes, take
from toy_training import IGNORED, PATHS, Generator, History, as_bits, expected, loader, make_trainer

from torchmetrics_majorscore import CLIPCLAPScore, FairScore, MAJORScore, MAJORScores
from torchmetrics_majorscore.lightning import MAJORScoreCallback
from torchmetrics_majorscore.metrics.conditions import Conditions

pytestmark = [pytest.mark.filterwarnings(line) for line in IGNORED]
COUNT = 7
BATCHES = ([0, 1, 2], [3, 4], [5, 6])


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Compare like with like: the last bits of a matrix product may depend on the number of threads."""


@pytest.fixture(params=["memory", "file"])
def cache(request, tmp_path):
    return True if request.param == "memory" else tmp_path / "conditions.db"


def epoch(number: int) -> dict:
    """Give the samples of an epoch: only the audio is new."""
    return make_samples(COUNT) | {"audio": make_samples(COUNT, seed=number)["audio"]}


def run(metric, samples, *modalities) -> dict:
    metric.reset()
    for rows in BATCHES:
        batch = take(samples, rows)
        metric.update(**{name: batch[name] for name in (*modalities, "audio", "ids")})
    values = metric.compute()
    return {name: bits(v) for name, v in (values if isinstance(values, dict) else {"value": values}).items()}


MAKE = {
    "major": lambda encoder, **options: MAJORScore("product", encoder, **RAW, **options),
    "fair": lambda encoder, **options: FairScore(encoder, **RAW, **options),
    "baseline": lambda encoder, **options: CLIPCLAPScore("sum", encoder, encoder, **RAW, **options),
    "all": lambda encoder, **options: MAJORScores(encoder, **RAW, **options),
}


@pytest.mark.parametrize("name", MAKE)
def test_from_the_second_epoch_on_only_audio_is_encoded(name, cache):
    encoder, plain = CountingEncoder(), MAKE[name](CountingEncoder())
    metric = MAKE[name](encoder, cache_conditions=cache)
    for number, modalities in enumerate([("video", "text"), ("video", "text"), ("text",), ()]):
        assert run(metric, epoch(number), *modalities) == run(plain, epoch(number), "video", "text")
        assert encoder.calls == {"video": 3, "text": 3, "audio": 3 * (number + 1)}
    restored = MAKE[name](other := CountingEncoder(), cache_conditions=cache)
    if cache is True:
        with pytest.raises(ValueError, match="got the new id 'clip-0-0' without video"):
            run(restored, epoch(4))
    else:
        assert run(restored, epoch(4)) == run(plain, epoch(4), "video", "text")
        assert other.calls == {"audio": 3}


def test_forward_of_a_collection_encodes_once(cache):
    encoder = CountingEncoder()
    metric = MAJORScores(encoder, **RAW, cache_conditions=cache)
    for number in range(2):
        metric(**epoch(number))
    assert encoder.calls == {"video": 1, "text": 1, "audio": 2}


def test_repeated_captions_are_encoded_once():
    seen = []

    class Recorder(CountingEncoder):
        def encode_text(self, batch):
            seen.extend(batch)
            return super().encode_text(batch)

    samples = make_samples(COUNT) | {"text": ["a dog", "rain", "a dog", "rain", "a dog", "sea", "a dog"]}
    cached = MAJORScore(encoder=Recorder(), **RAW, cache_conditions=True)
    values = run(cached, samples, "video", "text")
    assert seen == ["a dog", "rain", "sea"]
    assert values == run(MAJORScore(encoder=CountingEncoder(), **RAW), samples, "video", "text")


def test_a_changed_condition_under_the_same_id_is_seen(cache):
    metric, plain = (MAJORScore(encoder=CountingEncoder(), **RAW, **o) for o in ({"cache_conditions": cache}, {}))
    samples = epoch(0)
    run(metric, samples, "video", "text")
    for changes in ({"video": make_samples(COUNT, seed=5)["video"]}, {"text": ["something else"] * COUNT}):
        metric.conditions._warned = False
        samples |= changes
        name = next(iter(changes))
        with pytest.warns(UserWarning, match=f"^{name} of id 'clip-0-0' is not the one that was given before"):
            assert run(metric, samples, "video", "text") == run(plain, samples, "video", "text")
        with warnings.catch_warnings():
            warnings.filterwarnings("error", ".* is not the one that was given before")
            assert run(metric, samples) == run(plain, samples, "video", "text")  # what was given last


def test_frames_at_another_rate_are_other_conditions(tmp_path):
    samples = make_samples(COUNT)
    slow, fast = (
        MAJORScore(encoder=TinyEncoder(), sample_rate=16_000, fps=fps, cache_conditions=tmp_path / "c.db")
        for fps in (2, 8)
    )
    run(slow, samples, "video", "text")
    with pytest.raises(ValueError, match="or ids whose video was given before at rate 8, got the new id"):
        run(fast, samples)
    plain = MAJORScore(encoder=TinyEncoder(), sample_rate=16_000, fps=8)
    assert run(fast, samples, "video", "text") == run(plain, samples, "video", "text")
    assert run(fast, samples) == run(plain, samples, "video", "text")
    assert run(slow, samples) != run(fast, samples)


@pytest.mark.parametrize("content", [None, b"no database, but long enough to be read as one" * 9])
def test_a_file_that_cannot_be_used_ends_no_run(tmp_path, content):
    path = tmp_path / "folder" / "c.db"  # whose folder is missing
    if content:
        path.parent.mkdir()
        path.write_bytes(content)
    metric = MAJORScore(encoder=TinyEncoder(), **RAW, cache_conditions=path)
    plain = MAJORScore(encoder=TinyEncoder(), **RAW)
    with pytest.warns(UserWarning, match=f"Expected a file that cache_conditions can use, got {path}: ") as said:
        assert run(metric, epoch(0), "video", "text") == run(plain, epoch(0), "video", "text")
    assert len([one for one in said if "cache_conditions" in str(one.message)]) == 1
    assert run(metric, epoch(1)) == run(plain, epoch(1), "video", "text")
    if content:
        assert path.read_bytes() == content


def test_encoders_that_share_a_file_do_not_share_embeddings(tmp_path):
    for seed in range(2):
        metric = MAJORScore(encoder=TinyEncoder(seed), **RAW, cache_conditions=tmp_path / "c.db")
        plain = MAJORScore(encoder=TinyEncoder(seed), **RAW)
        assert run(metric, epoch(0), "video", "text") == run(plain, epoch(0), "video", "text")
    other = MAJORScore(encoder=TinyEncoder(2), **RAW, cache_conditions=tmp_path / "c.db")
    with pytest.raises(ValueError, match="Expected video: it was given before, but to another encoder"):
        run(other, epoch(1))


def test_samples_without_a_value_stay_without():
    samples = make_samples(COUNT)
    samples["video"][1], samples["text"][3] = None, None
    metric = MAJORScore(encoder=TinyEncoder(), **RAW, cache_conditions=True, nan_strategy="ignore")
    first = run(metric, samples, "video", "text")
    assert metric.rows()["video-text"].isnan().nonzero().flatten().tolist() == [1, 3]
    assert run(metric, samples) == first


def test_without_ids_conditions_are_needed():
    metric = MAJORScore(encoder=TinyEncoder(), **RAW, cache_conditions=True)
    samples = make_samples(3)
    del samples["ids"]
    metric.update(**samples)
    with pytest.raises(ValueError, match="got no video"):
        metric.update(audio=samples["audio"])
    with pytest.raises(ValueError, match="got no audio"):
        metric.update(ids=["a", "b", "c"])


def test_copies_remember_and_pickles_are_small(cache):
    metric = MAJORScores("c-mcr", **RAW, cache_conditions=cache)
    kept = metric["fairscore"].conditions
    kept._contents = {("text", number): "a caption of some length" for number in range(1000)}
    clone = copy.deepcopy(metric)
    assert {id(member.conditions) for member in clone.values()} == {id(clone["fairscore"].conditions)}
    assert clone["fairscore"].conditions is not kept
    assert clone["fairscore"].conditions._contents == kept._contents
    assert len(pickled := pickle.dumps(metric)) < 20_000
    assert pickle.loads(pickled)["fairscore"].conditions.path == kept.path


def test_callback_encodes_conditions_in_the_first_epoch_only(tmp_path):
    for cache, calls in ((False, 2), (True, 1)):
        encoder, history = CountingEncoder(), History()
        callback = MAJORScoreCallback(PATHS, encoder=encoder, **RAW, cache_conditions=cache)
        trainer = make_trainer(tmp_path, callback, logger=history, max_epochs=2, num_sanity_val_steps=0)
        trainer.fit(Generator(), loader(), loader())
        assert [as_bits(logged) for logged in history.logged] == [expected(), expected(epoch=1)]
        batches = encoder.calls["audio"] // 2
        assert encoder.calls == {"video": calls * batches, "text": calls * batches, "audio": 2 * batches}


def work(rank: int, world: int, folder) -> None:
    metric = MAJORScore("average", TinyEncoder(), **RAW, cache_conditions=folder / "shared.db")
    samples = epoch(0)
    for start in range(rank, COUNT, world):
        metric.update(**take(samples, [start]))
    torch.save(metric.rows()["video-text"], folder / f"{rank}.pt")


def test_processes_share_a_file(tmp_path):
    codes, _ = run_processes(work, 3, tmp_path)
    assert codes == [0, 0, 0]
    metric = MAJORScore(encoder=TinyEncoder(), **RAW, cache_conditions=tmp_path / "shared.db")
    assert run(metric, epoch(1)) == run(MAJORScore(encoder=TinyEncoder(), **RAW), epoch(1), "video", "text")


def test_the_file_is_closed_with_the_object(tmp_path):
    # Python 3.13 and newer warn of a connection that is left open.
    conditions = Conditions(tmp_path / "conditions.db")
    assert conditions._content("text", 1) == (False, None)
    database = conditions._database
    del conditions
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.execute("SELECT 1")
