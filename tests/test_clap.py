"""CLAP against librosa, NumPy and plain formulas: one test for each known trap."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from signals import CPU, encode, sound
from torch import nn
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders import clap, mel
from torchmetrics_majorscore.encoders import seeded as seeded_files
from torchmetrics_majorscore.encoders.checkpoints import find_weights
from torchmetrics_majorscore.encoders.htsat import embed_mels
from torchmetrics_majorscore.encoders.resample import resample

for package in ("torchaudio", "transformers"):  # not laion_clap, see conftest.py
    pytest.importorskip(package)


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
    assert np.array_equal(mel.to_16_bit(waveform).numpy(), expected)
    network = seeded.on(CPU).clap
    unrounded = network.mel.mel(mel.fill(torch.from_numpy(expected), 480_000)).T[None]
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
    import librosa

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


@pytest.mark.parametrize("channels", [1, 4])
def test_htsat_gives_laion_claps_embedding(seeded, channels):
    """All that the network's own forward makes and no score uses is left out, and nothing else."""
    branch = seeded.on(CPU).clap.network.audio_branch
    mels = 15 * torch.randn(3, channels, 1001, 64, generator=torch.Generator().manual_seed(channels)) - 30
    with torch.no_grad():
        longer = torch.full((3,), channels == 4)
        theirs = branch({"mel_fusion": mels, "longer": longer}, device=CPU)["embedding"]
        ours = embed_mels(branch, mels)
    assert ours.std() > 0.1
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


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


def test_laion_claps_init_is_not_run():
    code = """
import sys
path = list(sys.path)
from torchmetrics_majorscore.encoders import clap, mel
branch = clap._htsat().create_htsat_model
assert sys.path == path
found = {"laion_clap", "clap_module", "training", "evaluate", "hook"} & set(sys.modules)
assert not found, found
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_a_rate_whose_filter_takes_gigabytes_is_refused():
    with pytest.raises(
        ValueError, match="Expected a sample rate with a larger common divisor with 48000 Hz, got 44099 Hz"
    ):
        resample(torch.zeros(100), 44_099, 48_000)
