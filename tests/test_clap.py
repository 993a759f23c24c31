"""CLAP against librosa, NumPy and plain formulas: one test for each known trap."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from laion import SMALL, TINY, laion_htsat, laion_state
from signals import CPU, encode, sound
from torch import nn
from torch.nn.functional import normalize

from torchmetrics_majorscore import CLIPCLAPScore
from torchmetrics_majorscore.encoders import clap, load_encoder, mel
from torchmetrics_majorscore.encoders import seeded as seeded_files
from torchmetrics_majorscore.encoders.checkpoints import find_weights
from torchmetrics_majorscore.encoders.htsat import HTSATOptions, embed_mels
from torchmetrics_majorscore.encoders.resample import resample

pytest.importorskip("transformers")


def test_16_bit_step_truncates_as_numpy_does(seeded):
    waveform = torch.cat([torch.linspace(-1.2, 1.2, 50_001), sound(1), torch.tensor([1.0, -1.0, 0.0, -1e-9])])
    expected = ((waveform.numpy().clip(-1.0, 1.0) * 32767.0).astype(np.int16) / 32767.0).astype(np.float32)
    assert np.array_equal(mel.to_16_bit(waveform).numpy(), expected)
    network = seeded.on(CPU).clap
    unrounded = network.mel.mel(mel.fill(torch.from_numpy(expected), 480_000))[None]
    assert torch.equal(network.mel(waveform), unrounded)


@pytest.mark.parametrize("samples", [1, 7, 96_000, 200_000, 479_999, 480_000, 480_001, 700_000])
def test_short_waveforms_are_repeated_whole_then_filled(samples):
    waveform = np.random.default_rng(0).random(samples, dtype=np.float32)
    expected = waveform if samples >= 480_000 else np.zeros(480_000, np.float32)
    if samples < 480_000:
        times = 480_000 // samples
        expected[: times * samples] = np.tile(waveform, times)
    assert np.array_equal(mel.fill(torch.from_numpy(waveform), 480_000).numpy(), expected)


@pytest.mark.parametrize("frames", [1002, 1003, 1004, 1005, 1009, 2001, 2501, 30_001])
def test_chunks_start_in_the_middle_of_each_third(frames):
    thirds = np.array_split(np.arange(frames - 1001 + 1), 3)
    assert mel.chunk_starts(frames, 1001) == [int(third[len(third) // 2]) if len(third) else 0 for third in thirds]


@pytest.mark.parametrize(("samples", "channels"), [(96_000, 1), (480_001, 1), (480_479, 1), (480_480, 4), (600_000, 4)])
def test_mel_from_480480_samples_on_has_four_channels(seeded, samples, channels):
    assert seeded.on(CPU).clap.mel(sound(samples / 48_000)).shape == (channels, 1001, 64)


def test_mel_is_librosas_and_the_shrunk_one_has_no_antialiasing(seeded):
    librosa = pytest.importorskip("librosa")

    waveform = mel.to_16_bit(sound(25))
    power = librosa.feature.melspectrogram(
        y=waveform.numpy(), sr=48_000, n_fft=1024, hop_length=480, n_mels=64, fmin=50, fmax=14_000, htk=True, norm=None,
        pad_mode="reflect",
    )  # fmt: skip
    whole = 10 * np.log10(np.maximum(power.T, 1e-10))
    fused = seeded.on(CPU).clap.mel(waveform).numpy()
    for channel, start in zip(fused[1:], mel.chunk_starts(len(whole), 1001), strict=True):
        np.testing.assert_allclose(channel, whole[start : start + 1001], atol=2e-2)
    # Linear interpolation between the two nearest frames, pixel centres aligned: nothing is averaged.
    positions = ((np.arange(1001) + 0.5) * len(whole) / 1001 - 0.5).clip(0, len(whole) - 1)
    shrunk = np.stack([np.interp(positions, np.arange(len(whole)), band) for band in whole.T], axis=1)
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


@pytest.mark.parametrize(("size", "channels"), [(SMALL, 1), (SMALL, 4), (TINY, 1), (TINY, 4)])
def test_htsat_gives_laion_claps_embedding(size, channels):
    """All that the network's own forward makes and no score uses is left out, and nothing else."""
    theirs = laion_htsat(size, fusion=True)
    ours = clap.fill_network(laion_state(theirs), "a.pt").eval().requires_grad_(False).audio_branch
    mels = 15 * torch.randn(3, channels, 1001, 64, generator=torch.Generator().manual_seed(channels)) - 30
    expected = theirs({"mel_fusion": mels, "longer": torch.full((3,), channels == 4)}, device=CPU)["embedding"]
    got = embed_mels(ours, mels)
    assert got.std() > 0.1
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("seconds", [3, 10, 25])
def test_a_network_without_fusion_hears_sounds_as_laion_clap_prepares_them(seconds):
    """Slaney's mel scale, as in the network's own matrices, and the middle of a long sound; theirs is drawn."""
    theirs = laion_htsat(SMALL, fusion=False)
    network = clap.fill_network(laion_state(theirs), "a.pt")
    encoder = clap.CLAP(network, mel=clap.mel_of(network))
    waveform = sound(seconds)
    start = max(len(waveform) - 480_000, 0) // 2
    part = mel.fill(mel.to_16_bit(waveform)[start : start + 480_000], 480_000)[None]
    expected = network.audio_projection(theirs({"waveform": part}, device=CPU)["embedding"])
    torch.testing.assert_close(encoder.encode_audio([waveform]), normalize(expected, dim=-1), atol=1e-5, rtol=0)
    assert not torch.allclose(clap.CLAP(network).encode_audio([sound(3)]), encoder.encode_audio([sound(3)]), atol=1e-3)


