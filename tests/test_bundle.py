"""The recipe of ``c-mcr-tiny``, in a few steps, and the demo in miniature."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.training import bundle, towers
from torchmetrics_majorscore.training.bundle import BundleOptions, train_bundle
from torchmetrics_majorscore.training.world.scene import unseen

CPU = torch.device("cpu")
FEW = BundleOptions(
    replace(bundle.CLIP, steps=2, renders=1, wordings=2),
    replace(bundle.CLAP, steps=2, renders=1, wordings=2),
    replace(bundle.CONNECTOR, steps=2, batch_size=64),
    texts=1,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train, and record which scenes are seen, heard and read."""
    patch, seen, heard, read = pytest.MonkeyPatch(), [], [], []

    def recording(render, into):
        def recorded(scenes, *args):
            into.extend(scenes)
            return render(scenes, *args)

        return recorded

    patch.setattr(towers, "frame_at", recording(towers.frame_at, seen))
    patch.setattr(towers, "render_sounds", recording(towers.render_sounds, heard))
    patch.setattr(bundle, "tokens_of", recording(towers.tokens_of, read))
    folder = tmp_path_factory.mktemp("bundle")
    try:
        embeddings = train_bundle(folder, FEW)
    finally:
        patch.undo()
    return folder, embeddings, seen, heard, read


def test_nothing_is_ever_seen_and_heard(trained):
    _, embeddings, seen, heard, read = trained
    ids = [{scene.id for scene in scenes} for scenes in (seen, heard)]
    assert [len(part) for part in ids] == [144, 144]
    assert ids[0].isdisjoint(ids[1])
    connector = [scene.id for scene in read if scene.id not in ids[0] | ids[1]]
    assert len(connector) == 144
    assert {scene.combination for scene in [*seen, *heard, *read]} == set(unseen("train"))
    assert (len(embeddings.image), len(embeddings.audio), len(embeddings.text_clip)) == (144, 144, 144)


def test_what_was_trained_can_be_loaded_and_is_reproducible(trained, tmp_path):
    folder = trained[0]
    assert load_encoder("c-mcr-tiny", weights=folder).encode("text", ["a bell"], CPU).shape == (1, 128)
    train_bundle(tmp_path, FEW)
    for name in ("clip.safetensors", "clap.safetensors", "clap_clip.safetensors"):
        first, second = load_file(folder / name), load_file(tmp_path / name)
        assert first.keys() == second.keys()
        for key, tensor in first.items():
            torch.testing.assert_close(tensor, second[key], rtol=0, atol=1e-3)
