"""``connect``: from a config and files to heads. Embeddings are kept, and sound and picture are never read together."""

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from media_files import sine, write_sound
from PIL import Image
from tiny import TinyEncoder

pytest.importorskip("safetensors")
pytest.importorskip("lightning")
import yaml
from safetensors import safe_open
from safetensors.torch import load_file

from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.table import ENCODERS, NamedEncoder
from torchmetrics_majorscore.media.decoding import Decoding
from torchmetrics_majorscore.training.config import read_config
from torchmetrics_majorscore.training.memories import connect, encode_pieces

CLIPS = Path(__file__).parents[1] / "docs/clips"
RECIPE = {"steps": 2, "batch_size": 4, "hidden": 8, "dim": 4}


class Listing:
    """An encoder that lists what it is given."""

    def __init__(self, name, dim):
        self.name, self.modalities, self.sample_rate, self.given = f"{name}@0", ("video", "text", "audio"), 16_000, []
        self.encoder = TinyEncoder(dim=dim).eval().requires_grad_(False)

    def __getattr__(self, method):
        if not method.startswith("encode_"):
            raise AttributeError(method)

        def encode(batch):
            self.given += [(method, sample if isinstance(sample, str) else tuple(sample.shape)) for sample in batch]
            return getattr(self.encoder, method)(batch)

        return encode

    def of(self, modality):
        return [sample for method, sample in self.given if method == f"encode_{modality}"]


@dataclass(frozen=True)
class Named(NamedEncoder):
    encoder: Any = None

    def find_weights(self, weights):
        return Weights(f"{self.encoder.name} {id(self.encoder)}")

    def build(self, weights, pool):
        return self.encoder


@pytest.fixture
def encoders(monkeypatch):
    given = {"clip": Listing("small-clip", 16), "clap": Listing("small-clap", 12)}
    for (name, encoder), modalities in zip(given.items(), (("video", "text"), ("text", "audio")), strict=True):
        monkeypatch.setitem(ENCODERS, f"small-{name}", Named("", modalities, (), sample_rate=16_000, encoder=encoder))
    return given


@pytest.fixture
def project(tmp_path, encoders):
    """A config beside captions, pictures and sounds; the clips of docs/, which have both, stand in both folders."""
    for folder, names in (("pictures", ("ball", "disc")), ("sounds", ("disc", "noise"))):
        (tmp_path / folder).mkdir()
        for name in names:
            shutil.copy(CLIPS / f"{name}.mp4", tmp_path / folder)
    Image.new("RGB", (20, 16), "red").save(tmp_path / "pictures/still.png")
    write_sound(tmp_path / "sounds/tone.wav", "pcm_s16le", (9000 * sine(8000, 2)).astype("i2"), 8000)
    (tmp_path / "captions.txt").write_text("a tone\n\n  a dog barks \nhissing\na tone\n", encoding="utf-8")
    config = {name: {"encoder": f"small-{name}"} for name in ("clip", "clap")}
    config |= {"texts": ["captions.txt", str(CLIPS / "manifest.csv")], "images": "pictures", "audios": ["sounds"]}
    config |= {"output": "out", "recipe": RECIPE}
    return config


