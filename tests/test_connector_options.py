"""A connector's options, the example config, and the files that heads are saved to."""

import json
import math
import re
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

pytest.importorskip("safetensors")
pytest.importorskip("lightning")
import yaml
from safetensors import safe_open

from torchmetrics_majorscore.encoders.checkpoints import find_weights
from torchmetrics_majorscore.encoders.cmcr import Heads, load_heads
from torchmetrics_majorscore.training.config import ConnectorOptions
from torchmetrics_majorscore.training.connector import Embeddings, save_heads, train_connector

EXAMPLE = Path(__file__).parents[1] / "docs/connect.yaml"


def test_the_example_names_every_option_with_its_default(tmp_path):
    example = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    assert set(example) == {"clip", "clap", "texts", "images", "audios", "output", "recipe"}
    recipe = {name: tuple(value) if isinstance(value, list) else value for name, value in example["recipe"].items()}
    assert recipe == vars(ConnectorOptions())


def units(rows, width):
    return normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(rows)), dim=-1)


def test_saved_heads_are_those_of_the_public_layout(tmp_path):
    unit = units(8, 512), units(3, 512), units(4, 512)
    heads = train_connector(Embeddings(unit[0], unit[0].flip(1), *unit[1:]), ConnectorOptions(steps=1), progress=False)
    save_heads(heads, tmp_path / "new", {"encoders": {"clip": "clip@1"}})
    saved = torch.load(tmp_path / "new/clap_clip.pt", weights_only=True)
    assert type(saved) is dict
    assert saved.keys() == Heads().state_dict().keys()
    assert len(saved) == 28
    path = tmp_path / "new/clap_clip.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata["recipe"]) == {"encoders": {"clip": "clip@1"}}
    assert re.fullmatch("[0-9a-f]{8} [0-9a-f]{64}", f"{metadata['heads']} {metadata['pt_sha256']}")
    for _ in ("safetensors", "pt"):
        loaded = load_heads(find_weights(["heads"], tmp_path / "new")).state_dict()
        assert all(torch.equal(loaded[name], tensor) for name, tensor in heads.state_dict().items())
        path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "temperature": (0, -1.0, math.nan, True, "0.1"),
        "noise_variance": (-0.1, math.inf),
        "batch_size": (1, 2.0, True),
        "steps": (0,),
        "enhancement": (1, "no"),
        "inter": ((), ("text", "text"), "text", ("audio",), ([],)),
    }.items(),
)
def test_bad_options_are_named(name, values):
    for value in values:
        with pytest.raises(ValueError, match=rf"^Expected {name} to be .*, got {re.escape(repr(value))}\.$"):
            ConnectorOptions(**{name: value})


def test_bad_embeddings_are_named():
    good = {"text_clip": units(4, 6), "text_clap": units(4, 5), "image": units(3, 6), "audio": units(2, 5)}
    bad_shapes = {"text_clap": units(3, 5), "image": units(3, 5), "audio": units(2, 6), "text_clip": units(4, 6)[0]}
    for name, tensor in (*bad_shapes.items(), ("audio", units(0, 5))):
        with pytest.raises(ValueError, match=r"^Expected \(N, clip\), .* got \{'text_clip': "):
            Embeddings(**{**good, name: tensor})
    for tensor in (2 * good["image"], good["image"].double(), good["image"] * math.nan):
        with pytest.raises(ValueError, match=r"^Expected image as float32 of unit norm, got torch"):
            Embeddings(**{**good, "image": tensor})
