"""Files of weights: every layout loads, what is missing or wrong is named, and a build leaves no trace."""

import os
import random
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from laion import SMALL, laion_htsat, laion_state
from signals import CPU, picture
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders import ENCODERS, clap, clip, cmcr, load_encoder
from torchmetrics_majorscore.encoders import seeded as seeded_files
from torchmetrics_majorscore.encoders.checkpoints import find_weights, read_tensors, write_tensors
from torchmetrics_majorscore.encoders.clip_network import CLIPNetwork, VisionTransformer
from torchmetrics_majorscore.encoders.laion import to_laion

for package in ("ftfy", "transformers"):
    pytest.importorskip(package)


ULIP_HEADS = Path(__file__).parents[2] / "shared/cmcr/ulip_clip.pt"


@pytest.fixture
def tiny_clip(monkeypatch, tmp_path):
    """Write a small Hugging Face CLIP as its class does; give it, and the folder that our loader reads it from."""
    from transformers import CLIPConfig, CLIPModel

    vision = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2}

    def build():
        visual = VisionTransformer(32, image_size=224, patch_size=32, width=128, layers=2, quick=True)
        parts = {"layers": 2, "width": 64, "heads": 2, "context_length": 77, "vocab_size": 49_408}
        return CLIPNetwork(visual, 32, parts, quick=True)

    monkeypatch.setattr(clip, "build_vit_b_32", build)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=32)).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path)
    return model, tmp_path


def test_hugging_face_layout_gives_hugging_faces_embeddings(tiny_clip):
    theirs, folder = tiny_clip
    encoder = clip.CLIP(clip.load_network(find_weights(["clip"], folder)))
    texts, frames = ["a dog", "rain on a roof, again and again and again"], picture(224, 224)
    with torch.no_grad():
        mean, std = (torch.tensor(part).view(3, 1, 1) for part in (clip.FrameOptions.mean, clip.FrameOptions.std))
        pixels = (frames / 255 - mean) / std
        image = normalize(theirs.get_image_features(pixel_values=pixels).pooler_output, dim=-1)
        text = normalize(theirs.get_text_features(input_ids=encoder.tokenizer(texts)).pooler_output, dim=-1)
        torch.testing.assert_close(encoder.encode_video([frames]), image, atol=2e-6, rtol=0)
        torch.testing.assert_close(encoder.encode_text(texts), text, atol=2e-6, rtol=0)


def test_both_layouts_of_the_clip_file_give_the_same_bits(tiny_clip, tmp_path):
    from safetensors.torch import save_file

    theirs, folder = tiny_clip
    network = clip.load_network(find_weights(["clip"], folder))
    save_file(network.state_dict(), tmp_path / "open_clip_model.safetensors")
    again = clip.load_network(find_weights(["clip"], tmp_path)).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in network.state_dict().items())
    layer = theirs.vision_model.encoder.layers[1].self_attn
    joined = torch.cat([layer.q_proj.weight, layer.k_proj.weight, layer.v_proj.weight])
    assert torch.equal(again["visual.transformer.resblocks.1.attn.in_proj_weight"], joined)
    assert torch.equal(again["visual.proj"], theirs.visual_projection.weight.T)
    assert torch.equal(again["text_projection"], theirs.text_projection.weight.T)


def test_laion_layout_with_numpy_scalars_loads_without_running_code(tmp_path):
    torch.save(seeded_files._as_laion_clap({"audio_projection.0.weight": torch.ones(2, 3)}, 0), tmp_path / "a.pt")
    content = torch.load(tmp_path / "a.pt", weights_only=False)
    assert isinstance(content["epoch"], np.integer)
    assert isinstance(content["val_metric"], np.floating)
    tensors = read_tensors(tmp_path / "a.pt")
    assert {"audio_projection.0.weight", "text_branch.embeddings.position_ids", "logit_scale_a"} < tensors.keys()
    torch.save({"state_dict": {"a": torch.ones(1)}, "args": Path("x")}, tmp_path / "b.pt")
    with pytest.raises(Exception, match=r"(?i)weights.only"):
        read_tensors(tmp_path / "b.pt")


@pytest.fixture
def laion_tensors():
    return laion_state(laion_htsat(SMALL, fusion=True))


def test_every_tensor_of_a_laion_checkpoint_is_used_or_known(laion_tensors):
    """A changed tensor changes the network, but for those that no embedding passes through."""
    network = clap.fill_network(laion_tensors, "a.pt").state_dict()
    used = {name for name in laion_tensors if name in to_laion(network)}
    left_out = sorted(laion_tensors.keys() - used)
    parts = {re.sub(r"layers\.\d+\.blocks\.\d+", "*", name.removeprefix("audio_branch.")) for name in left_out}
    assert parts == {
        "spectrogram_extractor.stft.conv_real.weight", "spectrogram_extractor.stft.conv_imag.weight",
        "logmel_extractor.melW", "tscam_conv.weight", "tscam_conv.bias", "head.weight", "head.bias", "*.attn_mask",
        "*.attn.relative_position_index", "logit_scale_a", "logit_scale_t",
        *(f"audio_transform.sequential.{layer}.{kind}" for layer in (0, 3) for kind in ("weight", "bias")),
    }  # fmt: skip
    assert all(torch.equal(tensor, laion_tensors[name]) for name, tensor in to_laion(network).items())


