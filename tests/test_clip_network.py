"""CLIP's networks and tokenizer against open_clip's: the same tensors, the same bits."""

from contextlib import nullcontext

import pytest
import torch

open_clip = pytest.importorskip("open_clip")

from open_clip.tokenizer import SimpleTokenizer  # noqa: E402

from torchmetrics_majorscore.encoders.base import seed_weights  # noqa: E402
from torchmetrics_majorscore.encoders.clip import encode_captions  # noqa: E402
from torchmetrics_majorscore.encoders.clip_network import CLIPNetwork, VisionTransformer, build_vit_b_32  # noqa: E402
from torchmetrics_majorscore.encoders.resnet import ResNet  # noqa: E402
from torchmetrics_majorscore.encoders.table import BUNDLE  # noqa: E402
from torchmetrics_majorscore.encoders.tokenizer import Tokenizer  # noqa: E402
from torchmetrics_majorscore.encoders.vit import embed_pixels  # noqa: E402

TEXT = {"context_length": 77, "vocab_size": 49_408, "width": 64, "heads": 2, "layers": 2}
HOSTILE = [
    *("", "a dog", "a\tb\n c", "don't we'll I'd they've he's I'm you're", "1234567890 3.14", "a_b-c/d", "x" * 300),
    *("It's 25°C &amp;amp; raining…", "naïve café — “quotes” â€œmojibake", "<end_of_text> hi <start_of_text>"),
    *("日本語 テキスト", "😀😃 emoji", "İstanbul ẞ ﬁ", "&nbsp;\x00", "\u200bzero", "Ωμέγα привет مرحبا", "train " * 80),
]


def pair(visual, vision, text, quick):
    """Give open_clip's network and ours with its weights, which are random in every tensor."""
    theirs = open_clip.CLIP(32, vision, text, quick_gelu=quick).eval()
    ours = CLIPNetwork(visual, 32, text, quick=quick).eval()
    seed_weights(theirs)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def test_the_real_network_has_open_clips_tensors():
    with torch.device("meta"):
        theirs = open_clip.CLIP(**open_clip.get_model_config("ViT-B-32-quickgelu"))
        ours = build_vit_b_32()
    assert {name: x.shape for name, x in ours.state_dict().items()} == {
        name: x.shape for name, x in theirs.state_dict().items()
    }


@torch.no_grad()
def test_towers_give_open_clips_embeddings():
    vision = {"layers": 2, "width": 128, "head_width": 64, "patch_size": 32, "image_size": 224}
    visual = VisionTransformer(32, image_size=224, patch_size=32, width=128, layers=2, quick=True)
    theirs, ours = pair(visual, vision, TEXT, quick=True)
    pixels = torch.randn(3, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    assert torch.equal(embed_pixels(ours.visual, pixels), embed_pixels(theirs.visual, pixels))
    torch.testing.assert_close(embed_pixels(ours.visual, pixels), theirs.visual(pixels), atol=3e-6, rtol=0)
    encoded = [encode_captions(one, Tokenizer(), HOSTILE, lambda x: x, nullcontext) for one in (ours, theirs)]
    assert torch.equal(*encoded)
    tokens = SimpleTokenizer()(HOSTILE)
    expected = theirs.encode_text(tokens, normalize=True)
    torch.testing.assert_close(encoded[0], expected, atol=1e-6, rtol=0)
    assert torch.equal(ours.encode_text(tokens, normalize=True), expected)
    images = [one.encode_image(pixels, normalize=True) for one in (ours, theirs)]
    torch.testing.assert_close(*images, atol=1e-6, rtol=0)


@torch.no_grad()
def test_resnet_gives_open_clips_bits():
    vision = {"layers": [1, 2, 1, 1], "width": 16, "image_size": 64}
    theirs, ours = pair(ResNet(32, [1, 2, 1, 1], 16, 64), vision, TEXT, quick=False)
    pictures = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ours.visual(pictures), theirs.visual(pictures))


def test_tokens_are_open_clips():
    theirs, ours = SimpleTokenizer(), Tokenizer()
    assert torch.equal(ours(HOSTILE), theirs(HOSTILE))
    assert [ours.encode(text) for text in HOSTILE] == [theirs.encode(text) for text in HOSTILE]
    merges = BUNDLE / "merges.txt.gz"
    assert torch.equal(Tokenizer(merges, 32)(HOSTILE), SimpleTokenizer(str(merges), context_length=32)(HOSTILE))
