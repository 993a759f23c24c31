"""PaSST: its layout, the original's numbers, the same bits in any batch, and its way from a file."""

import pytest
import torch
from layouts import layout
from small_networks import small_passt, sound

from torchmetrics_majorscore.networks import load_network, passt
from torchmetrics_majorscore.networks.passt import PaSST

# Of hear21passt's network with these weights: benchmarks/network_originals.py, OriginalPaSST(small_passt()).
GOLDEN = {
    20_000: {
        "features": [0.271932, -0.501244, -1.350631, -0.342854, 1.201923],
        "logits": [-1.497416, -0.572666, 0.565542, 1.055344, -0.050132],
    },
    40_000: {  # longer than it hears
        "features": [-1.135872, -0.908505, 0.856261, -0.845085, 0.869976],
        "logits": [0.179315, 0.450028, 0.817746, 0.801044, 1.393345],
    },
}


def test_the_public_network_has_the_originals_tensors():
    with torch.device("meta"):
        tensors = PaSST().state_dict()
    assert layout(tensors) == (159, "1f618cc326458fdd")  # of hear21passt's passt_s_swa_p16_128_ap476
    assert tensors["time_new_pos_embed"].shape == (1, 768, 1, 99)
    assert sum(tensor.numel() for tensor in tensors.values()) == 86_153_758


@pytest.mark.parametrize("samples", GOLDEN)
def test_the_originals_numbers(samples):
    encoded = small_passt().encode_audio([sound(samples)])
    for name, expected in GOLDEN[samples].items():
        torch.testing.assert_close(encoded[name][0, :5], torch.tensor(expected), rtol=0, atol=5e-6)


def test_a_sound_has_the_same_bits_in_any_batch_and_draws_no_random_number():
    network, sounds = small_passt(), [sound(n, seed) for seed, n in enumerate((1, 5_000, 40_000))]
    state = torch.get_rng_state()
    together = network.encode_audio(sounds)
    assert torch.equal(torch.get_rng_state(), state)
    for name, rows in together.items():
        alone = torch.cat([network.encode_audio([one])[name] for one in sounds])
        assert torch.equal(rows, alone)
        assert len({*map(tuple, rows.tolist())}) == 3


def test_loaded_from_its_public_file_or_seeded(tmp_path, monkeypatch):
    monkeypatch.setattr(passt, "PaSST", small_passt)
    expected = small_passt()
    torch.save(expected.state_dict(), tmp_path / "passt-s-f128-p16-s10-ap.476-swa.pt")
    cpu = torch.device("cpu")
    from_file, seeded = (load_network("passt", weights=weights) for weights in (tmp_path, "seeded"))
    assert from_file.name.startswith("passt@")
    assert seeded.name == from_file.name.replace("passt@", "passt-seeded@")
    batch = [sound(20_000)]
    for handle in (from_file, seeded):
        heard = handle.encode(batch, 32_000, cpu)
        assert torch.equal(heard["logits"], expected.encode_audio(batch)["logits"])
    torch.save({"cls_token": torch.zeros(1, 1, 24)}, tmp_path / "passt-s-f128-p16-s10-ap.476-swa.pt")
    with pytest.raises(ValueError, match=r"Expected passt-s-f128-p16-s10-ap\.476-swa\.pt to have \d+ tensors, got 1"):
        load_network("passt", weights=tmp_path).on(cpu)
    with pytest.raises(FileNotFoundError, match=r"lacks passt-s-f128-p16-s10-ap\.476-swa\.safetensors or passt"):
        load_network("passt", weights=tmp_path.parent)
