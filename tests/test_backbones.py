"""Backbones of kept libraries: each is its library's own forward up to the classifier, by name, from files, refused."""

import hashlib
from dataclasses import replace

import pytest
import torch
from hub import Hub, point_at
from signals import CPU, picture, sound
from test_vggish import SMALL

pytest.importorskip("torchvision")
pytest.importorskip("transformers")
from torchmetrics_majorscore import load_encoder
from torchmetrics_majorscore.cli.main import main
from torchmetrics_majorscore.encoders import backbones
from torchmetrics_majorscore.encoders.backbones import BERT, SPECIAL_TOKENS, VOCABULARY, VGGishMean
from torchmetrics_majorscore.encoders.base import clean_build, seed_weights
from torchmetrics_majorscore.encoders.download import download
from torchmetrics_majorscore.encoders.public import CHECKPOINTS
from torchmetrics_majorscore.encoders.table import BACKBONES
from torchmetrics_majorscore.encoders.vggish import VGGish

TEXTS = ["A dog barks.", "unbelievable rain on a tin roof"]


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Small batches are slower on several threads."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every public file with seeded weights in its own layout."""
    from torchvision.models import resnet50
    from torchvision.models.video import s3d
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("weights")
    own = folder / "bert_uncased_L-4_H-512_A-8"
    own.mkdir()
    with clean_build():
        networks = {"resnet50": resnet50(), "s3d": s3d(), "bert": BertModel(BertConfig(**BERT))}
        for number, network in enumerate(networks.values()):
            seed_weights(network, number)
    torch.save(networks["resnet50"].state_dict(), folder / "resnet50-11ad3fa6.pth")
    torch.save(networks["s3d"].state_dict(), folder / "s3d-d76dad2f.pth")
    older = {
        f"bert.{name.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta')}": part
        for name, part in networks["bert"].state_dict().items()
    }
    more = {"cls.predictions.bias": torch.zeros(3), "bert.embeddings.position_ids": torch.arange(512)[None]}
    torch.save(older | more, own / "pytorch_model.bin")
    words = "a dog bark ##s . rain on tin roof un ##believ ##able".split()  # noqa: SIM905
    words = [*SPECIAL_TOKENS, *words]
    fill = [f"[unused{number}]" for number in range(VOCABULARY - len(words))]
    (own / "vocab.txt").write_text("\n".join([*words, *fill]))
    return folder, {name: network.eval() for name, network in networks.items()}


def test_resnet50(folder):
    from torchvision.models import ResNet50_Weights

    place, networks = folder
    encoder = load_encoder("resnet50", weights=place)
    pictures = [picture(64, 96)[0], picture(300, 240)[0]]
    prepared = torch.stack([ResNet50_Weights.DEFAULT.transforms()(one) for one in pictures])
    seen = []
    with torch.no_grad(), networks["resnet50"].avgpool.register_forward_hook(lambda *args: seen.append(args[2])):
        networks["resnet50"](prepared)
    got = encoder.encode("image", pictures, CPU)
    assert got.shape == (2, 2048)
    torch.testing.assert_close(got, seen[0].flatten(1))
    assert torch.equal(encoder.encode("image", pictures[1:], CPU)[0], got[1])
    assert encoder.name.startswith("resnet50@")


def test_s3d(folder, monkeypatch):
    from torchvision.models.video import S3D_Weights

    place, networks = folder
    encoder = load_encoder("s3d", weights=place)
    assert encoder.fps == 15
    video = torch.stack([picture(64, 96)[0].roll(step, dims=2) for step in range(14)])
    seen = []
    with torch.no_grad(), networks["s3d"].avgpool.register_forward_hook(lambda *args: seen.append(args[2])):
        networks["s3d"](S3D_Weights.DEFAULT.transforms()(video)[None])
    got = encoder.encode("video", [video], CPU)
    assert got.shape == (1, 1024)
    torch.testing.assert_close(got, seen[0].mean(dim=(2, 3, 4)))
    monkeypatch.setattr(backbones, "LONGEST", 14)  # longer ones are seen in parts
    torch.testing.assert_close(encoder.encode("video", [torch.cat([video, video])], CPU), got)
    with pytest.raises(ValueError, match=r"Expected at least 14 frames of video for S3D at 15 per second, got 13"):
        encoder.encode("video", [video[:13]], CPU)