def run(folder, config):
    (folder / "connect.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return connect(folder / "connect.yaml")


def rows(folder, name):
    return load_file(folder / f"out/memories/{name}.safetensors")["rows"]


def calls(encoders):
    return {
        f"{name} {modality}": len(encoders[name].of(modality))
        for name in encoders
        for modality in ("text", "video", "audio")
    }


def test_files_become_heads(tmp_path, project, encoders):
    assert run(tmp_path, project) == tmp_path / "out"
    texts = ["a tone", "a dog barks", "hissing", "a ball bouncing", "a tone rising"]
    assert encoders["clip"].of("text") == encoders["clap"].of("text") == texts
    assert [shape[0] for shape in encoders["clip"].of("video")] == [3, 3, 1]  # a frame per second, and a picture
    assert encoders["clap"].of("audio")[2] == (16_000,)  # mono, at the encoder's rate
    assert encoders["clip"].of("audio") == encoders["clap"].of("video") == []
    for name, count, dim in (("text_clip", 5, 16), ("text_clap", 5, 12), ("image", 3, 16), ("audio", 3, 12)):
        assert rows(tmp_path, name).shape == (count, dim)
    whole = encoders["clap"].encoder.encode_text(texts)
    torch.testing.assert_close(rows(tmp_path, "text_clap"), whole)
    heads = torch.load(tmp_path / "out/clap_clip.pt", weights_only=True)
    assert heads["Head_A.net1.0.weight"].shape == (8, 12)
    assert heads["Head_B.net1.0.weight"].shape == (8, 16)
    with safe_open(tmp_path / "out/clap_clip.safetensors", "pt") as file:
        recipe = json.loads(file.metadata()["recipe"])
    assert recipe["encoders"] == {"clip": "small-clip@0", "clap": "small-clap@0"}
    assert recipe["options"].items() >= RECIPE.items()
    assert recipe["rows"] == {"text_clip": 5, "text_clap": 5, "image": 3, "audio": 3}


def test_embeddings_are_kept_until_an_input_changes(tmp_path, project, encoders):
    run(tmp_path, project)
    first, heads = calls(encoders), (tmp_path / "out/clap_clip.pt").read_bytes()
    run(tmp_path, project)
    assert calls(encoders) == first
    assert (tmp_path / "out/clap_clip.pt").read_bytes() == heads
    run(tmp_path, {**project, "recipe": {**RECIPE, "seed": 1}})
    assert calls(encoders) == first
    assert (tmp_path / "out/clap_clip.pt").read_bytes() != heads

    def again(*names, **changed):
        before = calls(encoders)
        run(tmp_path, {**project, **changed})
        assert {name for name, count in calls(encoders).items() if count != before[name]} == set(names)

    again("clip text", "clap text", texts="captions.txt")
    stamp = (tmp_path / "sounds/tone.wav").stat()
    write_sound(tmp_path / "sounds/tone.wav", "pcm_s16le", (999 * sine(8000, 2)).astype("i2"), 8000)
    os.utime(tmp_path / "sounds/tone.wav", ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    again("clap audio", texts="captions.txt")
    (tmp_path / "pictures/still.png").rename(tmp_path / "pictures/other.png")
    again("clip video", texts="captions.txt")
    encoders["clap"].name = "small-clap@1"
    again("clap text", "clap audio", texts="captions.txt")
    (tmp_path / "out/memories/image.safetensors").write_bytes(b"cut off")
    again("clip video", texts="captions.txt")


def test_pictures_are_read_without_sound_and_sounds_without_pictures(tmp_path, project, monkeypatch):
    decoded = []
    frames = Decoding.frames

    def note(self, *arguments, **options):
        decoded.append((self.path.parent.name, self.stream.type))
        return frames(self, *arguments, **options)

    monkeypatch.setattr(Decoding, "frames", note)
    run(tmp_path, project)
    assert sorted(decoded) == [("pictures", "video")] * 3 + [("sounds", "audio")] * 3


def test_a_manifest_that_pairs_gives_two_lists(tmp_path, project, encoders):
    """Two files of one row stand in two memories; a window holds for both, and a repeated piece is read once."""
    lines = ["id,video,audio,text,start,end"]
    lines += [
        f"{n},pictures/ball.mp4,sounds/{name},x,0,{end}"
        for n, (name, end) in enumerate((("tone.wav", 1), ("disc.mp4", 1)))
    ]
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    run(tmp_path, {**project, "images": "pairs.csv", "audios": "pairs.csv"})
    assert [shape[0] for shape in encoders["clip"].of("video")] == [1]
    assert encoders["clap"].of("audio") == [(16_000,), (16_000,)]


def test_an_unreadable_file_is_named_and_the_rest_goes_on(tmp_path, project, encoders):
    (tmp_path / "pictures/broken.jpg").write_bytes(b"no picture")
    loud = tmp_path / "sounds/loud.wav"
    write_sound(loud, "pcm_f32le", 9000 * sine(8000).astype("f4"), 8000)
    for _ in range(2):  # what is kept says it again
        with pytest.warns(UserWarning, match="Left out of the") as caught:
            run(tmp_path, project)
        named = [str(warning.message) for warning in caught]
        assert len(named) == 2
        assert re.match(r"Left out of the image embeddings: .*broken\.jpg", named[0])
        assert re.match(r"Left out of the audio embeddings: .*loud\.wav, got a peak of 4\d{3}\.", named[1])
    for name in ("image", "audio"):
        assert rows(tmp_path, name).isnan().all(dim=-1).tolist().count(True) == 1
        assert len(rows(tmp_path, name)) == 4
    assert len(encoders["clap"].of("audio")) == 3
    shutil.rmtree(tmp_path / "pictures")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/broken.jpg").write_bytes(b"no picture")
    with pytest.warns(UserWarning, match="broken"), pytest.raises(ValueError, match="image embeddings, got none of 1"):
        run(tmp_path, project)


def test_what_an_encoder_refuses_is_named_and_the_rest_goes_on():
    """A reason of an encoder names no file; the others of its batch keep their rows."""

    def encode(batch):
        if any(len(text) < 3 for text in batch):
            raise ValueError("Expected at least 3 letters.")
        return torch.tensor([[float(len(text))] for text in batch])

    encoder = SimpleNamespace(fps=1.0, modalities=("text",), encode=lambda modality, batch, device: encode(batch))
    made, left_out = encode_pieces(encoder, "text", ["a dog", "x", "a tone"])
    assert made.nan_to_num(-1.0).tolist() == [[5.0], [-1.0], [6.0]]
    assert left_out == ["'x': Expected at least 3 letters."]


BAD = {
    "clap": ({"encoder": "small-clip"}, "clap: Expected encoder to be one of .* for text and audio, got 'small-clip'"),
    "clip": ({"encoder": "clip", "weights": "nowhere"}, "clip: Expected weights to be a folder .*nowhere"),
    "texts": (None, "Expected a value for texts, got none"),
    "images": ([3], "images: Expected a path, got 3"),
    "audios": ("silence", "audios: Expected a manifest and its folder, got no .*silence"),
    "output": (["a"], r"output: Expected a path, got \['a'\]"),
    "recipe": ({"seeds": 1}, "recipe: Expected keys out of temperature, .*, got 'seeds'"),
    "outputs": ("a", "Expected keys out of clip, .*, got 'outputs'"),
}


@pytest.mark.parametrize(("key", "value", "message"), [(key, *bad) for key, bad in BAD.items()])
def test_a_mistake_in_the_config_is_one_line_with_the_key(tmp_path, project, key, value, message):
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/connect\.yaml: {message}[^\n]*$"):
        run(tmp_path, {**project, key: value})


def test_numbers_and_lists_as_yaml_has_them(tmp_path, project):
    (tmp_path / "connect.yaml").write_text(
        yaml.safe_dump(project).replace("steps: 2", "learning_rate: 2e-3\n  inter: [memory]")
    )
    options = read_config(tmp_path / "connect.yaml").options
    assert (options.learning_rate, options.inter) == (0.002, ("memory",))
    (tmp_path / "connect.yaml").write_text("clip: [")
    with pytest.raises(ValueError, match=r"^Expected YAML in .*connect\.yaml, got [^\n]*$"):
        read_config(tmp_path / "connect.yaml")
