"""CLIP against PIL and plain formulas: one test for each known trap."""

import numpy as np
import PIL
import pytest
import torch
from PIL import Image
from signals import CPU, encode, picture
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders import clip
from torchmetrics_majorscore.encoders.resize import Resizing, prepare_frames
from torchmetrics_majorscore.encoders.vit import embed_pixels

open_clip = pytest.importorskip("open_clip")


def test_clip_uses_quickgelu(seeded):
    network, x = seeded.on(CPU).clip.network, torch.linspace(-4, 4, 101)
    for block in (*network.visual.transformer.resblocks, *network.transformer.resblocks):
        torch.testing.assert_close(block.mlp.gelu(x), x * torch.sigmoid(1.702 * x))


def test_the_image_tower_gives_open_clips_embedding(seeded):
    """Of the last block, all that no embedding is read from is left out, and nothing else."""
    encoder, calls = seeded.on(CPU).clip, []
    last = encoder.network.visual.transformer.resblocks[-1]
    theirs = open_clip.CLIP(**open_clip.get_model_config("ViT-B-32-quickgelu")).eval()
    theirs.load_state_dict(encoder.network.state_dict())
    pixels = torch.randn(3, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    hook = last.mlp.register_forward_hook(lambda *run: calls.append(run[-1].shape[:2]))
    with torch.no_grad():
        ours, expected = encoder.network.encode_image(pixels), theirs.visual(pixels)
    hook.remove()
    assert ours.std() > 0.1
    torch.testing.assert_close(ours, expected, atol=3e-6, rtol=0)
    assert calls == [(3, 1)]


@pytest.mark.parametrize(
    ("height", "width"), [(352, 640), (640, 352), (360, 640), (300, 1000), (150, 200), (224, 224), (227, 225)]
)
def test_frames_have_the_bytes_of_pil_and_are_cropped_at_the_floor(height, width):
    frames = picture(height, width)
    short = min(height, width)
    size = (int(224 * width / short), int(224 * height / short))
    resized = Image.fromarray(frames[0].permute(1, 2, 0).numpy()).resize(size, Image.Resampling.BICUBIC)
    left, top = (size[0] - 224) // 2, (size[1] - 224) // 2
    expected = np.asarray(resized.crop((left, top, left + 224, top + 224)))
    assert np.array_equal(prepare_frames(frames, 224)[0].permute(1, 2, 0).numpy(), expected)


@pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 13, reason="before Pillow 13 the lines across come first")
@pytest.mark.parametrize(("height", "width"), [(66, 49), (67, 49), (33, 32), (33, 20), (75, 30), (64, 32)])
@pytest.mark.parametrize("how", ["bicubic", "bilinear"])
def test_tall_pictures_are_filtered_in_the_order_of_pil(height, width, how):
    target = 32
    frames, kind = picture(height, width), Image.Resampling[how.upper()]
    image = Image.fromarray(frames[0].permute(1, 2, 0).numpy())
    squashed = np.asarray(image.resize((target, target), kind))
    found = prepare_frames(frames, target, Resizing(squash=True, filter=how))[0].permute(1, 2, 0).numpy()
    assert np.array_equal(found, squashed)
    tall = target * height // width
    top = (tall - target) // 2
    whole = np.asarray(image.resize((target, tall), kind))[top : top + target]
    cropped = prepare_frames(frames, target, Resizing(filter=how))[0].permute(1, 2, 0).numpy()
    assert np.array_equal(cropped, whole)


def test_a_caption_over_77_tokens_is_cut_with_a_remark(seeded):
    words = ["train"] * 75
    exact = encode(seeded, "text", [" ".join(words)])
    long = " ".join([*words, "dog", "dog"])
    assert torch.equal(encode(seeded, "text", [long]), exact)
    assert seeded.remark("text", ["a dog", long], CPU) == {1: "has 79 tokens and is cut to 77"}


def test_pool_before_head_is_the_head_of_the_mean(seeded):
    inner, batch = (
        seeded.on(CPU).clip,
        [torch.cat([picture(224, 224), picture(225, 224)[..., 1:, :]]), picture(226, 224)],
    )
    network, head = inner.network, inner.head
    with torch.no_grad():
        frames = torch.cat([prepare_frames(frames, 224) for frames in batch])
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (inner.frames.mean, inner.frames.std))
        pixels = (frames / 255 - mean) / std
        a, b, c = normalize(embed_pixels(network.visual, pixels), dim=-1)
        before = normalize(head(torch.stack([(a + b) / 2, c])), dim=-1)
        joint = normalize(head(torch.stack([a, b, c])), dim=-1)
        after = normalize(torch.stack([(joint[0] + joint[1]) / 2, joint[2]]), dim=-1)
        torch.testing.assert_close(
            clip.CLIP(network, head, "before_head").encode_video(batch), before, atol=2e-6, rtol=0
        )
        torch.testing.assert_close(clip.CLIP(network, head, "after_head").encode_video(batch), after, atol=2e-6, rtol=0)
    assert (before[0] - after[0]).abs().max() > 1e-4
    torch.testing.assert_close(before[1], after[1], atol=2e-6, rtol=0)
