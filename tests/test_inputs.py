"""What is checked at the door of ``update``: a stated behaviour for every bad input, and none of them is a number."""

import math
import re
import warnings

import numpy as np
import pytest
import torch

from torchmetrics_majorscore import CLIPCLAPScore, FairScore, MAJORScore, MAJORScores

NTSC = 30000 / 1001
NAN, INF = float("nan"), float("inf")
E2 = torch.eye(2)


class Recorder:
    """A plain object as an encoder: keeps what it is given, and maps it to three numbers."""

    name = "recorder@0"
    modalities = ("video", "text", "audio")
    sample_rate = 16_000

    def __init__(self):
        self.seen = {}

    def encode_video(self, batch):
        self.seen["video"] = batch
        return torch.stack([torch.tensor([1.0, frames.double().mean() / 255, 0.1]) for frames in batch])

    def encode_text(self, batch):
        self.seen["text"] = batch
        return torch.stack([torch.tensor([1.0, len(text) / 10, 0.2]) for text in batch])

    def encode_audio(self, batch):
        self.seen["audio"] = batch
        return torch.stack([torch.tensor([1.0, waveform.double().abs().mean(), 0.3]) for waveform in batch])


def metric(cls=MAJORScore, fps=1, **options):
    return cls(encoder=Recorder(), sample_rate=16_000, fps=fps, **options)


def batch(count=3, **changed):
    generator = torch.Generator().manual_seed(count)
    inputs = {
        "video": torch.randint(0, 256, (count, 2, 3, 4, 4), generator=generator, dtype=torch.uint8),
        "text": ["a dog", "rain", "a violin"][:count],
        "audio": torch.rand(count, 20, generator=generator) - 0.5,
    }
    return inputs | changed


def embeddings(**changed):
    return {"video": E2, "text": E2, "audio": E2} | changed


def similarities(m):
    return torch.stack([column for name, column in m.rows().items() if name != "id"], dim=1)


def video(values=0.5, dtype=torch.float32):
    return torch.full((3, 2, 3, 4, 4), values, dtype=dtype)


def odd(value, shape=(3, 20)):
    inputs = torch.full(shape, 0.5)
    inputs[1].view(-1)[-1] = value
    return inputs


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
    (embeddings(audio=torch.ones(2)), "(B, D) of a floating dtype for audio, got (2,) torch.float32."),
    (embeddings(audio=torch.ones(2, 2, 2)), "for audio, got (2, 2, 2) torch.float32."),
    (embeddings(text=E2.int()), "for text, got (2, 2) torch.int32."),
    (embeddings(text=[[1.0, 0.0]]), "for text, got [[1.0, 0.0]]."),
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
    [({"fps": 1}, "Expected sample_rate > 0 to score raw audio, got None: pass it, e.g. 16000."),
     ({"sample_rate": 8}, "Expected fps > 0 to score raw video, got None: pass the frame rate, e.g. fps=8."),
     ({"fps": 0, "sample_rate": 8}, "fps > 0 to score raw video, got 0"),
     ({"fps": NAN, "sample_rate": 8}, "fps > 0 to score raw video, got nan"),
     ({"fps": 1, "sample_rate": -8}, "sample_rate > 0 to score raw audio, got -8")],
)  # fmt: skip
def test_rates_are_needed_for_raw_inputs_only(options, message):
    m = MAJORScore(encoder=Recorder(), **options)
    m.update(embeddings=embeddings())
    with pytest.raises(ValueError, match=re.escape(message)):
        m.update(**batch())
    assert m.compute() == 1


def test_raw_inputs_without_an_encoder():
    with pytest.raises(ValueError, match=r"Expected update\(embeddings=...\), since the metric has no encoder"):
        MAJORScore(encoder=None, fps=1, sample_rate=8).update(**batch())


# A defect of one sample: it has no value, a warning says why, and the others are scored.
def third(value, kind):
    inputs = list(batch()[kind])
    inputs[2] = value
    return {kind: inputs}


