"""Ex-MCR: its head by its formula, and CLIP's own space for the others."""

import torch
from signals import CPU, encode, picture, sound
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders import clap, clip, ex_mcr, load_encoder
from torchmetrics_majorscore.encoders.checkpoints import Weights, find_weights
from torchmetrics_majorscore.scoring.verify import EXPECTED

# The first values that the original's head, Ex_MCR_Head of MCR-PEFT/Ex-MCR@0f2baa5, makes with the seeded weights of
# the seeded unit vector below; made with torch 2.15.0.
GOLDEN = [-0.0362937, -0.0258403, 0.0543044, 0.0119869, 0.009393, -0.0230654]


def test_the_head_is_the_originals(tmp_path):
    source = ex_mcr.load_head(Weights("seeded", seeded=True))
    torch.save(source.state_dict(), tmp_path / "ex_clap.pt")
    head = ex_mcr.load_head(find_weights(["ex-head"], tmp_path)).eval()
    assert sum(parameter.numel() for parameter in head.parameters()) == 2_369_024
    assert len(source.state_dict()) == 30
    x = normalize(torch.randn(1, 512, generator=torch.Generator().manual_seed(0)), dim=-1)
    with torch.no_grad():
        out = normalize(head(x), dim=-1)
    torch.testing.assert_close(out[0, :6], torch.tensor(GOLDEN), atol=1e-6, rtol=0)


def test_video_and_text_stay_in_clips_space_and_sounds_pass_the_head(seeded, monkeypatch):
    trunks = seeded.on(CPU)
    monkeypatch.setattr(clip, "load_network", lambda weights: trunks.clip.network)
    monkeypatch.setattr(clap, "load_network", lambda weights: trunks.clap.network)
    encoder = load_encoder("ex-mcr", weights="seeded")
    assert encoder.name.startswith("ex-mcr-seeded@")
    frames, texts, sounds = [picture(100, 120)], ["a dog barks"], [sound(1)]
    raw = clip.CLIP(trunks.clip.network)
    assert torch.equal(encode(encoder, "video", frames), raw.encode_video(frames))
    assert torch.equal(encode(encoder, "text", texts), raw.encode_text(texts))
    head = ex_mcr.load_head(Weights("seeded", seeded=True)).eval()
    with torch.no_grad():
        expected = normalize(head(clap.CLAP(trunks.clap.network).encode_audio(sounds)), dim=-1)
    torch.testing.assert_close(encode(encoder, "audio", sounds), expected, atol=1e-6, rtol=0)


def test_rows_of_the_published_tables_are_probabilities():
    for tables in EXPECTED.values():
        for rows in tables.values():
            torch.testing.assert_close(torch.tensor(rows).sum(dim=1), torch.ones(3), atol=2e-4, rtol=0)