def test_a_laion_checkpoint_that_does_not_fit_is_refused_in_one_line(laion_tensors):
    less = laion_tensors | {}
    del less["audio_branch.layers.2.blocks.1.attn.proj.bias"]
    with pytest.raises(
        ValueError, match=r"^Expected a.pt to .* lacks 'audio_branch.layers.2.blocks.1.attention.proj.bias'"
    ):
        clap.fill_network(less, "a.pt")
    with pytest.raises(ValueError, match=r"^Expected a.pt to .* has an unexpected 'audio_branch.adapter.weight'\.$"):
        clap.fill_network(laion_tensors | {"audio_branch.adapter.weight": torch.ones(1)}, "a.pt")
    wide = {"audio_projection.0.weight": torch.ones(512, 1024)}
    with pytest.raises(
        ValueError, match=r"^Expected 'audio_projection.0.weight' of a.pt to have shape \(512, 128\), got"
    ):
        clap.fill_network(laion_tensors | wide, "a.pt")
    with pytest.raises(ValueError, match=r"^Expected a.pt to be a checkpoint of laion_clap with HTSAT, got none"):
        clap.fill_network({"audio_branch.conv_block1.conv1.weight": torch.ones(1)}, "a.pt")


@pytest.mark.skipif(not ULIP_HEADS.is_file(), reason="C-MCR's other heads are not here")
def test_other_heads_of_the_same_authors_are_refused_in_one_line(tmp_path):
    (tmp_path / "clap_clip.pt").write_bytes(ULIP_HEADS.read_bytes())
    with pytest.raises(ValueError, match=r"^Expected clap_clip.pt to have 28 tensors, got 14: it .* 'Head_A") as error:
        cmcr.load_heads(find_weights(["heads"], tmp_path))
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    (tmp_path / "open_clip_model.safetensors").touch()
    with pytest.raises(
        FileNotFoundError, match=r"lacks 630k-fusion-best.safetensors or 630k-fusion-best.pt; clap_clip"
    ):
        load_encoder("c-mcr", weights=tmp_path)
    with pytest.raises(FileNotFoundError, match="Expected weights to be a folder"):
        load_encoder("c-mcr", weights=tmp_path / "nowhere")


def test_an_empty_roberta_vocabulary_is_refused(tmp_path):
    (tmp_path / "roberta-base").mkdir()
    (tmp_path / "roberta-base/vocab.json").write_text("{}")
    (tmp_path / "roberta-base/merges.txt").write_text("#version: 0.2\n")
    with pytest.raises(ValueError, match="to give 50265 tokens, got"):
        clap.load_tokenizer(find_weights(["roberta-vocab", "roberta-merges"], tmp_path))


def test_build_gives_the_same_weights_wherever_it_is_called_and_leaves_no_trace(seeded):
    torch.manual_seed(5), np.random.seed(5), random.seed(5)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    path = list(sys.path)
    fresh = load_encoder("c-mcr", weights="seeded", pool="before_head")  # another handle, hence a second build
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.inference_mode(), torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("error")
            encoder = fresh.on(CPU)
        assert torch.get_default_dtype() is torch.bfloat16
    finally:
        torch.set_default_dtype(torch.float32)
    assert encoder.name == seeded.name
    for tensor in encoder.state_dict().values():
        assert tensor.device == CPU
        assert not tensor.is_inference()
        assert tensor.dtype is torch.float32 or not tensor.is_floating_point()
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not any(module.training for module in encoder.modules())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert random.getstate() == before[2]
    assert sys.path == path


def test_files_of_tensors_follow_the_umask_and_name_themselves(tmp_path):
    before = os.umask(0o027)
    try:
        write_tensors(tmp_path / "sub" / "t.safetensors", {"a": torch.arange(6.0).reshape(2, 3).T}, {"from": "here"})
    finally:
        os.umask(before)
    assert (tmp_path / "sub" / "t.safetensors").stat().st_mode & 0o777 == 0o640
    assert read_tensors(tmp_path / "sub" / "t.safetensors")["a"].tolist() == [[0, 3], [1, 4], [2, 5]]
    with pytest.raises(ValueError, match=r"got .*sub, which is a folder or a device"):
        write_tensors(tmp_path / "sub", {"a": torch.zeros(1)})


def test_each_clap_finds_its_own_checkpoint(tmp_path):
    names = ["630k-fusion-best", "630k-audioset-fusion-best", "music_speech_audioset_epoch_15_esc_89.98"]
    for name in names:
        (tmp_path / f"{name}.pt").touch()
    encoders = {"clap": names[0], "clap-audioset": names[1], "clap-music": names[2]}
    (tmp_path / "roberta-base").mkdir()
    for file in ("vocab.json", "merges.txt"):
        (tmp_path / "roberta-base" / file).touch()
    for encoder, name in encoders.items():
        source = ENCODERS[encoder].find_weights(tmp_path)
        assert {path.name for path in source.files.values()} == {f"{name}.pt", "vocab.json", "merges.txt"}
    (tmp_path / f"{names[2]}.pt").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks music_speech_audioset_epoch_15_esc_89.98.saf"):
        load_encoder("clap-music", weights=tmp_path)


def test_a_file_that_is_no_safetensors_is_named(tmp_path):
    path = tmp_path / "open_clip_model.safetensors"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(ValueError, match=r"^Expected .*open_clip_model.safetensors to be a safetensors file, got one"):
        read_tensors(path)
