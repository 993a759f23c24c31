"""Wav2CLIP's tower of sounds: numbers of the original, and the same bits in every batch."""

import pytest
import torch
from signals import sound

from torchmetrics_majorscore.encoders import wav2clip
from torchmetrics_majorscore.encoders.checkpoints import Weights, find_weights

# The first values of the original's embeddings, normalised: wav2clip.model.encoder.ResNetExtractor of
# descriptinc/lyrebird-wav2clip@1864b39, with the seeded weights and sounds below; made with torchaudio 2.11.1.
GOLDEN = {
    2: [0.0059163, -0.1597798, 0.0118825, -0.0534903, 0.0753792, -0.0615407],
    10.3: [-0.0093652, -0.1576291, -0.0037903, -0.0198351, 0.0425919, -0.058293],
}


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wav2clip")
    source = wav2clip.load_tower(Weights("seeded", seeded=True)).network.state_dict()
    others = {wav2clip.WINDOW: torch.hann_window(512), "image_transform.sequential.0.weight": torch.zeros(2)}
    torch.save(source | others, folder / "Wav2CLIP.pt")
    return wav2clip.load_tower(find_weights(["wav2clip"], folder))


@pytest.fixture(scope="module")
def encoder(tower):
    return wav2clip.Wav2CLIP(torch.nn.Identity(), tower, "wav2clip@here")


def test_sounds_are_those_of_the_original(encoder):
    for seconds, values in GOLDEN.items():
        ours = encoder.encode_audio([sound(seconds, 16_000)])[0]
        torch.testing.assert_close(ours[:6], torch.tensor(values), atol=1e-5, rtol=0)


def test_a_sound_does_not_depend_on_its_neighbours(encoder):
    batch = [sound(1, 16_000), 0.01 * sound(1, 16_000, seed=1), torch.ones(3), torch.zeros(700), sound(2, 16_000)]
    whole = encoder.encode_audio(batch)
    torch.testing.assert_close(whole.norm(dim=1), torch.ones(5))
    assert torch.equal(encoder.encode_audio([[batch[0][:7000], batch[0][7000:]]])[0], whole[0])
    assert torch.equal(encoder.encode_audio(batch[1:])[0], whole[1])
    assert whole.unique(dim=0).shape == whole.shape


def test_a_checkpoint_that_lacks_a_tensor_is_named(tmp_path):
    tensors = wav2clip.SoundTower(4).network.state_dict()
    torch.save(tensors, tmp_path / "Wav2CLIP.pt")
    with pytest.raises(ValueError, match=r"Expected 'audio_encoder.*' of Wav2CLIP.pt to have shape"):
        wav2clip.load_tower(find_weights(["wav2clip"], tmp_path))