def test_bert_small(folder):
    place, networks = folder
    encoder = load_encoder("bert-small", weights=place)
    got = encoder.encode("text", TEXTS, CPU)
    assert got.shape == (2, 512)
    words = (place / "bert_uncased_L-4_H-512_A-8" / "vocab.txt").read_text().splitlines()
    pieces = ["[CLS] a dog bark ##s . [SEP]", "[CLS] un ##believ ##able rain on a tin roof [SEP]"]
    for row, tokens in zip(got, pieces, strict=True):
        with torch.no_grad():
            ids = torch.tensor([[words.index(token) for token in tokens.split()]])
            torch.testing.assert_close(row, networks["bert"](ids).pooler_output[0])
    assert encoder.encode("text", ["a " * 600], CPU).isfinite().all()  # cut at 512 tokens


def test_vggish():
    with clean_build():
        network = VGGish(*SMALL)
        seed_weights(network)
    encoder = VGGishMean(network)
    sounds = [sound(1.0, rate=16_000), sound(2.3, rate=16_000, seed=1)]
    own = network.encode_audio(sounds)["features"]
    assert [len(rows) for rows in own] == [1, 2]
    torch.testing.assert_close(encoder.encode_audio(sounds), torch.stack([rows.mean(dim=0) for rows in own]))
    with pytest.raises(ValueError, match=r"Expected at least 0.975 s of sound, got 0.500 s"):
        encoder.encode_audio([sounds[0][:8000]])


@pytest.fixture
def hub(monkeypatch, tmp_path):
    pytest.importorskip("huggingface_hub")
    server = Hub()
    yield point_at(server, monkeypatch, tmp_path)
    server.shutdown()
    server.server_close()


def test_their_files_are_downloaded_and_used(folder, hub, monkeypatch, tmp_path, capsys):
    place, _ = folder
    monkeypatch.setattr(VGGish.__init__, "__defaults__", SMALL)
    with clean_build():
        small = VGGish()
        seed_weights(small)
    torch.save(small.state_dict(), place / "vggish-10086976.pth")
    files = [file for entry in BACKBONES.values() for file in entry.files]
    for file in files:
        checkpoint = CHECKPOINTS[file]
        (path,) = (place / name for name in checkpoint.names if (place / name).is_file())
        monkeypatch.setitem(CHECKPOINTS, file, hub.serve(checkpoint, path.read_bytes()))
    monkeypatch.setitem(CHECKPOINTS, "s3d", replace(CHECKPOINTS["s3d"], sha256="0123abcd"))  # as torchvision names it
    with pytest.raises(ValueError, match=r"digest of the public s3d-d76dad2f.pth \(sha256 0123abcd\)"):
        load_encoder("s3d").on(CPU)
    own = hashlib.sha256((place / "s3d-d76dad2f.pth").read_bytes()).hexdigest()[:8]
    monkeypatch.setitem(CHECKPOINTS, "s3d", replace(CHECKPOINTS["s3d"], sha256=own))
    hub.sent.clear()
    assert main(["weights", "get", "resnet50", "s3d"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    for name in BACKBONES:
        assert load_encoder(name).name == load_encoder(name, weights=place).name
    assert len(hub.sent) == len(files) == 5
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert all(download(CHECKPOINTS[file]).is_file() for file in files)


def test_seeded_ones_need_no_file_and_what_is_refused(tmp_path, folder):
    encoder = load_encoder("bert-small", weights="seeded")
    one, other = encoder.encode("text", TEXTS, CPU)
    assert not torch.allclose(one, other)
    assert encoder.name.startswith("bert-small-seeded@")
    with pytest.raises(FileNotFoundError, match=r"lacks resnet50-11ad3fa6.safetensors or resnet50-11ad3fa6.pth"):
        load_encoder("resnet50", weights=tmp_path)
    own = tmp_path / "bert_uncased_L-4_H-512_A-8"
    own.mkdir()
    (own / "vocab.txt").write_text("[PAD]\n")
    (own / "pytorch_model.bin").symlink_to(folder[0] / own.name / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"Expected 30522 tokens in .*vocab.txt, got 1"):
        load_encoder("bert-small", weights=tmp_path).on(CPU)
