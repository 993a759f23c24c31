"""What is checked at the door of ``update``: a bad batch raises and none of it is kept; an id twice counts once."""

import re
import warnings

import numpy as np
import pytest
import torch
from recorder import E2, INF, NAN, Recorder, batch, embeddings, metric, odd, similarities, third, video

from torchmetrics_majorscore import CLIPCLAPScore, MAJORScore

# A mistake in the whole batch: the call raises, and nothing of the batch is kept.
WAVEFORMS, FRAMES = "audio (B, S), (B, C, S) or a list of waveforms", "video (B, T, 3, H, W) or a list of (T, 3, H, W)"
RANGE = "Expected float video in [0, 1], got values from "
BAD = [
    ({"video": torch.zeros(3, 3, 4, 4)}, f"{FRAMES}, got (3, 3, 4, 4); a batch of images needs a frame dimension."),
    ({"video": torch.zeros(3, 2)}, f"{FRAMES}, got (3, 2)."),
    ({"video": torch.zeros(3, 2, 4, 4, 3)}, "got (2, 4, 4, 3); channels last? use .movedim(-1, -3)."),
    ({"video": [torch.zeros(2, 1, 4, 4)] * 3}, "Expected frames (T, 3, H, W) per sample, got (2, 1, 4, 4)."),
    ({"video": [torch.zeros(3, 4, 4)] * 3}, "Expected frames (T, 3, H, W) per sample, got (3, 4, 4)."),
    ({"video": torch.zeros(3, 2, 3, 0, 4)}, "Expected frames (T, 3, H, W) per sample, got (2, 3, 0, 4)."),
    ({"video": video(1, torch.int64)}, "Expected video as uint8 or float, got torch.int64."),
    ({"video": video() * 4 - 3}, f"{RANGE}-1 to -1; normalised to [-1, 1]? use (video + 1) / 2."),
    ({"video": odd(-0.5, (3, 2, 3, 4, 4))}, f"{RANGE}-0.5 to 0.5; normalised to [-1, 1]?"),
    ({"video": video(200.0)}, f"{RANGE}200 to 200; 0 to 255 as float? use uint8."),
    ({"audio": torch.zeros(3)}, f"{WAVEFORMS}, got (3,); one waveform needs a batch dimension."),
    ({"audio": torch.zeros(3, 1, 1, 9)}, f"{WAVEFORMS}, got (3, 1, 1, 9)."),
    ({"audio": torch.zeros(3, 50, 2)}, "a waveform (S,) or (C, S) per sample, got (50, 2); channels come first."),
    ({"audio": [torch.zeros(1, 1, 9)] * 3}, "a waveform (S,) or (C, S) per sample, got (1, 1, 9)."),
    ({"audio": torch.zeros(3, 9, dtype=torch.int32)}, "Expected audio as float or int16, got torch.int32."),
    ({"audio": odd(12034.0)}, "waveform peak is 12034.0; did you pass int16 values as float?"),
    ({"audio": odd(-12034.0)}, "Expected float audio in [-1, 1], waveform peak is 12034.0;"),
    ({"text": "dog"}, "Expected a list of captions, got the string 'dog'; put it into a list."),
    ({"text": ["a", 1, "b"]}, "Expected each caption to be a str, got int."),
    ({"text": ["a", "b"]}, "Expected as many samples in every input, got video 3, text 2, audio 3."),
    ({"audio": torch.full((4, 9), 0.1)}, "got video 3, text 3, audio 4."),
    ({"audio": None}, "Expected video, text, audio for the pairs video-text, text-audio, got no audio."),
    ({"video": None, "audio": None}, "got no video."),
    ({"embeddings": embeddings()}, "Expected either raw inputs or embeddings, got both."),
    ({"ids": [1, 2]}, "Expected 3 ids, one per sample, got [1, 2]."),
    ({"ids": "abc"}, "Expected 3 ids, one per sample, got 'abc'."),
    ({"ids": torch.tensor(3)}, "Expected 3 ids, one per sample, got tensor(3)."),
    ({"ids": [1, 2, 3.0]}, "Expected each id to be a string or a 64-bit int, got 3.0."),
    ({"ids": torch.ones(3)}, "Expected each id to be a string or a 64-bit int, got 1.0."),
    ({"ids": [1, 2, True]}, "Expected each id to be a string or a 64-bit int, got True."),
    ({"ids": [1, 2, None]}, "Expected each id to be a string or a 64-bit int, got None."),
    ({"ids": [1, 2, 2**63]}, "Expected each id to be a string or a 64-bit int, got 9223372036854775808."),
    ({"ids": [1, 2, -(2**63)]}, "Expected each id to be a string or a 64-bit int, got -9223372036854775808."),
]