def test_mel_filters_are_torchaudios_and_librosas():
    librosa = pytest.importorskip("librosa")
    torchaudio = pytest.importorskip("torchaudio")
    fused, plain = mel.MelOptions(), mel.MelOptions(fusion=False)
    theirs = torchaudio.functional.melscale_fbanks(513, fused.f_min, fused.f_max, fused.n_mels, fused.sample_rate)
    assert torch.equal(fused.bands, theirs)
    slaney = librosa.filters.mel(sr=48_000, n_fft=1024, n_mels=64, fmin=50, fmax=14_000)
    np.testing.assert_allclose(plain.bands.numpy(), slaney.T, atol=1e-7)


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
        cut = tiny_clap.encode_text(["a" * 400])
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=0)
    assert torch.isfinite(cut).all()
    (remark,) = tiny_clap.remark_text(["a dog", "a" * 400]).items()
    assert remark[0] == 1
    assert remark[1].endswith(" tokens and is cut to 77")


@pytest.fixture
def clap_module(tiny_clap, monkeypatch):
    """What a user has loaded: laion_clap's class as far as it is looked at, its networks small."""
    config = tiny_clap.network.text_branch.config
    sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    monkeypatch.setattr(clap, "ROBERTA", clap.ROBERTA | {name: getattr(config, name) for name in sizes})
    tensors = laion_state(laion_htsat(SMALL, fusion=True), tiny_clap.network.text_branch)
    kind = type("CLAP_Module", (), {"__module__": "laion_clap.hook"})
    module = kind()
    module.model = SimpleNamespace(state_dict=lambda: tensors)
    module.tokenize = tiny_clap.tokenizer
    return module


def test_a_loaded_clap_module_is_an_encoder_with_its_weights(clap_module, tmp_path):
    tensors = clap_module.model.state_dict()
    torch.save({"state_dict": {f"module.{name}": t for name, t in tensors.items()}}, tmp_path / "630k-audioset-best.pt")
    seeded_files._write_roberta(tmp_path / "roberta-base")
    given, read = load_encoder(clap_module), load_encoder("clap", weights=tmp_path)
    assert given.name == read.name
    assert given.name.startswith("clap@")
    metric = CLIPCLAPScore(clip="clip-tiny", clap=clap_module, pairs=["text-audio"])
    before = encode(given, "audio", [sound(2)])
    assert torch.equal(encode(read, "audio", [sound(2)]), before)
    assert torch.equal(encode(read, "text", ["a dog"]), encode(given, "text", ["a dog"]))
    tensors["audio_projection.0.weight"].zero_()
    assert torch.equal(encode(given, "audio", [sound(2)]), before)
    assert given.name in metric.signature


def test_a_clap_module_without_a_tokenizer_is_refused(clap_module):
    clap_module.tokenize = ["<s>"]
    with pytest.raises(ValueError, match=r"^Expected laion_clap's CLAP_Module to give 50265 tokens, got 1\.$"):
        load_encoder(clap_module)


def test_clap_needs_nothing_of_laion_clap(monkeypatch):
    for package in ("laion_clap", "torchlibrosa", "librosa", "timm", "torchaudio"):
        monkeypatch.setitem(sys.modules, package, None)  # importing it is an error
    encoder = clap.CLAP(clap.build_network(HTSATOptions(16, (2, 1, 2, 1), (2, 2, 4, 4))))
    assert encoder.encode_audio([resample(sound(1, 16_000), 16_000, 48_000)]).shape == (1, 512)
