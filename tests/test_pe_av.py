"""PE-AV, small and seeded: transformers' own forward gives the numbers, and metrics compare a text by its pair."""

import math
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from signals import CPU, encode, picture, sound
from torch.nn.functional import normalize

from torchmetrics_majorscore import FairScore, MAJORScore
from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.functional import multilinear_product, pair_similarities

transformers = pytest.importorskip("transformers")
pytest.importorskip("timm")
from torchmetrics_majorscore.encoders import pe_av  # noqa: E402

NAME, TEXTS = "pe-av-small-16-frame", ["a dog barks", "rain on a roof", "bell"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in the hub's layout, of the smallest network that has all parts."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    wide = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    wide["head_dim"] = 16
    dac = {"encoder_hidden_size": 4, "downsampling_ratios": [8, 8, 30], "codebook_dim": 8, "hidden_size": 8}
    pictures = {"img_size": 32, "embed_dim": 32, "depth": 1, "num_heads": 2}
    config = transformers.PeAudioVideoConfig(
        text_config={
            "model_type": "modernbert", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48,
            "num_hidden_layers": 2, "num_attention_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
            "cls_token_id": 1, "sep_token_id": 2,
        },
        audio_video_config={
            **wide,
            "audio_config": {
                "model_type": "pe_audio_encoder", **wide,
                "dac_config": {"model_type": "dac", **dac, "codebook_size": 8, "n_codebooks": 1},
            },
            "video_config": {
                "model_type": "pe_video_encoder", **wide,
                "vision_config": {
                    "model_type": "timm_wrapper", "architecture": "vit_pe_core_tiny_patch16_384", "num_classes": 32,
                    "model_args": pictures,
                },
            },
        },
    )  # fmt: skip
    words = ["<pad>", "<s>", "</s>", "<unk>", *" ".join(TEXTS).split(), *map(str, range(40))]
    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(dict.fromkeys(words))}, "<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>")
    home = tmp_path_factory.mktemp("pe_av")
    pe_av.write_seeded(home / NAME, config, tokenizer)
    return home


@pytest.fixture(scope="module")
def encoder(folder):
    return load_encoder(NAME, weights=folder)


@pytest.fixture(scope="module")
def batch():
    video = [torch.cat([picture(40 + n, 52).roll(k, 3) for k in range(length)]) for n, length in enumerate((25, 40, 3))]
    return {"video": video, "text": TEXTS, "audio": [sound(seconds) for seconds in (0.5, 1.01, 0.03)]}


def test_the_parts_give_what_the_whole_network_gives(encoder, folder, batch):
    network = transformers.PeAudioVideoModel.from_pretrained(folder / NAME).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / NAME)
    # as in video_preprocessor_config.json of facebook/pe-av-base-16-frame, but for the size
    processor = transformers.PeVideoVideoProcessor(
        size={"height": 32, "width": 32}, image_mean=[0.5] * 3, image_std=[0.5] * 3, do_resize=True, do_normalize=True,
        do_rescale=True,
    )  # fmt: skip
    listen = transformers.PeAudioFeatureExtractor()
    mine = {name: encode(encoder, name, items) for name, items in batch.items()}
    for row in range(3):
        frames = batch["video"][row]
        places = [int(i * (len(frames) - 1) / 15) for i in range(16)]
        pixels = processor(frames[places], return_tensors="pt", do_sample_frames=False)["pixel_values_videos"]
        ours = encoder.on(CPU).pixels(frames)[None]
        torch.testing.assert_close(ours, pixels, atol=1.01 / 127.5, rtol=0)  # torchvision's bytes differ by up to one
        assert ((ours - pixels).abs() > 1e-5).float().mean() < 0.1
        waves = listen([batch["audio"][row].numpy()], sampling_rate=48_000, return_tensors="pt", padding=False)
        with torch.no_grad():
            out = network(
                **tokenizer(TEXTS[row], return_tensors="pt"),
                input_values=torch.as_tensor(np.asarray(waves["input_values"])).reshape(1, 1, -1),
                pixel_values_videos=ours,
            )
        text = normalize(torch.stack([out.text_video_embeds[0], out.text_audio_embeds[0]]), dim=-1).flatten()
        torch.testing.assert_close(mine["text"][row], text, atol=2e-6, rtol=0)
        torch.testing.assert_close(mine["audio"][row], normalize(out.audio_embeds[0], dim=-1), atol=2e-6, rtol=0)
        torch.testing.assert_close(mine["video"][row], normalize(out.video_embeds[0], dim=-1), atol=2e-6, rtol=0)
        for name, items in batch.items():
            assert torch.equal(encode(encoder, name, items[row : row + 1])[0], mine[name][row])
    assert (mine["text"][:, :32] - mine["text"][:, 32:]).abs().max() > 0.01
    assert torch.equal(encode(encoder, "video", [list(batch["video"][0].split(9))])[0], mine["video"][0])
    assert encoder.name.startswith(f"{NAME}-seeded@")


