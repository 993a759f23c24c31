"""Networks of open_clip by name against open_clip's own preparation and calls: small ones, registered here."""

import json

import pytest
import torch
from PIL import Image
from signals import CPU, encode, picture, sound
from torch.nn.functional import normalize

from torchmetrics_majorscore import CLIPCLAPScore
from torchmetrics_majorscore.encoders import load_encoder

open_clip = pytest.importorskip("open_clip")
transformers = pytest.importorskip("transformers")
from open_clip.pretrained import _PRETRAINED, _apcfg, _mccfg, _pcfg, _slpcfg  # noqa: E402

TEXTS = ["a dog barks", "Rain, on a roof!", "a bell"]
VISION = {"image_size": 48, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16}
TEXT = {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
SIGLIP = {
    "context_length": 10,
    "vocab_size": 40,
    "hf_tokenizer_name": "small/tokenizer",
    "tokenizer_kwargs": {"clean": "canonicalize"},
    "width": 32,
    "heads": 2,
    "layers": 2,
    "no_causal_mask": True,
    "proj_bias": True,
    "pool_type": "last",
}
NETWORKS = {
    "small-clip": ({"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT}, _pcfg(quick_gelu=True)),
    "small-mobile": ({"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT}, _mccfg()),
    "small-clipa": ({"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT}, _apcfg()),
    "small-siglip": (
        {"embed_dim": 24, "init_logit_bias": -10, "custom_text": True, "vision_cfg": VISION, "text_cfg": SIGLIP},
        _slpcfg(),
    ),
}
SIZES = [
    (61, 80),
    (83, 48),
    (30, 41),
    (48, 48),
    (64, 101),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Register the networks, and write a checkpoint of each as open_clip lays it out."""
    home = tmp_path_factory.mktemp("open_clip")
    with pytest.MonkeyPatch.context() as patch:
        for name, (config, listed) in NETWORKS.items():
            (home / f"{name}.json").write_text(json.dumps(config))
            patch.setitem(_PRETRAINED, name, {"here": listed})
        open_clip.add_model_config(home)
        for number, (name, (_, listed)) in enumerate(NETWORKS.items()):
            torch.manual_seed(number)
            network = open_clip.create_model(name, load_weights=False, force_quick_gelu=bool(listed.get("quick_gelu")))
            own = home / f"{name}-here"
            own.mkdir()
            torch.save(network.state_dict(), own / "open_clip_pytorch_model.bin")
        words = [*"abcdefghijklmnopqrstuvwxyz", "dog", "barks", "rain", "on", "roof", "bell", "<pad>", "</s>", "<unk>"]
        words += [f"<{number}>" for number in range(40 - len(words))]
        _tokenizer(words).save_pretrained(home / "small-siglip-here")
        yield home
    for name in NETWORKS:
        open_clip.factory._MODEL_CONFIGS.pop(name)


def _tokenizer(words):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, "<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", words.index("</s>"))]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_by_name_gives_what_open_clip_gives(folder, name):
    encoder, listed = load_encoder(f"clip:{name}/here", weights=folder), NETWORKS[name][1]
    file = folder / f"{name}-here/open_clip_pytorch_model.bin"
    quick = {"force_quick_gelu": bool(listed.get("quick_gelu"))}
    network, _, prepare = open_clip.create_model_and_transforms(
        name,
        pretrained=str(file),
        **quick,
        image_mean=listed["mean"],
        image_std=listed["std"],
        image_interpolation=listed["interpolation"],
        image_resize_mode=listed["resize_mode"],
    )
    network.eval()
    frames = [picture(height, width) for height, width in SIZES]
    pixels = torch.stack([prepare(Image.fromarray(one[0].permute(1, 2, 0).numpy())) for one in frames])
    source = str(folder / "small-siglip-here")
    tokenize = (
        open_clip.tokenizer.HFTokenizer(source, 10, clean="canonicalize")
        if "siglip" in name
        else open_clip.get_tokenizer(name)
    )
    with torch.no_grad():
        images, texts = network.encode_image(pixels), network.encode_text(tokenize(TEXTS))
    for modality, batch, theirs in (("video", frames, images), ("text", TEXTS, texts)):
        ours = encode(encoder, modality, batch)
        torch.testing.assert_close(ours, normalize(theirs, dim=-1), atol=3e-6, rtol=0)
        assert torch.equal(encode(encoder, modality, batch[1:2])[0], ours[1])
    assert encoder.name.startswith(f"clip:{name}/here@")
    cut = {"small-siglip": 17}.get(name, 18)
    assert encoder.remark("text", ["dog", "dog " * 16], CPU) == {
        1: f"has {cut} tokens and is cut to {10 if 'siglip' in name else 12}"
    }


def test_the_first_listed_weights_are_those_of_a_bare_name(folder):
    (folder / "small-clip").symlink_to(folder / "small-clip-here")
    bare, full = (load_encoder(name, weights=folder).name for name in ("clip:small-clip", "clip:small-clip/here"))
    assert bare == full


def test_it_is_one_half_of_clipclap(folder):
    pytest.importorskip("safetensors")
    clip, clap = load_encoder("clip:small-siglip/here", weights=folder), load_encoder("clap-tiny")
    metric = CLIPCLAPScore("sum", clip, clap, sample_rate=48_000, fps=1)
    video, audio = torch.stack([picture(48, 64)] * 2), sound(0.5).expand(2, -1)
    metric.update(video=video, text=TEXTS[:2], audio=audio)
    rows = metric.rows()
    expected = (clip.encode("video", list(video), CPU) * clip.encode("text", TEXTS[:2], CPU)).sum(dim=1)
    torch.testing.assert_close(rows["video-text"], expected, atol=2e-6, rtol=0)
    assert "clip:small-siglip/here@" in metric.signature


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("clip:ViT-B-33", r"a name of open_clip.list_models\(\) after 'clip:', got 'ViT-B-33'"),
        ("clip:ViT-B-32/openal", "the weights of ViT-B-32 to be one of openai, .*, got 'openal'"),
        ("clap:630k", "after 'clap:', one of 630k-fusion-best, .*, got '630k'"),
        ("blip:base", "clip:NAME or clip:NAME/PRETRAINED of open_clip, clap:CHECKPOINT of laion_clap, or an encoder"),
    ],
)
def test_a_wrong_name_is_named(name, line):
    with pytest.raises(ValueError, match=line):
        load_encoder(name, weights="seeded").name  # noqa: B018


def test_a_checkpoint_of_another_network_is_refused_in_one_line(folder):
    (folder / "small-mobile").mkdir()
    state = torch.load(folder / "small-siglip-here/open_clip_pytorch_model.bin")
    torch.save(state, folder / "small-mobile/open_clip_pytorch_model.bin")
    with pytest.raises(ValueError, match="to be a checkpoint of small-mobile, got other tensors") as caught:
        load_encoder("clip:small-mobile", weights=folder).name  # noqa: B018
    assert "\n" not in str(caught.value)
