"""The handle on a network: one set of weights, one pass per batch, how waveforms come to it, and what it refuses."""

import copy
import pickle

import pytest
import torch
from signals import CPU, sound
from torch import nn

from torchmetrics_majorscore.networks import SharedNetwork, load_network
from torchmetrics_majorscore.networks.prepare import prepare, resample_hann


class Levels(nn.Module):
    """Mean and power of each tenth of a second; of an even seed a list of such vectors."""

    sample_rate, shortest = 16_000, 1_600

    def __init__(self, windows=False):
        super().__init__()
        # By name and weights a handle is shared, so another kind needs another name.
        self.name, self.windows = "windows@1" if windows else "levels@1", windows
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0]))
        self.batches = []

    def encode_audio(self, batch):
        self.batches.append([len(waveform) for waveform in batch])
        parts = [waveform[: len(waveform) // 1600 * 1600].view(-1, 1600) for waveform in batch]
        rows = [torch.stack([part.mean(dim=1), part.square().mean(dim=1)], dim=-1) * self.weight for part in parts]
        if self.windows:
            return {"features": rows}
        features = torch.stack([row.mean(dim=0) for row in rows])
        return {"features": features, "logits": features.repeat(1, 2)}


class Plain:
    name, sample_rate = "plain", 16_000

    def __init__(self, result):
        self.result = result

    def encode_audio(self, batch):
        return self.result


def calls_of(handle):
    return handle.on(CPU).batches


def test_one_handle_per_weights_and_options_which_pickles_small():
    handle = load_network(Levels())
    assert load_network(Levels()) is load_network(handle) is copy.deepcopy(handle) is handle
    assert pickle.loads(pickle.dumps(handle)) is handle
    other = load_network(Levels(), profile="av-benchmark")
    assert (handle.name, other.name) == ("levels@1", "levels@1:av-benchmark:8s")
    assert load_network(Levels(), profile="av-benchmark", seconds=8) is other is not handle
    assert load_network(Levels(), seconds=5).name == "levels@1:5s"
    with torch.no_grad():
        changed = Levels()
        changed.weight += 1
    assert load_network(changed) is not handle
    assert not any(parameter.requires_grad for parameter in handle.on(CPU).parameters())


def test_a_batch_of_both_sides_is_heard_once_for_all_metrics():
    handle = load_network(Levels())
    calls_of(handle).clear()
    sides = [[sound(0.2, 16_000, 0)], [sound(0.3, 16_000, 1)]]
    for asker in range(3):
        for side in sides:
            handle.encode(side, 16_000, CPU, asker=asker)
    assert calls_of(handle) == [[3200], [4800]]
    first = handle.encode(sides[0], 16_000, CPU, asker=0)  # its next batch, which happens to be equal
    handle.encode(sides[0], 8_000, CPU, asker=7)  # the same samples of another rate are another sound
    assert calls_of(handle)[2:] == [[3200], [6400]]
    sides[0][0].mul_(-1)
    assert not torch.equal(handle.encode(sides[0], 16_000, CPU, asker=5)["features"], first["features"])


@pytest.mark.parametrize("windows", [False, True])
def test_a_sound_that_is_too_short_gets_nan_and_a_remark(windows):
    handle = load_network(Levels(windows))
    batch = [sound(1, 48_000), sound(0.05, 48_000), torch.zeros(4800)]
    encoded = handle.encode(batch, 48_000, CPU)
    alone = handle.encode(batch[:1], 48_000, CPU)
    for key, rows in encoded.items():
        assert torch.equal(rows[0], alone[key][0])
        assert rows[1].isnan().all()
        assert rows[2].isfinite().all()
    assert isinstance(encoded["features"], list) == windows
    assert handle.remark(batch, 48_000, CPU) == {
        1: "is too short for Levels (takes 0.1 s and more, got 0.05 s), so it has no features"
    }
    assert handle.encode(batch[1:2], 48_000, CPU)["features"][0].isnan().all()


def test_options_and_results_that_do_not_fit_are_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^Expected network to be one of .* or a network object .*, got 'vgg'\.$"):
        load_network("vgg")
    with pytest.raises(ValueError, match=r"^Expected profile to be one of \['default', 'av-benchmark'\], got 'avb'\.$"):
        load_network(Levels(), profile="avb")
    with pytest.raises(ValueError, match=r"^Expected seconds > 0, got 0\.$"):
        load_network(Levels(), seconds=0)
    with pytest.raises(ValueError, match="Expected no options beside a handle"):
        load_network(load_network(Levels()), seconds=4)
    with pytest.raises(TypeError, match=r"got the class Levels: pass Levels\(\)"):
        load_network(Levels)
    with pytest.raises(TypeError, match="Expected a network with name, sample_rate, encode_audio, got object without"):
        load_network(object())
    wrong = {
        r"to return features \(2, D\) or 2 tensors \(W, D\), got rows": {"features": torch.zeros(3, 4)},
        r"to return logits \(2, C\), got rows": {"features": torch.zeros(2, 4), "logits": torch.zeros(2)},
        "to return features, got logits": {"logits": torch.zeros(2, 3)},
    }
    for message, result in wrong.items():
        with pytest.raises(ValueError, match=message):
            load_network(Plain(result)).encode([torch.zeros(9), torch.zeros(9)], 16_000, CPU)


def test_the_profile_is_that_of_av_benchmark():
    waveform = sound(2, 44_100) + 0.1
    ours = prepare(waveform, 44_100, 16_000, "av-benchmark", 1.5)
    assert len(ours) == 24_000
    assert torch.equal(ours, resample_hann(waveform - waveform.mean(), 44_100, 16_000)[:24_000])
    assert len(prepare(waveform, 44_100, 16_000, "default", None)) == 32_000


@pytest.mark.parametrize("rates", [(44_100, 16_000), (48_000, 32_000), (22_050, 16_000), (16_000, 48_000), (8, 8)])
def test_hann_resampling_is_torchaudios(rates):
    transforms = pytest.importorskip("torchaudio.transforms")
    waveform = sound(0.5, 44_100)[:12_345]
    torch.testing.assert_close(
        resample_hann(waveform, *rates), transforms.Resample(*rates)(waveform), atol=1e-6, rtol=0
    )


def test_a_handle_is_a_network_of_the_room():
    assert isinstance(load_network(Levels()), SharedNetwork)
