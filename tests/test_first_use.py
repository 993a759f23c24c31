"""What an encoder of the user's own returns: one line names what is wrong with it, at its first use."""

import numpy as np
import pytest
import torch
from signals import CPU, sound
from torch import nn
from torch.nn.functional import normalize

from torchmetrics_majorscore import MAJORScore
from torchmetrics_majorscore.encoders import load_encoder


class Own(nn.Module):
    """Loudness and length as directions, with a mistake if asked for."""

    modalities, sample_rate = ("text", "audio"), 16_000

    def __init__(self, mistake=""):
        super().__init__()
        self.mistake, self.name = mistake, f"own{mistake}@1"

    def encode_text(self, batch):
        rows = torch.tensor([[float(len(text)), 1.0] for text in batch])
        return normalize(torch.cat([rows, rows], dim=1) if self.mistake == "width" else rows, dim=-1)

    def encode_audio(self, batch):
        if self.mistake in ("list", "numpy", "nothing"):
            return {"list": [[1.0, 0.0]] * len(batch), "numpy": np.eye(2), "nothing": None}[self.mistake]
        rows = torch.stack([torch.stack([wave.abs().mean(), wave.std()]) for wave in batch])
        if self.mistake == "batch":
            rows = rows - rows.mean()
        return 3 * rows if self.mistake == "length" else normalize(rows, dim=-1)


BATCH = {"text": ["a dog barks", "rain"], "audio": [sound(0.2, 16_000), 0.1 * sound(0.3, 16_000, seed=1)]}


@pytest.mark.parametrize(
    ("mistake", "line"),
    [
        ("list", r"Expected encode_audio of ownlist@1 to return \(2, D\), got list\."),
        ("numpy", r"Expected encode_audio of ownnumpy@1 to return \(2, D\), got ndarray\."),
        ("nothing", r"Expected encode_audio of ownnothing@1 to return \(2, D\), got NoneType\."),
        ("length", "Expected encode_audio of ownlength@1 to return unit vectors, got lengths from .* to .*: torch.nn"),
        ("width", "Expected encode_audio of ownwidth@1 to return 4 numbers as encode_text of ownwidth@1 does, got 2"),
        (
            "batch",
            "Expected encode_audio of ownbatch@1 to give a sample one embedding, got another one in a batch of 2, ",
        ),
    ],
)
def test_a_mistake_is_named_and_nothing_is_kept(mistake, line):
    metric = MAJORScore(encoder=Own(mistake), pairs="all", sample_rate=16_000)
    with pytest.raises(ValueError, match=line) as caught:
        metric.update(**BATCH)
    assert "\n" not in str(caught.value)
    assert metric.rows()["id"] == []


class Counting(Own):
    """Says how many samples it was asked for."""

    calls = []  # noqa: RUF012, of the frozen copy as well

    def encode_audio(self, batch):
        self.calls.append(len(batch))
        return super().encode_audio(
            [item if isinstance(item, torch.Tensor) else torch.cat(list(item)) for item in batch]
        )


def test_without_a_mistake_each_modality_is_checked_once():
    handle = load_encoder(Counting())
    for count in (1, 2, 2):
        handle.encode("audio", BATCH["audio"][:count], CPU)
    assert Counting.calls == [1, 2, 1, 2]


def test_pieces_are_read_once():
    pieces = [iter([wave[:100], wave[100:]]) for wave in BATCH["audio"]]
    rows = load_encoder(Counting()).encode("audio", pieces, CPU)
    torch.testing.assert_close(rows, Own().encode_audio(BATCH["audio"]))


def test_of_a_plain_object_the_cosines_are_taken():
    class Plain:
        modalities, sample_rate, name = ("text", "audio"), 16_000, "plain@1"
        encode_text = staticmethod(lambda batch: 3 * Own().encode_text(batch))
        encode_audio = staticmethod(lambda batch: 5 * Own().encode_audio(batch))

    values = []
    for encoder in (Plain(), Own()):
        metric = MAJORScore(encoder=encoder, pairs="all", sample_rate=16_000)
        metric.update(**BATCH)
        values.append(metric.compute())
    torch.testing.assert_close(*values)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"modalities": "text"}, r"^Expected modalities as a tuple of names, like \('video', 'audio'\), got 'text'"),
        ({"modalities": ("text", 3)}, r"^Expected modalities as a tuple of names, .* got \('text', 3\)"),
        ({"sample_rate": None}, r"^Expected sample_rate as a whole number of Hz, like 16_000, got None"),
        ({"sample_rate": 0}, r"^Expected sample_rate as a whole number of Hz, like 16_000, got 0"),
        ({"shapes": {"depth": 4}}, r"^Expected shapes\['depth'\] as a tuple of sizes, like \(1, None\), got 4"),
        ({"shapes": {"depth": "1x4"}}, r"^Expected shapes\['depth'\] as a tuple of sizes, .* got '1x4'"),
        ({"per_pair": {"smell": ("text",)}}, r"^Expected per_pair of text, audio, got 'smell'"),
        ({"per_pair": {"text": ("smell",)}}, r"^Expected per_pair of text, audio, got 'smell'"),
    ],
)
def test_what_it_says_of_itself_is_named(said, line):
    own = Own()
    for name, value in said.items():
        setattr(own, name, value)
    with pytest.raises(TypeError, match=line):
        MAJORScore(encoder=own, sample_rate=16_000)


def test_a_plain_object_of_two_widths_is_named():
    class Plain:
        name, modalities, sample_rate = "plain@1", ("text", "audio"), 16_000
        encode_text = staticmethod(lambda batch: torch.ones(len(batch), 3))
        encode_audio = staticmethod(lambda batch: torch.ones(len(batch), 4))

    with pytest.raises(ValueError, match=r"of one shape \(B, D\), got \(2, 3\) of text and \(2, 4\) of audio"):
        MAJORScore(encoder=Plain(), sample_rate=16_000).update(**BATCH)
