"""The joint encoder in the package, ``c-mcr-tiny``, as every metric meets it."""

import pickle
import subprocess
import sys
import warnings

import pytest
import torch

from torchmetrics_majorscore import CLIPCLAPScore, MAJORScore
from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.encoders.table import BUNDLE
from torchmetrics_majorscore.functional import major_score
from torchmetrics_majorscore.statistics.consistency import auroc, derange
from torchmetrics_majorscore.training.world.captions import caption
from torchmetrics_majorscore.training.world.scene import draw_scenes, unseen
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import SAMPLE_RATE, render_sounds

pytest.importorskip("ftfy")
CPU = torch.device("cpu")
RAW = {"sample_rate": SAMPLE_RATE, "fps": 1.0}


@pytest.fixture(scope="module")
def world():
    scenes = draw_scenes(unseen("test") * 3, 0, "test")
    texts = [caption(scene, "test") for scene in scenes]
    return [scene.kind for scene in scenes], render_frames(scenes), texts, render_sounds(scenes)


def test_bundle_is_small_and_says_what_it_is():
    assert sum(path.stat().st_size for path in BUNDLE.iterdir()) <= 5_000_000
    assert {path.suffix for path in BUNDLE.iterdir()} <= {".safetensors", ".json", ".gz", ".md"}
    assert "nothing outside" in (BUNDLE / "README.md").read_text().replace("\n", " ")


def test_it_loads_without_a_network(monkeypatch):
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise OSError('no network')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "import torch\nfrom torchmetrics_majorscore.encoders import load_encoder\n"
        "print(load_encoder('c-mcr-tiny').encode('text', ['a small bell'], torch.device('cpu')).shape)\n"
    )
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "torch.Size([1, 128])", run.stderr


def test_it_tells_consistent_from_mispaired_scenes_that_no_model_ever_saw(world):
    kinds, frames, texts, sounds = world
    order = derange(kinds, seed=0)

    def scores(metric, texts, sounds):
        metric.update(video=frames, text=texts, audio=sounds)
        rows = metric.rows()
        return {name: values.double() for name, values in rows.items() if name != "id"}

    own = scores(MAJORScore(encoder="c-mcr-tiny", **RAW), texts, sounds)
    other = scores(MAJORScore(encoder="c-mcr-tiny", **RAW), [texts[row] for row in order], sounds[order])
    for pair in ("video-text", "video-audio"):  # captions and sounds move together: their pair stays
        assert auroc(own[pair].numpy(), other[pair].numpy()) > 0.9
    both = [torch.stack([rows["video-text"], rows["text-audio"]], dim=-1) for rows in (own, other)]
    assert major_score(both[0], "average").mean() > major_score(both[1], "average").mean()
    baseline = CLIPCLAPScore("average", "clip-tiny", "clap-tiny", **RAW)
    assert auroc(scores(baseline, texts, sounds)["video-text"].numpy(), other["video-text"].numpy()) > 0.9


def test_the_same_bits_for_any_batch_split(world):
    _, frames, texts, sounds = world
    encoder = load_encoder("c-mcr-tiny").on(CPU)
    for encode, batch in (
        (encoder.encode_video, list(frames[:20])),
        (encoder.encode_text, texts[:20]),
        (encoder.encode_audio, list(sounds[:20])),
    ):
        whole = encode(batch)
        torch.testing.assert_close(whole.norm(dim=-1), torch.ones(20))
        assert torch.equal(torch.cat([encode(batch[:3]), encode(batch[3:4]), encode(batch[4:])]), whole)


def test_a_copy_in_another_folder_is_the_same_and_has_its_own_key(tmp_path):
    for path in BUNDLE.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    packaged, copied = load_encoder("c-mcr-tiny"), load_encoder("c-mcr-tiny", weights=tmp_path)
    assert packaged.name == copied.name
    assert packaged.portable_key == copied.portable_key
    assert pickle.loads(pickle.dumps(packaged)) is packaged
    assert str(BUNDLE).encode() not in pickle.dumps(packaged)
    (tmp_path / "clap.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks clap\.safetensors"):
        load_encoder("c-mcr-tiny", weights=tmp_path)


@pytest.mark.parametrize(
    ("what", "match"),
    [
        (
            {"video": torch.zeros(1, 1, 3, 90, 160, dtype=torch.uint8)},
            r"pictures of 64 x 64 pixels or .*, got 160 x 90",
        ),
        ({"text": ["a dog in a car"]}, r"its \d+ words, got 'car'"),
        ({"audio": torch.rand(1, 10 * SAMPLE_RATE) - 0.5}, r"sounds of 4 s, got 10\.0 s"),
    ],
)
def test_of_real_recordings_it_says_once_that_it_knows_nothing(tmp_path, world, what, match):
    for path in BUNDLE.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    _, frames, texts, sounds = world
    metric = MAJORScore(encoder=load_encoder("c-mcr-tiny", weights=tmp_path), **RAW)
    metric.update(video=frames[:1], text=texts[:1], audio=sounds[:1])  # warnings are errors in tests
    inputs = {"video": frames[1:2], "text": texts[1:2], "audio": sounds[1:2]} | what
    with pytest.warns(UserWarning, match=f"is not of the embedded world, all that c-mcr-tiny knows .*{match}"):
        metric.update(**inputs)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*embedded world")
        metric.update(**inputs)
