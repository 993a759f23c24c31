"""C-MCR as a whole: its heads, the same bits in every batch, and the embeddings of the originals.

``benchmarks/parity.py`` compares the whole chain with the original implementations, whose numbers are GOLDEN here.
"""

from types import SimpleNamespace

import pytest
import torch
from signals import CPU, encode, picture, sound
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders import clap, clip, cmcr
from torchmetrics_majorscore.encoders.checkpoints import Weights, find_weights
from torchmetrics_majorscore.encoders.laion import to_laion
from torchmetrics_majorscore.encoders.resample import resample

# The first values of the originals' embeddings, with the weights of `majorscore weights seeded`; made by
# `uv run benchmarks/parity.py --golden` with torch 2.15.0, transformers 5.24.0, laion_clap 1.1.7, librosa 0.11.0.
GOLDEN = {
    "video": [-0.0040455, -0.0562786, 0.0064324, -0.0525692, -0.0218153, -0.0668801],
    "text": [-0.0264670, -0.0367474, 0.0010174, 0.0223295, -0.0129482, 0.1058850],
    "audio 2 s": [-0.0271493, -0.0088455, -0.0115767, -0.0005844, -0.0367025, -0.0291762],
    "audio 25 s": [0.0066287, -0.0074946, -0.0619803, 0.0715498, -0.0121785, -0.0004382],
    "audio 22050 Hz": [-0.0204313, -0.0114357, -0.0641072, 0.0419245, 0.0157035, 0.0469471],
}


def batches(modality):
    if modality == "text":
        return ["a dog", "rain " * 40, "", "a train passes by a station in the rain", "BBQ", "x" * 30, "dogs", "é", "z"]
    if modality == "audio":
        return [sound(seconds, seed=i) for i, seconds in enumerate((1, 25, 10, 3, 11, 0.5))]
    frames = [picture(height, 260) for height in (224, 230, 300)]
    return [frames[0], torch.cat([frames[1]] * 9 + [picture(230, 260).flip(-1)] * 9), frames[2], frames[0].flip(-2)]


@pytest.mark.parametrize("modality", ["video", "text", "audio"])
def test_a_sample_has_the_same_bits_in_every_batch(seeded, modality):
    batch = batches(modality)
    whole = encode(seeded, modality, batch)
    assert torch.equal(torch.cat([encode(seeded, modality, batch[:1]), encode(seeded, modality, batch[1:])]), whole)
    assert torch.equal(encode(seeded, modality, batch[::-1]).flip(0), whole)
    for row in (0, len(batch) - 1):
        assert torch.equal(encode(seeded, modality, [batch[row]])[0], whole[row])
    torch.testing.assert_close(whole.norm(dim=1), torch.ones(len(batch)))
    assert whole.unique(dim=0).shape == whole.shape


def test_embeddings_are_those_of_the_originals(seeded):
    """CLIP's and CLAP's own embeddings; the limits leave room for other machines and for the resampler and resizer."""
    encoder = seeded.on(CPU)
    raw = {
        "video": clip.CLIP(encoder.clip.network).encode_video([picture(352, 640)]),
        "text": clip.CLIP(encoder.clip.network).encode_text(["a dog barks"]),
        "audio 2 s": clap.CLAP(encoder.clap.network).encode_audio([sound(2)]),
        "audio 25 s": clap.CLAP(encoder.clap.network).encode_audio([sound(25)]),
        "audio 22050 Hz": clap.CLAP(encoder.clap.network).encode_audio([resample(sound(4, 22_050), 22_050, 48_000)]),
    }
    limits = {"video": 3e-4, "text": 1e-5, "audio 2 s": 1e-5, "audio 25 s": 1e-5, "audio 22050 Hz": 2e-4}
    for name, limit in limits.items():
        assert (raw[name][0, :6] - torch.tensor(GOLDEN[name])).abs().max() < limit, name


def test_heads_follow_their_formula_with_bits_of_the_file(tmp_path):
    source = cmcr.load_heads(Weights("seeded", seeded=True))
    torch.save(source.state_dict(), tmp_path / "clap_clip.pt")
    heads = cmcr.load_heads(find_weights(["heads"], tmp_path)).eval()
    t = {name: tensor.double() for name, tensor in source.state_dict().items()}
    assert len(t) == 28
    assert sum(parameter.numel() for parameter in heads.parameters()) == 2_106_368
    x = normalize(torch.randn(5, 512, generator=torch.Generator().manual_seed(0)), dim=-1)
    for name in ("Head_A", "Head_B"):
        out = x.double()
        for net in ("net1", "net2"):
            weight, bias = t[f"{name}.{net}.0.weight"], t[f"{name}.{net}.0.bias"]
            mean, var = t[f"{name}.{net}.1.running_mean"], t[f"{name}.{net}.1.running_var"]
            out = (out @ weight.T + bias - mean) / (var + 1e-5).sqrt() * t[f"{name}.{net}.1.weight"] + t[
                f"{name}.{net}.1.bias"
            ]
            out = out.clamp(min=0) if net == "net1" else out
        with torch.no_grad():
            torch.testing.assert_close(getattr(heads, name)(x).double(), out, atol=1e-6, rtol=1e-6)


def test_audio_passes_head_a_and_the_others_head_b(seeded):
    heads, encoder = cmcr.load_heads(Weights("seeded", seeded=True)), seeded.on(CPU)
    assert torch.equal(encoder.clap.head.net1[0].weight, heads.Head_A.net1[0].weight)
    assert torch.equal(encoder.clip.head.net1[0].weight, heads.Head_B.net1[0].weight)
    assert not torch.equal(heads.Head_A.net1[0].weight, heads.Head_B.net1[0].weight)
    assert not torch.equal(heads.Head_A.net1[1].running_mean, torch.zeros(1024))


def test_a_loaded_clap_module_takes_the_place_of_the_checkpoint(seeded, monkeypatch):
    encoder = seeded.on(CPU)
    tensors = to_laion(encoder.clap.network.state_dict())
    module = SimpleNamespace(model=SimpleNamespace(state_dict=lambda: tensors))
    monkeypatch.setattr(clip, "load_network", lambda weights: encoder.clip.network)
    given = cmcr.load_with_clap(module, "seeded")
    assert given.name == encoder.name
    assert given.clap.network.audio_branch is not encoder.clap.network.audio_branch
    assert torch.equal(given.encode_audio([sound(2)]), encode(seeded, "audio", [sound(2)]))