DEFECTS = [
    (third(None, "video"), "video of sample 2 is missing; its pairs have no value."),
    (third(None, "audio"), "audio of sample 2 is missing; its pairs have no value."),
    (third(None, "text"), "text of sample 2 is missing; its pairs have no value."),
    (third("", "text"), "text of sample 2 is empty; its pairs have no value."),
    (third(" \n\t", "text"), "text of sample 2 is empty; its pairs have no value."),
    (third(torch.zeros(0, 3, 4, 4), "video"), "video of sample 2 has no frames; its pairs have no value."),
    (third(torch.zeros(0), "audio"), "audio of sample 2 has no samples; its pairs have no value."),
    (third(torch.zeros(2, 0), "audio"), "audio of sample 2 has no samples; its pairs have no value."),
    *[(third(torch.full((2, 3, 4, 4), v), "video"), "video of sample 2 has NaN or infinite") for v in (NAN, INF, -INF)],
    *[(third(torch.full((9,), v), "audio"), "audio of sample 2 has NaN or infinite values") for v in (NAN, INF, -INF)],
    (third(torch.tensor([0.1, NAN, 0.2]), "audio"), "audio of sample 2 has NaN or infinite values"),
]


@pytest.mark.parametrize(("changed", "message"), DEFECTS, ids=[message[:40] for _, message in DEFECTS])
@pytest.mark.parametrize("cls", [MAJORScore, FairScore])
def test_a_defect_of_one_sample_costs_that_sample_only(cls, changed, message):
    m, alone = metric(cls), metric(cls)
    with pytest.warns(UserWarning, match=re.escape(message)) as caught:
        m.update(**batch(**changed))
    assert len(caught) == 1
    alone.update(**{kind: inputs[:2] for kind, inputs in batch().items()})
    with pytest.warns(UserWarning, match=r"1 of 3 samples have no value for .* \(missing or not finite\) and are left"):
        value = m.compute()
    assert torch.equal(value, alone.compute())
    kind = next(iter(changed))
    for name, column in m.rows().items():
        if name != "id":
            assert column.isnan().tolist() == [False, False, kind in name]


@pytest.mark.parametrize(("changed", "message"), [
    ({"video": [None] * 3}, "is missing"),
    ({"video": torch.zeros(3, 0, 3, 4, 4)}, "has no frames"),
    ({"audio": torch.zeros(3, 0)}, "has no samples"),
    ({"audio": odd(NAN)[1:2].repeat(3, 1)}, "has NaN"),
    ({"text": ["", "", ""]}, "is empty"),
])  # fmt: skip
def test_a_defect_of_every_sample(changed, message):
    m = metric(nan_strategy="warn")
    m.update(**batch(2))
    expected = m.compute()
    with pytest.warns(UserWarning, match=message):
        m.update(**batch(**changed))
    with pytest.warns(UserWarning, match="3 of 5 samples have no value"):
        assert torch.equal(m.compute(), expected)


@pytest.mark.parametrize("name", ["video", "text", "audio"])
@pytest.mark.parametrize("value", [NAN, INF, 0.0])
def test_embeddings_without_a_direction(name, value):
    m = MAJORScore(encoder=None)
    given = embeddings()
    given[name] = torch.tensor([[value, value], [0.0, 1.0]])
    m.update(embeddings=given)
    with pytest.warns(UserWarning, match="1 of 2 samples have no value for video-text, text-audio"):
        assert m.compute() == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.int16])
def test_silence_is_scored_as_it_is(dtype):
    m = metric()
    audio = torch.ones(3, 20, dtype=dtype)
    audio[1] = 0
    with pytest.warns(UserWarning, match=r"audio of sample 1 is silent \(every value is 0\); it is scored as it is"):
        m.update(**batch(audio=audio))
    assert similarities(m).isfinite().all()
    assert m.compute().isfinite()


@pytest.mark.parametrize("inputs", [
    {"video": [], "text": [], "audio": []},
    {"video": torch.zeros(0, 2, 3, 4, 4), "text": [], "audio": torch.zeros(0, 9)},
    {"embeddings": {name: torch.zeros(0, 5) for name in ("video", "text", "audio")}},
    {"video": [], "text": [], "audio": [], "ids": []},
])  # fmt: skip
@pytest.mark.parametrize("cls", [MAJORScore, FairScore])
def test_an_empty_batch_is_no_sample(cls, inputs):
    m = metric(cls)
    m.update(**inputs)
    assert m.compute().isnan()
    assert similarities(m).shape == (0, 3)
    m.update(**batch())
    value = m.compute()
    m.update(**inputs)
    assert torch.equal(m.compute(), value)
    assert value.isfinite()