def test_a_pair_takes_its_own_embedding_of_the_text(encoder, batch):
    metric, fair = (kind(encoder=encoder, sample_rate=48_000, fps=25, **how) for kind, how in (
        (MAJORScore, {"cache_conditions": True}), (FairScore, {}),
    ))  # fmt: skip
    given = metric.encode(**batch)
    assert list(given) == ["video", "text_for_video", "text_for_audio", "audio"]
    metric.update(**batch, ids=[1, 2, 3])
    rows = metric.rows()
    for name, (one, other) in {
        "video-text": ("video", "text_for_video"),
        "text-audio": ("text_for_audio", "audio"),
        "video-audio": ("video", "audio"),
    }.items():
        torch.testing.assert_close(rows[name], (given[one] * given[other]).sum(dim=1), atol=1e-6, rtol=0)
    before = metric.compute()
    metric.reset()
    metric.update(audio=batch["audio"], ids=[1, 2, 3])  # conditions are remembered with both embeddings
    assert torch.equal(metric.compute(), before)
    metric.reset()
    metric.update(embeddings=given)
    assert torch.equal(metric.compute(), before)
    torch.testing.assert_close(metric.score(**batch).mean(), before, atol=2e-7, rtol=0)  # of scores in float32
    with pytest.warns(UserWarning, match="text of sample 0 is missing"):
        fair.update(video=batch["video"], text=[None, *TEXTS[1:]], audio=batch["audio"])
    assert fair.rows()["text-audio"].isnan().tolist() == [True, False, False]


def test_clips_on_disk_are_scored_as_given_ones(encoder, tmp_path):
    pytest.importorskip("av")
    import pandas as pd
    from media_files import write

    from torchmetrics_majorscore.media import Entry, read_clip
    from torchmetrics_majorscore.scoring.score import ScoreOptions, score_clips

    tone = (3000 * torch.sin(torch.arange(12_000) / 9)).short()[None].numpy().T
    path = write(tmp_path / "a.mkv", count=50, rate=25, sound=("pcm_s16le", tone.T, 0))
    options = ScoreOptions(encoder=encoder, device="cpu")
    score_clips([Entry("a", path, None, TEXTS[0])], tmp_path / "scores.csv", options)
    row = pd.read_csv(tmp_path / "scores.csv").iloc[0]
    clip = read_clip(path, path, fps=25)
    metric = FairScore(encoder=encoder, sample_rate=clip.sample_rate, fps=25)
    metric.update(video=[clip.frames], text=TEXTS[:1], audio=[clip.waveform])
    for name, value in list(metric.rows().items())[1:]:
        assert row[f"similarity_{name.replace('-', '_')}"] == pytest.approx(value.item(), abs=1e-5)


def test_waveforms_are_filled_by_reflection():
    for count in (1, 2, 700, 1919, 1920, 4000):
        wave = torch.rand(count)
        length = -(-count // 1920) * 1920
        expected = np.pad(wave.numpy(), (0, length - count), "reflect")
        assert np.array_equal(pe_av.fill(wave).numpy(), expected)


def test_what_cannot_take_several_embeddings_says_so(encoder, tmp_path):
    from torchmetrics_majorscore.scoring.embed import embed_clips
    from torchmetrics_majorscore.scoring.encode import EncodeOptions

    with pytest.raises(ValueError, match="one embedding of each modality for a file of embeddings, got pe-av-small-16"):
        embed_clips([], tmp_path / "e.safetensors", EncodeOptions(encoder=encoder))
    unit = torch.eye(2)
    with pytest.raises(ValueError, match="one embedding of each modality, got text_for_video"):
        multilinear_product({"video": unit, "text_for_video": unit})
    with pytest.raises(ValueError, match="an embedding of text for text-audio"):
        pair_similarities({"text_for_video": unit, "audio": unit, "video": unit}, "all")
    with pytest.raises(ValueError, match="embeddings of video, text_for_video, text_for_audio, audio, got video, text"):
        MAJORScore(encoder=encoder).update(embeddings={"video": unit, "text": unit, "audio": unit})


def test_a_pair_that_an_encoder_cannot_give_is_named(encoder):
    class Half:
        name, modalities, sample_rate, per_pair = "half@1", ("video", "text", "audio"), 48_000, {"text": ("video",)}
        encode_video = encode_audio = encode_text = staticmethod(lambda batch: torch.ones(len(batch), 1))

    with pytest.raises(ValueError, match="Expected pairs out of video-text, video-audio, got text-audio"):
        MAJORScore(encoder=Half(), pairs=["text-audio"])
    assert not math.isnan(MAJORScore(encoder=Half(), pairs=["video-text"], fps=1).score(
        video=[picture(8, 8)], text=["a"]
    ).item())  # fmt: skip


def test_a_folder_that_lacks_a_tensor_or_all_is_refused_in_one_line(folder, tmp_path, capsys):
    from safetensors.torch import load_file, save_file

    with pytest.raises(FileNotFoundError, match=r"lacks pe-av-small-16-frame/config\.json"):
        load_encoder(NAME, weights=tmp_path)
    own = tmp_path / NAME
    own.mkdir()
    for file in (folder / NAME).iterdir():
        (own / file.name).write_bytes(file.read_bytes())
    tensors = load_file(own / "model.safetensors")
    lost = next(name for name in tensors if name.startswith("video_model.video_head"))
    del tensors[lost]
    save_file(tensors, own / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"got 1 missing tensors: video_model\.video_head") as caught:
        load_encoder(NAME, weights=tmp_path).name  # noqa: B018
    assert "\n" not in str(caught.value)
    assert capsys.readouterr() == ("", "")  # transformers would print a report
    with pytest.raises(ValueError, match="Expected a weights folder for pe-av-base, got 'seeded'"):
        load_encoder("pe-av-base", weights="seeded").name  # noqa: B018


def test_a_transformers_without_it_is_named(monkeypatch):
    older = ModuleType("transformers")
    older.__spec__, older.__version__ = transformers.__spec__, "5.0.0"
    monkeypatch.setitem(sys.modules, "transformers", older)
    with pytest.raises(ModuleNotFoundError, match=r"a transformers with PE-AV, got 5\.0\.0: update it"):
        pe_av._model_class()
