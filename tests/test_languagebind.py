"""LanguageBind's adapter: what the module is given, and what is made of its answers. The module here is a stand-in."""

import numpy as np
import pytest
import torch
from signals import CPU, picture, sound
from torch import nn

from torchmetrics_majorscore.encoders import load_encoder

pytest.importorskip("ftfy")
from torchmetrics_majorscore.encoders.languagebind import LanguageBind

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class StandIn(nn.Module):
    """Keeps what it is given, and answers with sums of it, scaled as by a temperature."""

    def __init__(self, *names):
        super().__init__()
        names = names or ("video", "audio", "image", "language")
        self.modality_encoder = nn.ModuleDict({name: nn.Linear(1, 1) for name in names})
        self.given = []

    def forward(self, inputs):
        ((key, given),) = inputs.items()
        self.given.append((key, given))
        flat = next(iter(given.values())).double().flatten(1)
        return {key: 31.0 * torch.stack([flat.mean(dim=1), flat.std(dim=1)], dim=-1).float()}


@pytest.fixture
def encoder():
    return LanguageBind(StandIn())


def test_a_sound_is_kaldis_mel_whole_in_three_parts_or_repeated(encoder):
    kaldi = pytest.importorskip("torchaudio.compliance.kaldi")
    for seconds in (0.1, 3, 10.375, 10.385, 10.39, 14.2):
        waveform = sound(seconds, 16_000) + 0.2
        before, ours = waveform.clone(), encoder.mels(waveform)
        mel = kaldi.fbank(
            (waveform - waveform.mean())[None], htk_compat=True, use_energy=False, window_type="hanning", dither=0.0,
            num_mel_bins=112, sample_frequency=16_000, frame_length=25, frame_shift=10,
        )  # fmt: skip
        if len(mel) > 1036:
            thirds = [part if len(part) else [0] for part in np.array_split(list(range(len(mel) - 1035)), 3)]
            parts = [mel[third[0] : third[0] + 1036] for third in thirds]
        else:
            parts = [mel.repeat(int(1036 / len(mel)) + 1, 1)[:1036]] * 3
        theirs = (torch.stack(parts).transpose(1, 2) + 4.2677393) / (2 * 4.5689974)
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=0)
        assert torch.equal(waveform, before)


@pytest.mark.parametrize(("height", "width"), [(240, 426), (360, 224), (301, 500), (100, 150)])
def test_pictures_are_scaled_cropped_and_never_flipped(encoder, height, width):
    v2 = pytest.importorskip("torchvision.transforms.v2")
    frames = torch.cat([picture(height, width).roll(shift, 3) for shift in range(13)])
    seen = frames[np.linspace(0, 12, 8, dtype=int)]
    assert encoder.video_pixels(frames).shape == (3, 8, 224, 224)
    normalised = v2.functional.normalize(seen / 255.0, MEAN, STD)
    scale = 224 / min(height, width)
    size = (int(height * scale + 1e-9), int(width * scale + 1e-9))
    resized = nn.functional.interpolate(normalised, size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(
        encoder.video_pixels(frames), v2.functional.center_crop(resized, [224, 224]).transpose(0, 1), atol=1e-5, rtol=0
    )
    assert torch.equal(encoder.video_pixels(list(frames.split(5))), encoder.video_pixels(frames))
    whole = v2.functional.resize(frames[0] / 255.0, 224, v2.InterpolationMode.BICUBIC, antialias=False)
    expected = v2.functional.normalize(v2.functional.center_crop(whole, [224, 224]), MEAN, STD)
    torch.testing.assert_close(encoder.image_pixels(frames[0]), expected, atol=1e-5, rtol=0)


def test_it_is_a_joint_encoder_of_what_the_module_has(encoder):
    handle = load_encoder(encoder)
    assert handle.modalities == ("video", "text", "audio", "image")
    assert handle.name.startswith("languagebind@")
    assert load_encoder(LanguageBind(StandIn("audio", "language"))).modalities == ("text", "audio")
    for modality, batch in {
        "video": [picture(224, 300), torch.cat([picture(230, 224)] * 9)],
        "image": [picture(224, 300)[0], picture(300, 224)[0]],
        "text": ["a dog barks", "rain", "a toilet", "BBQ", "a bell"],
        "audio": [sound(3, 16_000), sound(11, 16_000), torch.zeros(1)],
    }.items():
        rows = handle.encode(modality, batch, CPU)
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(batch)))
        for place, item in enumerate(batch):
            assert torch.equal(handle.encode(modality, [item], CPU)[0], rows[place])
    given = next(given for key, given in handle.on(CPU).module.given if key == "language")
    assert given["attention_mask"][:2].sum(dim=1).tolist() == [6, 3]  # "barks" is two tokens
    assert given["input_ids"][0, 5] == 49_407  # the end


def test_another_module_is_named():
    with pytest.raises(TypeError, match="LanguageBind with its modality_encoder, got Linear"):
        LanguageBind(nn.Linear(1, 1))
    with pytest.raises(ValueError, match=r"language and video, audio or image, got \['depth', 'language'\]"):
        LanguageBind(StandIn("depth", "language"))
