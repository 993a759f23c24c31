"""PANNs' Cnn14: the numbers of the original, its layout, and sounds of any length.

GOLDEN was printed by ``benchmarks/networks.py --golden``: what av-benchmark's copy of the original makes of few
channels and seeded weights.
"""

import pytest
import torch
from signals import CPU, sound

from torchmetrics_majorscore.encoders.base import clean_build, exact_float32, seed_weights
from torchmetrics_majorscore.encoders.checkpoints import read_tensors
from torchmetrics_majorscore.networks import NETWORKS, load_network, panns

SMALL = (4, 8, 8, 256, 256, 16), 5
GOLDEN = {
    "features": [0.07107, 0.03102, 0.005389, 0.054538, 0.0, 0.109044, 0.005236, 0.009398],
    "logits": [0.039431, -0.067806, -0.091339, -0.020156, 0.021256],
}
STFT = "spectrogram_extractor.stft.conv_{}.weight"


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Small networks are slower on several threads."""


@pytest.fixture(scope="module")
def small():
    with clean_build():
        network = panns.Cnn14(*SMALL)
        seed_weights(network)
    return network


def public(network):
    """Give a state dict the names of the public file, with the Fourier transform that it has in it."""
    tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    window = tensors.pop("logmel_extractor.window")
    tensors["logmel_extractor.melW"] = tensors.pop("logmel_extractor.bands")
    waves = torch.exp(-2j * torch.pi / 512 * torch.outer(torch.arange(257), torch.arange(512)).double()) * window
    for kind, part in (("real", waves.real), ("imag", waves.imag)):
        tensors[STFT.format(kind)] = part[:, None].float()
    return tensors


def test_seeded_weights_give_the_originals_numbers(small):
    with exact_float32(CPU):
        encoded = small.encode_audio([sound(1.97, 16_000)])
    for key, numbers in GOLDEN.items():
        torch.testing.assert_close(encoded[key][0, : len(numbers)], torch.tensor(numbers), atol=2e-6, rtol=0)


def test_the_public_file_loads_with_what_a_training_leaves_in_it(small, tmp_path):
    import numpy as np

    tensors = {f"module.{name}": tensor for name, tensor in public(small).items()}
    torch.save({"iteration": 7, "model": tensors, "sampler": {"indexes": np.arange(3)}}, tmp_path / "a.pth")
    other = panns.Cnn14(*SMALL)
    panns.fill(other, read_tensors(tmp_path / "a.pth"), "a.pth")
    with exact_float32(CPU):
        ours, again = (network.encode_audio([sound(1, 16_000)]) for network in (small, other))
    assert all(torch.equal(ours[key], again[key]) for key in ours)
    assert torch.equal(other.logmel_extractor.bands, public(small)["logmel_extractor.melW"])
    assert len(tensors) == 84


def test_another_file_is_refused_in_one_line(small):
    tensors = public(small)
    with pytest.raises(ValueError, match=r"^Expected a.pth to have 83 tensors, got 82: it lacks 'fc1.bias'\.$"):
        panns.fill(small, {name: tensors[name] for name in tensors if name != "fc1.bias"}, "a.pth")
    longer = tensors | {STFT.format("real"): torch.zeros(513, 1, 1024)}
    with pytest.raises(ValueError, match=r"got another \(513, 1, 1024\): is it Cnn14 at 16000 Hz\?$"):
        panns.fill(small, longer, "a.pth")
    with pytest.raises(ValueError, match=r"conv_imag.weight' of a.pth to be the Fourier transform of 512 samples"):
        panns.fill(small, tensors | {STFT.format("imag"): -tensors[STFT.format("imag")]}, "a.pth")


def test_a_sounds_bits_do_not_depend_on_its_neighbours(small):
    handle = load_network(small)
    batch = [sound(seconds, 16_000, seed) for seed, seconds in enumerate((0.31, 2, 1.234, 3.3, 0.5))]
    batch += [torch.zeros(16_000), torch.full((8_000,), torch.nan), sound(0.3, 16_000)]
    together = handle.encode(batch, 16_000, CPU)
    for place, waveform in enumerate(batch):
        alone = handle.encode([waveform], 16_000, CPU)
        for key, rows in together.items():
            assert torch.equal(rows[place].nan_to_num(7), alone[key][0].nan_to_num(7))
            assert rows[place].isfinite().all() == (place < 6)
    assert list(handle.remark(batch, 16_000, CPU)) == [7]


def test_it_is_known_by_its_name():
    handle = load_network("panns", weights="seeded", profile="av-benchmark")
    entry = NETWORKS["panns"]
    assert (handle.sample_rate, entry.features, entry.classes) == (16_000, panns.CHANNELS[-1], panns.CLASSES)
    assert handle.portable_key == "panns|seeded|:av-benchmark:8s"
