"""ImageBind's adapter: what the module is given, and what is made of its answers. The module here is a stand-in."""

import pytest
import torch
from signals import CPU, picture, sound
from torch import nn

from torchmetrics_majorscore.encoders import load_encoder

pytest.importorskip("ftfy")
from torchmetrics_majorscore.encoders.imagebind import ImageBind


class StandIn(nn.Module):
    """Keeps what it is given, and answers with sums of it."""

    def __init__(self):
        super().__init__()
        self.modality_heads = nn.ModuleDict()
        self.weight = nn.Parameter(torch.tensor([3.0, -2.0]))
        self.given = []

    def forward(self, inputs):
        ((modality, given),) = inputs.items()
        self.given.append((modality, given))
        flat = given.double().flatten(1)
        return {modality: torch.stack([flat.mean(dim=1), flat.std(dim=1)], dim=-1).float() * self.weight}


@pytest.fixture
def encoder():
    return ImageBind(StandIn())


def test_a_sound_is_heard_in_three_clips_as_kaldi_computes_them(encoder):
    kaldi = pytest.importorskip("torchaudio.compliance.kaldi")
    for seconds, starts in ((8, (0, 3, 6)), (7.99, (0, 2.995, 5.99)), (5, (0, 1.5, 3)), (2, (0, 0, 0)), (1, (0, 0, 0))):
        waveform = sound(seconds, 16_000) + 0.2
        before, ours = waveform.clone(), encoder.audio_clips(waveform)
        wave = waveform.clone()[None]
        for clip, start in zip(ours, starts, strict=True):
            part = wave[:, int(start * 16_000) : int(start * 16_000) + 32_000]
            part -= part.mean()
            options = {"htk_compat": True, "use_energy": False, "window_type": "hanning", "dither": 0.0}
            mel = kaldi.fbank(part, sample_frequency=16_000, num_mel_bins=128, **options).T
            theirs = (nn.functional.pad(mel, (0, 204 - mel.shape[1])) + 4.268) / 9.138
            torch.testing.assert_close(clip[0], theirs, atol=1e-5, rtol=0)
        assert torch.equal(waveform, before)


@pytest.mark.parametrize(("height", "width"), [(240, 426), (360, 224), (500, 300), (100, 150)])
def test_frames_are_seen_in_pairs_and_three_crops(encoder, height, width):
    v2 = pytest.importorskip("torchvision.transforms.v2")
    frames = torch.cat([picture(height, width).roll(shift, 3) for shift in range(4)])
    ours = encoder.video_clips(frames)
    assert ours.shape == (9, 3, 2, 224, 224)
    resized = v2.Resize(224, interpolation=v2.InterpolationMode.BICUBIC)(frames)
    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    pixels = v2.Normalize(mean, std)(v2.ToDtype(torch.float32, scale=True)(resized))
    long = max(pixels.shape[-2:])
    for number, start in enumerate((0, -((224 - long) // 2), long - 224)):
        crop = pixels.narrow(2 if height > width else 3, start, 224)
        for pair in range(3):
            torch.testing.assert_close(
                ours[3 * pair + number], crop[pair : pair + 2].transpose(0, 1), atol=1e-6, rtol=0
            )


def test_the_frames_are_those_of_every_second_second(encoder):
    frames = torch.cat([picture(224, 224).roll(shift, 3) for shift in range(8)])
    encoder.encode_video([frames, frames[:3], frames[:1]])
    shown = [given for _, given in encoder.module.given]
    assert [given.shape[1] for given in shown] == [9, 3, 3]
    assert torch.equal(shown[0][0], encoder.video_clips(frames[[1, 3, 5, 7]]))
    assert torch.equal(shown[1][0, :, :, 0], shown[1][0, :, :, 1])  # a picture, twice
    assert torch.equal(shown[2][0, 0, :, 0], encoder.video_clips(frames[:1])[0, :, 0])


def test_it_is_a_joint_encoder_with_the_digest_of_its_weights(encoder):
    handle, other = load_encoder(encoder), StandIn()
    with torch.no_grad():
        other.weight += 1
    assert handle.modalities == ("video", "text", "audio")
    assert handle.name.startswith("imagebind@")
    assert handle.name != ImageBind(other).name
    assert not any(parameter.requires_grad for parameter in handle.on(CPU).parameters())
    for modality, batch in {
        "video": [picture(224, 300), picture(224, 224)],
        "text": ["a dog barks", "rain", "a toilet", "BBQ", "a bell"],
        "audio": [sound(3, 16_000), sound(8, 16_000), torch.zeros(1)],
    }.items():
        rows = handle.encode(modality, batch, CPU)
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(batch)))
        for place, item in enumerate(batch):
            assert torch.equal(handle.encode(modality, [item], CPU)[0], rows[place])
    assert handle.remark("text", ["a dog " * 80], CPU) == {0: "has 162 tokens and is cut to 77"}


def test_another_module_is_named():
    with pytest.raises(TypeError, match=r"^Expected ImageBindModel with its modality_heads, got Linear"):
        ImageBind(nn.Linear(1, 1))
