"""VGGish: the numbers of the original, its layout, and patches of sounds of any length.

GOLDEN was printed by ``benchmarks/networks.py --golden``: what av-benchmark's copy of the original makes of few
channels and seeded weights.
"""

import numpy as np
import pytest
import torch
from signals import CPU, sound

from torchmetrics_majorscore.encoders.base import clean_build, exact_float32, load_strictly, seed_weights
from torchmetrics_majorscore.encoders.checkpoints import find_weights
from torchmetrics_majorscore.networks import load_network, vggish

GOLDEN = [
    [-0.309707, -0.040711, 0.145206, 0.008464, 0.009274, 0.062249],
    [-0.324033, -0.059706, 0.131322, -0.006299, 0.006194, 0.057832],
]
SMALL = ((4,), (4,), (6, 6), (256, 8)), (16, 16, 6)


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Small networks are slower on several threads."""


@pytest.fixture
def small():
    with clean_build():
        network = vggish.VGGish(*SMALL)
        seed_weights(network)
    return network


def test_seeded_weights_give_the_originals_numbers(small):
    with exact_float32(CPU):
        (features,) = small.encode_audio([sound(1.97, 16_000)])["features"]
    torch.testing.assert_close(features, torch.tensor(GOLDEN), atol=2e-6, rtol=0)


def test_the_front_end_is_that_of_its_definition(small):
    wave = sound(1.2, 16_000).double().numpy()
    frames = np.stack([wave[start : start + 400] for start in range(0, len(wave) - 399, 160)])[:96]
    magnitude = np.abs(np.fft.rfft(frames * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)), 512))
    mel = 1127 * np.log(1 + np.arange(257) * 16_000 / 512 / 700)
    corners = np.linspace(1127 * np.log(1 + 125 / 700), 1127 * np.log(1 + 7500 / 700), 66)
    bands = np.stack([np.interp(mel, corners[band : band + 3], [0, 1, 0]) for band in range(64)], axis=1)
    patches = small.log_mel(sound(1.2, 16_000))
    assert patches.shape == (1, 1, 96, 64)
    np.testing.assert_allclose(patches[0, 0], np.log(magnitude @ bands + 0.01), atol=1e-6)


def test_the_file_may_hold_the_pca_and_nothing_else(small, tmp_path, monkeypatch):
    monkeypatch.setattr(vggish.VGGish.__init__, "__defaults__", SMALL)
    torch.save(small.state_dict() | {"pproc.pca_means": torch.zeros(3)}, tmp_path / "vggish-10086976.pth")
    network = vggish.load(find_weights(["vggish"], tmp_path))
    assert len(network.state_dict()) == 18
    assert all(torch.equal(tensor, small.state_dict()[name]) for name, tensor in network.state_dict().items())
    with pytest.raises(ValueError, match=r"^Expected a.pth to have 18 tensors, got 19: it has an unexpected 'x'\.$"):
        load_strictly(network, small.state_dict() | {"x": torch.zeros(1)}, "a.pth")


def test_a_sounds_bits_do_not_depend_on_its_neighbours(small):
    handle = load_network(small)
    batch = [sound(seconds, 16_000, seed) for seed, seconds in enumerate((0.975, 2.2, 5.5))]
    batch += [torch.zeros(16_000), torch.full((16_000,), torch.nan), sound(0.97, 16_000)]
    together = handle.encode(batch, 16_000, CPU)["features"]
    assert [tuple(rows.shape) for rows in together] == [(1, 6), (2, 6), (5, 6), (1, 6), (1, 6), (1, 6)]
    for place, waveform in enumerate(batch):
        (alone,) = handle.encode([waveform], 16_000, CPU)["features"]
        assert torch.equal(together[place].nan_to_num(7), alone.nan_to_num(7))
        assert together[place].isfinite().all() == (place < 4)
    assert handle.remark(batch, 16_000, CPU) == {
        5: "is too short for VGGish (takes 0.975 s and more, got 0.97 s), so it has no features"
    }
