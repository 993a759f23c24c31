"""The encoders against PIL, librosa, NumPy, Hugging Face and plain formulas: one test for each known trap.

``benchmarks/parity.py`` compares the whole chain with the original implementations, whose numbers are GOLDEN here.
"""

import random
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders import shared_encoder

for package in ("open_clip", "torchaudio", "torchvision", "transformers"):  # not laion_clap, see conftest.py
    pytest.importorskip(package)

from torchmetrics_majorscore.encoders import clap, clip, cmcr  # noqa: E402
from torchmetrics_majorscore.encoders import seeded as seeded_files  # noqa: E402
from torchmetrics_majorscore.encoders.checkpoints import Weights, find_weights, read_tensors  # noqa: E402
from torchmetrics_majorscore.encoders.resample import resample  # noqa: E402

CPU = torch.device("cpu")
# The first values of the originals' embeddings, with the weights of `majorscore weights seeded`; made by
# `uv run benchmarks/parity.py --golden` with torch 2.14.0, transformers 5.23.0, laion_clap 1.1.7, librosa 0.11.0.
GOLDEN = {
    "video": [-0.0040455, -0.0562786, 0.0064324, -0.0525691, -0.0218154, -0.0668800],
    "text": [-0.0264669, -0.0367473, 0.0010174, 0.0223295, -0.0129481, 0.1058850],
    "audio 2 s": [0.0291862, -0.0241667, 0.0544373, 0.0164765, -0.0086418, 0.1356271],
    "audio 25 s": [-0.0141984, 0.0073581, 0.0427572, -0.0081317, -0.0225492, 0.1083757],
    "audio 22050 Hz": [-0.0045580, -0.0368205, -0.0232440, -0.0262171, -0.0249012, 0.1274073],
}
ULIP_HEADS = Path(__file__).parents[2] / "shared/cmcr/ulip_clip.pt"