@pytest.mark.parametrize("make", [
    lambda: MAJORScore(encoder=None), lambda: FairScore(encoder=None), lambda: CLIPCLAPScore(clip=None, clap=None),
    lambda: MAJORScore(encoder=None, nan_strategy="error"),
])  # fmt: skip
def test_no_sample_at_all_is_nan(make):
    m = make()
    assert m.rows()["id"] == []
    with pytest.warns(UserWarning, match="called before the ``update`` method"):
        assert m.compute().isnan()


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


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: MAJORScore("mean", encoder=None), ValueError, "combine to be one of ['sum', 'product', 'average'], got"),
    (lambda: CLIPCLAPScore("mean", None, None), ValueError, "combine to be one of ['sum', 'product', 'average'], got"),
    (lambda: MAJORScores(encoder=None, pairs=["a-b"]), ValueError, "each pair to be one of video-text, video-audio"),
    (lambda: MAJORScore(encoder=None, pairs="smell"), ValueError, "Expected pairs to be 'all', one of ['video', 't"),
    (lambda: MAJORScore(encoder="mcr"), ValueError, "one of ['c-mcr', 'clap', 'clip'] or an encoder object, got 'mcr'"),
    (lambda: CLIPCLAPScore(clip="vit"), ValueError, "one of ['c-mcr', 'clap', 'clip'] or an encoder object, got 'vit'"),
    (lambda: FairScore(None, nan_strategy="zero"), ValueError, "to be 'warn', 'ignore' or 'error', got 'zero'."),
    (lambda: FairScore(None, pairs=["text-video"]), ValueError, "at least two pairs to compare, got video-text."),
    (lambda: FairScore(None, modalities=("a", "b")), ValueError, "at least two pairs to compare, got a-b."),
    (lambda: metric(weights="seeded"), ValueError, "Expected weights and pool only with an encoder's name, got them"),
    (lambda: metric(pool="before_head"), ValueError, "Expected weights and pool only with an encoder's name"),
    (lambda: MAJORScore(encoder=3), TypeError, "Expected an encoder with name, modalities, got int without."),
    (lambda: MAJORScore(weights="/no/such"), FileNotFoundError, "a folder with checkpoints, got '/no/such'."),
    (lambda: MAJORScore(encoder=None, frames=1), ValueError, "Unexpected keyword arguments: `frames`"),
])  # fmt: skip
def test_bad_options(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


@pytest.mark.parametrize("part", ["name", "modalities", "sample_rate", "encode_video", "encode_text", "encode_audio"])
def test_an_encoder_without_a_part_of_the_protocol(part):
    whole = {name: value for name, value in vars(Recorder).items() if not name.startswith("__")}
    encoder = type("Part", (), {name: value for name, value in whole.items() if name != part})()
    with pytest.raises(TypeError, match=f"^Expected an encoder with {part}, got Part without.$"):
        MAJORScore(encoder=encoder)


def test_an_encoder_that_loses_a_sample():
    encoder = Recorder()
    encoder.encode_text = lambda batch: torch.ones(2, 3)
    with pytest.raises(ValueError, match=r"encode_text of recorder@0 to return \(3, D\), got \(2, 3\)"):
        MAJORScore(encoder=encoder, fps=1, sample_rate=16_000).update(**batch())


def test_a_weights_folder_that_lacks_files(tmp_path, monkeypatch):
    (tmp_path / "clap_clip.pt").touch()
    message = f"The weights folder {tmp_path} lacks open_clip_model.safetensors or model.safetensors; 630k-fusion-best"
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        MAJORScore(weights=tmp_path)
    monkeypatch.setenv("MAJORSCORE_WEIGHTS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        MAJORScore()


@pytest.mark.parametrize("pairs", ["all", ["video-audio"], "audio", "video"])
def test_the_baseline_has_no_video_audio(pairs):
    with pytest.raises(ValueError, match=r"Expected .*video-audio"):
        CLIPCLAPScore(clip=None, clap=None, pairs=pairs)


def test_an_unknown_pool():
    with pytest.raises(ValueError, match="Expected pool"):
        MAJORScore(pool="mean")


def test_the_baseline_with_encoders_the_wrong_way_round():
    with pytest.raises(ValueError, match="Expected"):
        CLIPCLAPScore(clip="clap", clap="clip")


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


# Frames are picked at t = 0, 1, 2, ... s: frame floor(t * fps).
PICKED = [
    (1, 3, [0, 1, 2]),
    (1, 1, [0]),
    (8, 1, [0]),
    (8, 8, [0]),
    (8, 9, [0, 8]),
    (8, 20, [0, 8, 16]),
    (25, 24, [0]),
    (25, 76, [0, 25, 50, 75]),
    (NTSC, 29, [0]),
    (NTSC, 30, [0, 29]),
    (NTSC, 90, [0, 29, 59, 89]),
    (29.97, 300, [0, 29, 59, 89, 119, 149, 179, 209, 239, 269, 299]),
    (0.5, 1, [0, 0]),
    (0.5, 3, [0, 0, 1, 1, 2, 2]),
    (2.5, 10, [0, 2, 5, 7]),
    (100 / 3, 100, [0, 33, 66]),
]


@pytest.mark.parametrize(("fps", "count", "expected"), PICKED)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_picked_frames(fps, count, expected, dtype):
    m = metric(fps=fps)
    numbers = torch.arange(count).view(-1, 1, 1, 1).expand(count, 3, 2, 2)
    # Frame i is i // 255 in red and i % 255 in the other channels.
    frames = torch.cat([numbers[:, :1] // 255, numbers[:, 1:] % 255], dim=1).to(torch.uint8)
    m.update(**batch(1, video=[frames if dtype == torch.uint8 else frames / 255]))
    (seen,) = m._spaces[0].encoder.on(torch.device("cpu")).seen["video"]
    assert seen.dtype == torch.uint8
    assert (seen[:, 0].long() * 255 + seen[:, 1].long())[:, 0, 0].tolist() == expected
    assert seen.shape[1:] == (3, 2, 2)


def same(name, forms, **options):
    values = []
    for form in forms:
        m = metric(**options)
        m.update(**batch(**{name: form}))
        values.append(similarities(m))
    assert values[0].isfinite().all()
    return all(torch.equal(values[0], value) for value in values)


def test_one_picture_in_every_form():
    pixels = torch.arange(256).repeat(9)[: 3 * 2 * 3 * 4 * 4].view(3, 2, 3, 4, 4).to(torch.uint8)
    real = pixels / 255
    white = torch.full_like(pixels, 255)
    assert same("video", [pixels, real, real.double(), real.half(), list(pixels), tuple(real), [pixels[0], *real[1:]]])
    assert same("video", [white, white / 255 + 0.0005])  # a resize overshoots a little


def test_one_sound_in_every_form():
    steps = torch.randint(-32768, 32768, (3, 20), generator=torch.Generator().manual_seed(0)).to(torch.int16)
    real = steps.float() / 32768
    stereo = [torch.stack([waveform, waveform]) for waveform in real]
    mixed = [torch.stack([waveform + 0.25, waveform - 0.25]) for waveform in real.double()]
    forms = [steps, real, real.double(), real[:, None], steps[:, None], list(real), stereo, torch.stack(stereo), mixed]
    assert same("audio", forms)
    m = metric()
    m.update(**batch(audio=steps[:, None].repeat(1, 2, 1)))
    seen = m._spaces[0].encoder.on(torch.device("cpu")).seen["audio"]
    assert torch.equal(torch.stack(seen), real)
    assert all(waveform.dtype == torch.float32 for waveform in seen)


def test_a_small_overshoot_of_generated_audio_is_no_mistake():
    m = metric()
    m.update(**batch(audio=odd(1.5)))
    assert m.compute().isfinite()


def test_captions_and_samples_of_any_size_go_in_as_they_are():
    m = metric()
    frames = [torch.zeros(1 + k, 3, 4 + k, 6, dtype=torch.uint8) for k in range(3)]
    m.update(video=frames, text=(" a Dog. ", "b", "ü"), audio=[torch.ones(1 + k) for k in range(3)])
    seen = m._spaces[0].encoder.on(torch.device("cpu")).seen
    assert list(seen["text"]) == [" a Dog. ", "b", "ü"]
    assert [tuple(f.shape) for f in seen["video"]] == [(1, 3, 4, 6), (2, 3, 5, 6), (3, 3, 6, 6)]
    assert [len(w) for w in seen["audio"]] == [1, 2, 3]


@pytest.mark.parametrize("strategy", ["warn", "ignore", "error"])
def test_no_failure_is_a_number(strategy):
    m = metric(nan_strategy=strategy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        m.update(video=[None, *batch(2)["video"]], text=["a", "", "b"], audio=[torch.ones(9), torch.ones(9), None])
        rows = m.rows()
        assert all(math.isnan(v) for v in [*rows["video-text"][:2], *rows["text-audio"][1:], *rows["video-audio"][::2]])
        if strategy == "error":
            with pytest.raises(RuntimeError, match="3 of 3 samples have no value for video-text, text-audio"):
                m.compute()
        else:
            assert m.compute().isnan()