@pytest.mark.parametrize(("changed", "message"), BAD, ids=[message[-40:] for _, message in BAD])
def test_a_bad_batch_raises_and_leaves_the_metric_as_it_was(changed, message):
    m, alone = metric(), metric()
    for each in (m, alone):
        each.update(**batch(2), ids=["x", "y"])
    with pytest.raises(ValueError, match=re.escape(message)):
        m.update(**batch(**changed))
    assert torch.equal(m.compute(), alone.compute())
    for each in (m, alone):
        each.update(**batch())
    assert torch.equal(m.compute(), alone.compute())
    assert torch.equal(similarities(m), similarities(alone))
    assert m.compute().isfinite()


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"text": "a dog"}, "put it into a list"), ({"audio": torch.zeros(50)}, "one waveform needs a batch dimension")],
)
def test_the_likely_mistake_is_told_whatever_the_lengths(changed, message):
    with pytest.raises(ValueError, match=message):
        metric().update(**batch(**changed))


@pytest.mark.parametrize(
    "changed",
    [{"video": ["a.mp4", "b.mp4", "c.mp4"]}, {"video": video().numpy()}, {"audio": np.zeros((3, 9), np.float32)}],
)
def test_paths_and_arrays(changed):
    with pytest.raises(ValueError, match="Expected"):
        metric().update(**batch(**changed))


BAD_EMBEDDINGS = [
    ({"video": E2}, "Expected embeddings of video, text, audio, got video."),
    ({}, "Expected embeddings of video, text, audio, got none."),
    (embeddings(depth=E2), "Expected embeddings of video, text, audio, got video, text, audio, depth."),
    (embeddings(audio=torch.ones(2)), "(B, D >= 1) of a floating dtype for audio, got (2,) torch.float32."),
    (embeddings(audio=torch.ones(2, 2, 2)), "for audio, got (2, 2, 2) torch.float32."),
    (embeddings(text=E2.int()), "for text, got (2, 2) torch.int32."),
    (embeddings(text=[[1.0, 0.0]]), "for text, got [[1.0, 0.0]]."),
    (dict.fromkeys(embeddings(), torch.ones(2, 0)), "for video, got (2, 0) torch.float32."),
    (embeddings(audio=E2.to(torch.float8_e4m3fn)), "for audio, got (2, 2) torch.float8_e4m3fn."),
    (embeddings(video=E2.to_sparse()), "for video, got (2, 2) torch.float32 sparse."),
    (embeddings(text=torch.eye(3)), "of one shape (B, D) in a space, got video (2, 2), text (3, 3), audio (2, 2)."),
    (embeddings(text=E2[:1]), "of one shape (B, D) in a space, got video (2, 2), text (1, 2), audio (2, 2)."),
]


@pytest.mark.parametrize(("given", "message"), BAD_EMBEDDINGS, ids=[message[-40:] for _, message in BAD_EMBEDDINGS])
def test_bad_embeddings(given, message):
    m = MAJORScore(encoder=None)
    m.update(embeddings=embeddings())
    with pytest.raises(ValueError, match=re.escape(message)):
        m.update(embeddings=given)
    m.update(embeddings=embeddings())
    assert m.compute() == 1
    assert len(m.rows()["id"]) == 4


def test_spaces_of_different_lengths():
    given = {"clip_video": E2, "clip_text": E2, "clap_text": torch.eye(3), "clap_audio": torch.eye(3)}
    m = CLIPCLAPScore(clip=None, clap=None)
    with pytest.raises(ValueError, match=r"Expected as many samples in every space, got \[2, 3\]"):
        m.update(embeddings=given)
    m.update(embeddings=given | {"clap_text": torch.eye(3)[:2], "clap_audio": torch.eye(3)[:2]})
    assert m.compute() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [({"fps": 1}, "Expected sample_rate > 0 to score raw audio, got None: pass it, e.g. sample_rate=16000."),
     ({"sample_rate": 8000}, "Expected fps > 0 to score raw video, got None: pass the frame rate, e.g. fps=8.")],
)  # fmt: skip
def test_rates_are_needed_for_raw_inputs_only(options, message):
    m = MAJORScore(encoder=Recorder(), **options)
    m.update(embeddings=embeddings())
    with pytest.raises(ValueError, match=re.escape(message)):
        m.update(**batch())
    assert m.compute() == 1