def picture(height: int, width: int) -> torch.Tensor:
    """Make a picture of seeded blotches with fine noise."""
    generator = torch.Generator().manual_seed(height)
    blotches = torch.randint(30, 226, (1, 3, height // 32 + 1, width // 32 + 1), generator=generator)
    coarse = blotches.repeat_interleave(32, 2).repeat_interleave(32, 3)[..., :height, :width]
    return (coarse + torch.randint(-30, 31, coarse.shape, generator=generator)).to(torch.uint8)


def sound(seconds: float, rate: int = 48_000, seed: int = 0) -> torch.Tensor:
    """Make a gliding tone with noise, and silence between."""
    t = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    noise = 0.1 * torch.randn(len(t), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    tone = 0.4 * torch.sin(2 * torch.pi * (300 + 100 * seed) * t * (1 + 0.05 * t))
    return ((tone + noise) * (torch.sin(2 * t + seed) > -0.6)).float()


def encode(handle, modality, batch):
    """Encode without the memory of the last batch."""
    handle._last.clear()
    return handle.encode(modality, batch, CPU)


# --- CLIP -------------------------------------------------------------------------------------------------------------


def test_clip_uses_quickgelu(seeded):
    network, x = seeded.on(CPU).clip.network, torch.linspace(-4, 4, 101)
    for block in (*network.visual.transformer.resblocks, *network.transformer.resblocks):
        torch.testing.assert_close(block.mlp.gelu(x), x * torch.sigmoid(1.702 * x))


@pytest.mark.parametrize(
    ("height", "width"), [(352, 640), (640, 352), (360, 640), (300, 1000), (150, 200), (224, 224), (227, 225)]
)
def test_frames_are_resized_as_pil_and_cropped_at_the_floor(height, width):
    frames = picture(height, width)
    short = min(height, width)
    size = (int(224 * width / short), int(224 * height / short))
    resized = Image.fromarray(frames[0].permute(1, 2, 0).numpy()).resize(size, Image.Resampling.BICUBIC)
    left, top = (size[0] - 224) // 2, (size[1] - 224) // 2
    expected = np.asarray(resized.crop((left, top, left + 224, top + 224))).astype(int)
    difference = np.abs(clip.prepare_frames(frames)[0].permute(1, 2, 0).numpy() - expected)
    assert difference.max() <= 2
    assert difference.mean() < 0.1


@pytest.fixture
def tiny_clip(monkeypatch, tmp_path):
    """Write a small Hugging Face CLIP as its class does; give it, and the folder that our loader reads it from."""
    import open_clip
    from transformers import CLIPConfig, CLIPModel

    vision = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = {
        "embed_dim": 32,
        "vision_cfg": {"layers": 2, "width": 128, "head_width": 64, "patch_size": 32, "image_size": 224},
        "text_cfg": {"layers": 2, "width": 64, "heads": 2, "context_length": 77, "vocab_size": 49_408},
        "quick_gelu": True,
    }
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: config)
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
        pixels = (frames / 255 - torch.tensor(clip.MEAN).view(3, 1, 1)) / torch.tensor(clip.STD).view(3, 1, 1)
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


def test_a_caption_over_77_tokens_warns_and_is_cut(seeded):
    words = ["train"] * 75
    exact = encode(seeded, "text", [" ".join(words)])
    with pytest.warns(UserWarning, match="A caption of 79 tokens is cut to 77"):
        cut = encode(seeded, "text", [" ".join([*words, "dog", "dog"])])
    assert torch.equal(cut, exact)


def test_pool_before_head_is_the_head_of_the_mean(seeded):
    inner, batch = (
        seeded.on(CPU).clip,
        [torch.cat([picture(224, 224), picture(225, 224)[..., 1:, :]]), picture(226, 224)],
    )
    network, head = inner.network, inner.head
    with torch.no_grad():
        frames = torch.cat([clip.prepare_frames(frames) for frames in batch])
        pixels = (frames / 255 - torch.tensor(clip.MEAN).view(3, 1, 1)) / torch.tensor(clip.STD).view(3, 1, 1)
        a, b, c = normalize(network.encode_image(pixels), dim=-1)
        before = normalize(head(normalize(torch.stack([(a + b) / 2, c]), dim=-1)), dim=-1)
        joint = normalize(head(torch.stack([a, b, c])), dim=-1)
        after = normalize(torch.stack([(joint[0] + joint[1]) / 2, joint[2]]), dim=-1)
        torch.testing.assert_close(
            clip.CLIP(network, head, "before_head").encode_video(batch), before, atol=2e-6, rtol=0
        )
        torch.testing.assert_close(clip.CLIP(network, head, "after_head").encode_video(batch), after, atol=2e-6, rtol=0)
    assert (before[0] - after[0]).abs().max() > 1e-4
    torch.testing.assert_close(before[1], after[1], atol=2e-6, rtol=0)


# --- Waveforms --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "samples"),
    [(44_100, 441_000), (22_050, 220_500), (11_025, 110_250), (88_200, 882_000), (16_000, 160_000), (44_100, 12_345)],
)
def test_resampled_length_is_librosas(rate, samples):
    import librosa

    waveform = sound(samples / rate, rate)
    expected = librosa.resample(waveform.numpy(), orig_sr=rate, target_sr=48_000)
    ours = resample(waveform, rate, 48_000)
    assert len(ours) == len(expected)
    if len(expected) == 480_001:
        assert ours[-1] == expected[-1] == 0.0
    assert (len(expected) == 480_001) == (rate % 11_025 == 0 and samples == 10 * rate)


@pytest.mark.parametrize("rate", [16_000, 22_050, 32_000, 44_100, 96_000])
def test_resampler_follows_soxr(rate):
    """White noise fills the whole band, so the error is that of the filters' transition bands."""
    import librosa

    noise = 0.1 * torch.randn(rate, generator=torch.Generator().manual_seed(0))
    expected = torch.from_numpy(librosa.resample(noise.numpy(), orig_sr=rate, target_sr=48_000))
    error = resample(noise, rate, 48_000) - expected
    assert error.square().mean().sqrt() / expected.square().mean().sqrt() < 0.02


def test_16_bit_step_truncates_as_numpy_does(seeded):
    waveform = torch.cat([torch.linspace(-1.2, 1.2, 50_001), sound(1), torch.tensor([1.0, -1.0, 0.0, -1e-9])])
    expected = ((waveform.numpy().clip(-1.0, 1.0) * 32767.0).astype(np.int16) / 32767.0).astype(np.float32)
    assert np.array_equal(clap.to_16_bit(waveform).numpy(), expected)
    network = seeded.on(CPU).clap
    mel, unrounded = network._fused_mel(waveform), network.mel(clap.fill(torch.from_numpy(expected))).T[None]
    assert torch.equal(mel, unrounded)


@pytest.mark.parametrize("samples", [1, 7, 96_000, 200_000, 479_999, 480_000, 480_001, 700_000])
def test_short_waveforms_are_repeated_whole_then_filled(samples):
    waveform = np.random.default_rng(0).random(samples, dtype=np.float32)
    expected = waveform if samples >= 480_000 else np.zeros(480_000, np.float32)
    if samples < 480_000:
        times = 480_000 // samples
        expected[: times * samples] = np.tile(waveform, times)
    assert np.array_equal(clap.fill(torch.from_numpy(waveform)).numpy(), expected)


@pytest.mark.parametrize("frames", [1002, 1003, 1004, 1005, 1009, 2001, 2501, 30_001])
def test_chunks_start_in_the_middle_of_each_third(frames):
    thirds = np.array_split(np.arange(frames - 1001 + 1), 3)
    assert clap.chunk_starts(frames) == [int(third[len(third) // 2]) if len(third) else 0 for third in thirds]


@pytest.mark.parametrize(("samples", "channels"), [(96_000, 1), (480_001, 1), (480_479, 1), (480_480, 4), (600_000, 4)])
def test_mel_from_480480_samples_on_has_four_channels(seeded, samples, channels):
    assert seeded.on(CPU).clap._fused_mel(sound(samples / 48_000)).shape == (channels, 1001, 64)


def test_mel_is_librosas_and_the_shrunk_one_has_no_antialiasing(seeded):
    import librosa

    waveform = clap.to_16_bit(sound(25))
    power = librosa.feature.melspectrogram(
        y=waveform.numpy(), sr=48_000, n_fft=1024, hop_length=480, n_mels=64, fmin=50, fmax=14_000, htk=True, norm=None,
        pad_mode="reflect",
    )  # fmt: skip
    mel = 10 * np.log10(np.maximum(power.T, 1e-10))
    fused = seeded.on(CPU).clap._fused_mel(waveform).numpy()
    for channel, start in zip(fused[1:], clap.chunk_starts(len(mel)), strict=True):
        np.testing.assert_allclose(channel, mel[start : start + 1001], atol=2e-2)
    # Linear interpolation between the two nearest frames, pixel centres aligned: nothing is averaged.
    positions = ((np.arange(1001) + 0.5) * len(mel) / 1001 - 0.5).clip(0, len(mel) - 1)
    shrunk = np.stack([np.interp(positions, np.arange(len(mel)), band) for band in mel.T], axis=1)
    np.testing.assert_allclose(fused[0], shrunk, atol=2e-2)


def test_a_short_clip_beside_a_long_one_keeps_its_bits(seeded):
    short, long = sound(2), sound(25, seed=1)
    alone = encode(seeded, "audio", [short])
    assert torch.equal(encode(seeded, "audio", [long, short])[1:], alone)
    assert torch.equal(encode(seeded, "audio", [short, long])[1:], encode(seeded, "audio", [long]))


def test_a_short_clip_passes_no_fusion_layer(seeded):
    """laion_clap runs the fusion layers for sounds that are flagged as longer, and for no others."""
    branch, calls = seeded.on(CPU).clap.network.audio_branch, []
    hook = branch.patch_embed.fusion_model.register_forward_hook(lambda *arguments: calls.append(1))
    encode(seeded, "audio", [sound(2)])
    assert not calls
    encode(seeded, "audio", [sound(11)])
    hook.remove()
    assert calls


# --- Batches ----------------------------------------------------------------------------------------------------------


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
    limits = {"video": 3e-4, "text": 1e-5, "audio 2 s": 1e-5, "audio 25 s": 1e-5, "audio 22050 Hz": 1e-3}
    for name, limit in limits.items():
        assert (raw[name][0, :6] - torch.tensor(GOLDEN[name])).abs().max() < limit, name


# --- Files ------------------------------------------------------------------------------------------------------------


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


def test_laion_checkpoint_with_more_than_we_need_fits_the_audio_tower(seeded):
    network = nn.Module()
    network.audio_projection = nn.Linear(2, 3)
    tensors = {f"audio_projection.{name}": tensor for name, tensor in nn.Linear(2, 3).state_dict().items()}
    surplus = {"logit_scale_a": torch.ones(()), "text_branch.embeddings.position_ids": torch.ones(1, 514)}
    clap._load(network, {**tensors, **surplus}, "a.pt")
    assert torch.equal(network.audio_projection.weight, tensors["audio_projection.weight"])
    with pytest.raises(ValueError, match=r"lacks 'audio_projection.bias'"):
        clap._load(network, {"audio_projection.weight": torch.ones(3, 2)}, "a.pt")


@pytest.mark.skipif(not ULIP_HEADS.is_file(), reason="C-MCR's other heads are not here")
def test_other_heads_of_the_same_authors_are_refused_in_one_line(tmp_path):
    (tmp_path / "clap_clip.pt").write_bytes(ULIP_HEADS.read_bytes())
    with pytest.raises(ValueError, match=r"^Expected clap_clip.pt to have 28 tensors, got 14: it .* 'Head_A") as error:
        cmcr.load_heads(find_weights(["heads"], tmp_path))
    assert "\n" not in str(error.value)


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


def test_a_missing_file_is_named(tmp_path):
    (tmp_path / "open_clip_model.safetensors").touch()
    with pytest.raises(
        FileNotFoundError, match=r"lacks 630k-fusion-best.safetensors or 630k-fusion-best.pt; clap_clip"
    ):
        shared_encoder("c-mcr", tmp_path)
    with pytest.raises(FileNotFoundError, match="Expected weights to be a folder"):
        shared_encoder("c-mcr", tmp_path / "nowhere")


def test_an_empty_roberta_vocabulary_is_refused(tmp_path):
    (tmp_path / "roberta-base").mkdir()
    (tmp_path / "roberta-base/vocab.json").write_text("{}")
    (tmp_path / "roberta-base/merges.txt").write_text("#version: 0.2\n")
    with pytest.raises(ValueError, match="to give 50265 tokens, got"):
        clap.load_tokenizer(find_weights(["roberta-vocab", "roberta-merges"], tmp_path))


@pytest.fixture
def tiny_clap(tmp_path):
    """CLAP's text tower, small, with the tokenizer of the seeded files."""
    from transformers import RobertaConfig, RobertaModel

    seeded_files._write_roberta(tmp_path / "roberta-base")
    tokenizer = clap.load_tokenizer(find_weights(["roberta-vocab", "roberta-merges"], tmp_path))
    network = nn.Module()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network.text_branch = RobertaModel(
            RobertaConfig(
                vocab_size=50_265, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
                max_position_embeddings=514, type_vocab_size=1,
            )
        )  # fmt: skip
        network.text_projection = nn.Linear(32, 16)
    return clap.CLAP(network, tokenizer=tokenizer)


def test_claps_captions_are_encoded_as_laion_clap_does(tiny_clap):
    tokenizer, network = tiny_clap.tokenizer, tiny_clap.network
    assert tokenizer.convert_tokens_to_ids(["<s>", "<pad>", "</s>", "<unk>", "<mask>"]) == [0, 1, 2, 3, 50_264]
    texts = ["dog", "", "rain on a metal roof", "two cats"]
    tokens = tokenizer(texts, padding="max_length", truncation=True, max_length=77, return_tensors="pt")
    with torch.no_grad():
        pooled = network.text_branch(tokens["input_ids"], attention_mask=tokens["attention_mask"]).pooler_output
        expected = normalize(network.text_projection(pooled), dim=-1)
        ours = tiny_clap.encode_text(texts)
        assert torch.equal(tiny_clap.encode_text(texts[2:]), ours[2:])
        with pytest.warns(UserWarning, match="tokens is cut to 77"):
            cut = tiny_clap.encode_text(["a" * 400])
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=0)
    assert torch.isfinite(cut).all()


# --- Building ---------------------------------------------------------------------------------------------------------


def test_laion_claps_init_is_not_run():
    code = """
import sys
path = list(sys.path)
from torchmetrics_majorscore.encoders import clap
branch = clap._htsat().create_htsat_model
assert sys.path == path
found = {"laion_clap", "clap_module", "training", "evaluate", "hook"} & set(sys.modules)
assert not found, found
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_build_gives_the_same_weights_wherever_it_is_called_and_leaves_no_trace(seeded):
    torch.manual_seed(5), np.random.seed(5), random.seed(5)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    path = list(sys.path)
    fresh = shared_encoder("c-mcr", "seeded", "before_head")  # another handle, hence a second build
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
