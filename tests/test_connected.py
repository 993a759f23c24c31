"""Heads of `connect` in front of any CLIP and CLAP: here those of the package."""

import json

import pytest
import torch
from signals import CPU, encode, picture, sound
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.encoders.base import seed_weights
from torchmetrics_majorscore.encoders.cmcr import Heads

pytest.importorskip("safetensors")
pytest.importorskip("ftfy")
from torchmetrics_majorscore.training.connector import save_heads


@pytest.fixture(scope="module")
def parts():
    return load_encoder("clip-tiny"), load_encoder("clap-tiny")


@pytest.fixture(scope="module")
def heads():
    made = Heads(128, 128, 48, 24).eval()
    with torch.no_grad():
        seed_weights(made)
    return made


def folder_of(path, heads, clip, clap):
    save_heads(heads, path, {"encoders": {"clip": clip, "clap": clap}})
    return path


def test_each_passes_its_head(parts, heads, tmp_path):
    clip, clap = parts
    encoder = load_encoder("connected", weights=folder_of(tmp_path, heads, clip.name, clap.name))
    frames = [torch.cat([picture(64, 64), picture(65, 64)[..., 1:, :]])]
    with torch.no_grad():
        text = normalize(heads.Head_B(encode(clip, "text", ["a dog"])), dim=-1)
        audio = normalize(heads.Head_A(encode(clap, "audio", [sound(1)])), dim=-1)
        each = [normalize(heads.Head_B(encode(clip, "video", [one[None]])), dim=-1) for one in frames[0]]
    torch.testing.assert_close(encode(encoder, "text", ["a dog"]), text, atol=1e-6, rtol=0)
    torch.testing.assert_close(encode(encoder, "audio", [sound(1)]), audio, atol=1e-6, rtol=0)
    video = normalize(torch.stack(each).mean(dim=0), dim=-1)
    torch.testing.assert_close(encode(encoder, "video", frames), video, atol=1e-6, rtol=0)
    assert encoder.name.startswith("connected@")


@pytest.mark.parametrize(
    ("clip", "line"),
    [
        ("clip-tiny@00000000", r"Expected clip-tiny@00000000, as for .*, got clip-tiny@"),
        ("c-mcr-tiny@00000000", "Expected heads of a CLIP and a CLAP in .*, got those of c-mcr-tiny"),
        ("blip@00000000", "Expected encoder to be one of .*, got 'blip'"),
    ],
)
def test_heads_of_other_encoders_are_refused(parts, heads, tmp_path, clip, line):
    with pytest.raises(ValueError, match=line):
        load_encoder("connected", weights=folder_of(tmp_path, heads, clip, parts[1].name)).on(CPU)


def test_heads_without_a_recipe_are_refused(heads, tmp_path):
    from safetensors.torch import save_file

    save_file(heads.state_dict(), tmp_path / "clap_clip.safetensors", {"note": json.dumps("C-MCR's own")})
    with pytest.raises(ValueError, match="heads with their recipe, as `majorscore connect` writes them"):
        load_encoder("connected", weights=tmp_path).on(CPU)
    with pytest.raises(FileNotFoundError, match=r"weights=FOLDER with clap_clip\.safetensors"):
        load_encoder("connected", weights="seeded")