@pytest.mark.parametrize("name", ["sample_rate", "fps"])
@pytest.mark.parametrize("value", ["8000", 0, -8, NAN, INF, 1e9, [8000], True, torch.tensor([8.0, 9.0])])
def test_rates_that_cannot_be(name, value):
    with pytest.raises(ValueError, match=f"^Expected {name} as a number from .*, got .*\\.$"):
        MAJORScore(encoder=None, **{name: value})
    with pytest.raises(ValueError, match=r"^Expected sample_rate in whole Hz, got 44100\.5\.$"):
        MAJORScore(encoder=None, sample_rate=44100.5)


@pytest.mark.parametrize("value", [44_100.0, np.int32(44_100), np.float32(44_100), torch.tensor(44_100)])
def test_equal_rates_in_other_spellings_are_equal_options(value):
    one, other = (MAJORScore(encoder=None, sample_rate=rate) for rate in (44_100, value))
    assert torch.equal(one.fingerprint, other.fingerprint)
    assert type(other.sample_rate) is int


def test_raw_inputs_without_an_encoder():
    with pytest.raises(ValueError, match=r"Expected update\(embeddings=...\), since the metric has no encoder"):
        MAJORScore(encoder=None, fps=1, sample_rate=8000).update(**batch())


def test_the_same_id_with_the_same_scores_counts_once():
    m = metric()
    m.update(**batch(), ids=["a", 7, "b"])
    value = m.compute()
    m.update(**batch(), ids=["a", 7, "b"])
    assert m.rows()["id"].count(7) == 1
    assert torch.equal(m.compute(), value)
    assert len(m.rows()["id"]) == 3


def test_the_same_id_with_other_scores_warns_and_the_first_stays():
    m = MAJORScore(encoder=None)
    m.update(embeddings=embeddings(), ids=["clip", "other"])
    m.update(embeddings=embeddings(audio=-E2), ids=["clip", "new"])
    message = (
        "1 ids came with different similarities, and the first row of each was kept, e.g. 'clip' with "
        "[1.0, 1.0, 1.0] and [1.0, -1.0, -1.0]: are the ids unique"
    )
    with pytest.warns(UserWarning, match=re.escape(message)):
        assert m.compute() == torch.tensor((1 + 1 + 0) / 3)


@pytest.mark.parametrize("make", [lambda: metric(), lambda: metric(nan_strategy="error")])
def test_forward_of_a_bad_batch_keeps_the_rows_before_it(make):
    m = make()
    m.update(**batch(2), ids=["x", "y"])
    bad = batch(**third(None, "video")) if m.nan_strategy == "error" else batch(video=video(200.0))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="video of sample 2")
        with pytest.raises((ValueError, RuntimeError), match=r"Expected float video|have no value"):
            m(**bad)
    assert {"x", "y"} <= set(m.rows()["id"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_a_modality_that_a_whole_batch_lacks_under_another_default_dtype(dtype):
    m, mute, whole = metric(nan_strategy="ignore"), batch(text=["", "", ""]), batch()
    torch.set_default_dtype(dtype)
    try:
        m.update(**mute)
        m.update(**whole)
        value = m.compute()
    finally:
        torch.set_default_dtype(torch.float32)
    alone = metric()
    alone.update(**whole)
    assert torch.equal(value, alone.compute())
    assert len(m.rows()["id"]) == 6


def test_an_encoder_whose_embeddings_have_two_widths_leaves_no_half_row():
    m = metric()
    encoder = m.encoder.on(torch.device("cpu"))
    encoder.encode_audio = lambda waveforms: torch.ones(len(waveforms), 4)
    with pytest.raises(ValueError, match="shape"):
        m.update(**batch(), ids=[0, 1, 2])
    del encoder.encode_audio
    m.update(**batch(), ids=[3, 4, 5])
    assert m.rows()["id"] == [3, 4, 5]
    assert m.compute().isfinite()
