"""A defect of one sample costs that sample only, and every form of the same sample is scored the same."""

import math
import re
import warnings

import pytest
import torch
from recorder import INF, NAN, batch, embeddings, metric, odd, similarities, third

from torchmetrics_majorscore import CLIPCLAPScore, FairScore, MAJORScore

# A defect of one sample: it has no value, a warning says why, and the others are scored.
DEFECTS = [
    (third(None, "video"), "video of sample 2 is missing; its pairs have no value."),
    (third(None, "audio"), "audio of sample 2 is missing; its pairs have no value."),
    (third(None, "text"), "text of sample 2 is missing; its pairs have no value."),
    (third("", "text"), "text of sample 2 is empty; its pairs have no value."),
    *[(third(text, "text"), "text of sample 2 is empty; its pairs") for text in (" \n\t", "&nbsp;", "\ufeff", "\0")],
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
    audio = torch.ones(3, 32_000, dtype=dtype)
    audio[:, ::2] = -1
    audio[1] = 0
    with pytest.warns(UserWarning, match=r"^audio of sample 1 \(id 'b'\) is silent; it is scored as it is\.$"):
        m.update(**batch(audio=audio), ids=["a", "b", "c"])
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


NTSC = 30000 / 1001
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


@pytest.mark.parametrize("heard", [
    1e-6 * torch.randn(32_000).clamp(-4, 4),  # below a step of 16 bits
    torch.randn(32_000).clamp(-1, 1) * torch.tensor([[1.0], [-1.0]]),  # cancelled by the mix
    torch.full((32_000,), 0.3),  # an offset
    torch.tensor([0.5]),  # one sample
], ids=["16 bits", "anti-phase", "offset", "one sample"])  # fmt: skip
def test_what_becomes_silence_is_named(heard):
    m = metric()
    with pytest.warns(UserWarning, match=r"^audio of sample 2 is silent; it is scored as it is\.$"):
        m.update(**batch(**third(heard, "audio")))
    assert m.compute().isfinite()


def test_sound_beyond_full_scale_is_named():
    m = metric()
    loud = batch()["audio"]
    loud[1, 7] = 1.09  # as decoders and generators overshoot
    m.update(**batch(audio=loud))
    loud[1, 7] = -1.5
    with pytest.warns(UserWarning, match=r"audio of sample 1 is clipped to \[-1, 1\] from a peak of 1.50; "):
        m.update(**batch(audio=loud))
    assert m.compute().isfinite()


@pytest.mark.filterwarnings("default:The inputs of")
def test_inputs_that_last_differently_are_named():
    m = metric()
    with pytest.warns(UserWarning, match=r"inputs of sample 1 \(id 4\) last differently \(video 2.0 s, audio 12.0 s\)"):
        m.update(**batch(audio=[torch.rand(s) for s in (32_000, 192_000, 16_000)]), ids=torch.tensor([3, 4, 5]))


def test_frames_that_look_like_a_mistake_are_named():
    m = metric(pairs=["video-text"])
    with pytest.warns(UserWarning, match="holds only 0 and 1: float in"):
        m.update(video=torch.rand(3, 2, 3, 4, 4).round().to(torch.uint8), text=["a", "b", "c"])
    colours = torch.tensor([200, 100, 30]).view(1, 1, 3, 1, 1).expand(1, 3, 3, 8, 8)
    moving = (colours + torch.arange(3).view(1, 3, 1, 1, 1)).to(torch.uint8)
    m.update(video=moving, text=["a"])
    m.update(video=torch.zeros_like(moving), text=["black"])
    with pytest.warns(UserWarning, match=r"\(3, T, H, W\) instead of \(T, 3, H, W\)"):
        m.update(video=moving.transpose(1, 2), text=["a"])


def test_captions_and_samples_of_any_size_go_in_as_they_are():
    m = metric()
    frames = [torch.zeros(1 + k, 3, 4 + k, 6, dtype=torch.uint8) for k in range(3)]
    m.update(video=frames, text=(" a Dog. ", "b", "ü"), audio=[torch.rand(2 + k) for k in range(3)])
    seen = m._spaces[0].encoder.on(torch.device("cpu")).seen
    assert list(seen["text"]) == [" a Dog. ", "b", "ü"]
    assert [tuple(f.shape) for f in seen["video"]] == [(1, 3, 4, 6), (2, 3, 5, 6), (3, 3, 6, 6)]
    assert [len(w) for w in seen["audio"]] == [2, 3, 4]


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
