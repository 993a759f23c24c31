"""Late fusion from files: a manifest of items with link rot, a YAML config, and the command."""

import csv
import io
import json
import logging
from pathlib import Path

import pytest
import torch

pytest.importorskip("lightning")
pytest.importorskip("av")
from torchmetrics_majorscore import load_encoder
from torchmetrics_majorscore.cli.main import main
from torchmetrics_majorscore.training.fusion import files
from torchmetrics_majorscore.training.fusion.files import fuse_files
from torchmetrics_majorscore.training.fusion.manifest import read_items
from torchmetrics_majorscore.training.fusion.options import MODALITIES, FusionOptions

XMEDIANET = {"text": (40_000, 40_000), "image": (40_000, 35_268), "audio": (10_000, 8_280), "video": (10_000, 7_876)}


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Small matrices are slower on several threads."""


def write_items(path, rows, columns=("modality", "file", "text", "class")):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def small(tmp_path, classes=("bell", "frog", "horn"), each=4):
    rows = []
    for label in classes:
        for number in range(each):
            for name in MODALITIES:
                file = tmp_path / f"{label}_{name}_{number}.bin"
                file.write_text(label)
                rows.append((name, "" if name == "text" else file.name, f"a {label} {number}", label))
    return write_items(tmp_path / "items.csv", rows)


def test_the_link_rot_of_xmedianet(tmp_path, monkeypatch):
    rows = [(name, f"{name}/{n}", "", f"c{n % 200}") for name, (count, _) in XMEDIANET.items() for n in range(count)]
    left = {f"{name}/{n}" for name, (_, count) in XMEDIANET.items() for n in range(count)}
    monkeypatch.setattr(Path, "is_file", lambda path: "/".join(path.parts[-2:]) in left)
    monkeypatch.setattr(Path, "read_text", lambda path, **_: "a text")
    items, counts = read_items(write_items(tmp_path / "items.csv", rows))
    shares = [round(100 * counts[name].share, 1) for name in ("image", "video", "audio", "text")]
    assert shares == [88.2, 78.8, 82.8, 100.0]
    assert {name: (c.listed, c.there) for name, c in counts.items()} == XMEDIANET
    assert counts["audio"].classes == 200
    assert len(items) == sum(there for _, there in XMEDIANET.values())


def test_the_split_is_drawn_in_each_class_and_modality(tmp_path):
    path = small(tmp_path, each=10)
    items, _ = read_items(path)
    for label in ("bell", "frog", "horn"):
        for name in MODALITIES:
            own = [item.split for item in items if (item.label, item.modality) == (label, name)]
            assert (own.count("validation"), own.count("test"), own.count("train")) == (1, 2, 7)
    assert items == read_items(path)[0]
    assert items != read_items(path, seed=1)[0]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            ("smell", "a.wav", "", "c"),
            "Expected a modality out of text, image, .*, line 2, got 'smell'",
        ),
        (("audio", "", "a text", "c"), "Expected a class and a file or a text in .*, line 2"),
        (("text", "", "a text", ""), "Expected a class and a file or a text in .*, line 2"),
    ],
)
def test_bad_manifests(tmp_path, row, message):
    with pytest.raises(ValueError, match=message):
        read_items(write_items(tmp_path / "items.csv", [row]))
    with pytest.raises(ValueError, match="Expected columns modality, class and file or text in"):
        read_items(write_items(tmp_path / "other.csv", [row], ("a", "b", "c", "d")))
    with pytest.raises(ValueError, match=r"Expected a split out of train, validation, test in .*, line 2, got 'dev'"):
        read_items(write_items(tmp_path / "s.csv", [("text", "t", "c", "dev")], ("modality", "text", "class", "split")))


CONFIG = """
items: items.csv
output: fused
backbones:
  text: {encoder: clip-tiny}
  image: {encoder: clip-tiny}
  audio: {encoder: clap-tiny}
  video: {encoder: clip-tiny}
"""
RECIPE = "scenarios: [quad-modal, round-robin]\nseeds: 1\nrecipe: {steps: 4, check_every: 2, batch_size: 3, dim: 8}\n"


def encode(calls):
    def fake(encoder, modality, inputs):
        calls.append((encoder.portable_key, modality, len(inputs)))
        words = [str(one.path if hasattr(one, "path") else one) for one in inputs]
        rows = [torch.randn(128, generator=torch.Generator().manual_seed(len(word))) for word in words]
        return torch.stack(rows), []

    return fake


def test_a_config_is_trained_measured_and_kept(tmp_path, monkeypatch, capsys):
    small(tmp_path)
    (tmp_path / "fuse.yaml").write_text(CONFIG + RECIPE)
    calls = []
    monkeypatch.setattr(files, "encode_pieces", encode(calls))
    assert main(["fuse", str(tmp_path / "fuse.yaml"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"Table I", "Table II", "Table V", "Table VI", "items"} <= found.keys()
    assert "Table III" not in found
    assert [row["recall at"] for row in found["Table V"]][:2] == ["Text → Image", "Text → Audio"]
    means = found["Table V"][-2:]
    assert [row["recall at"] for row in means] == ["Mean", "Mean, published"]
    assert (means[1]["test@1"], means[1]["train@10"]) == (0.10, 0.40)
    assert found["items"][0] == {"modality": "text", "listed": 12, "there": 12, "share": 1.0, "classes": 3}
    assert not found["chosen_on_test"]
    assert len(calls) == 12
    folder = tmp_path / "fused"
    assert "\\begin{tabular}" in (folder / "tables.tex").read_text()
    assert "| Mean, published | 0.100 |" in (folder / "tables.md").read_text()
    saved = folder / "quad-modal" / "seed0" / "late_fusion.safetensors"
    from safetensors import safe_open

    with safe_open(saved, "pt") as file:
        recipe = json.loads(file.metadata()["recipe"])
    assert recipe["backbones"]["audio"] == load_encoder("clap-tiny").name
    assert (recipe["widths"]["text"], recipe["items"]["audio"], recipe["steps"]) == (128, 6, 4)
    assert recipe["options"]["scenario"] == "quad-modal"
    fuse_files(tmp_path / "fuse.yaml", progress=False)
    assert len(calls) == 12  # embeddings are kept


def test_an_item_that_cannot_be_read_is_left_out_and_said(tmp_path, monkeypatch):
    """Also of those that are written twice: the others keep their classes."""
    small(tmp_path)
    (tmp_path / "fuse.yaml").write_text(CONFIG + RECIPE)
    whole = encode([])

    def lossy(encoder, modality, inputs):
        made, _ = whole(encoder, modality, inputs)
        lost = [at for at, one in enumerate(inputs) if modality == "audio" and "frog_audio_0" in str(one.path)]
        made[lost] = float("nan")
        return made, [f"{inputs[at].path}: Expected at least 1 s of sound, got 0.5 s." for at in lost]

    monkeypatch.setattr(files, "encode_pieces", lossy)
    with pytest.warns(UserWarning, match=r"Left out of \w+ audio: .*frog_audio_0\.bin: Expected at least 1 s") as said:
        found, _, _ = fuse_files(tmp_path / "fuse.yaml", progress=False)
    assert len(said) == 1
    assert found.tables["Table V"].notna().any(axis=None)


def test_stopping_on_the_test_is_flagged(tmp_path, monkeypatch, capsys):
    """And Lightning has nothing to say between the command's own lines."""
    small(tmp_path)
    (tmp_path / "fuse.yaml").write_text(CONFIG + RECIPE.replace("dim: 8", "dim: 8, stop_on: test"))
    monkeypatch.setattr(files, "encode_pieces", encode([]))
    noted = io.StringIO()
    handler = logging.StreamHandler(noted)
    logging.getLogger("lightning.pytorch").addHandler(handler)
    assert main(["fuse", str(tmp_path / "fuse.yaml")]) == 0
    logging.getLogger("lightning.pytorch").removeHandler(handler)
    assert noted.getvalue() == ""
    assert "Training stopped on the test items, as in the paper" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds: 1", "seeds: 0", "seeds: Expected a number of training seeds >= 1, got 0"),
        ("dim: 8", "width: 8", "recipe: Expected keys out of temperature"),
        ("dim: 8", "dim: x", "Expected dim to be an integer >= 1, got 'x'"),
        ("audio: {encoder: clap-tiny}", "audio: {encoder: clip-tiny}", "backbones: audio: Expected encoder to be one"),
        ("[quad-modal, round-robin]", "[penta-modal]", "scenarios: Expected some of"),
        ("items: items.csv", "items: none.csv", "items: "),
        ("output: fused", "", "Expected a value for output, got none"),
    ],
)
def test_bad_configs(tmp_path, capsys, old, new, message):
    small(tmp_path)
    (tmp_path / "fuse.yaml").write_text((CONFIG + RECIPE).replace(old, new))
    assert main(["fuse", str(tmp_path / "fuse.yaml")]) == 2
    assert message in capsys.readouterr().err


def test_either_a_config_or_the_embedded_world(capsys):
    assert main(["fuse"]) == 2
    assert "Expected either a config or --embedded, got neither or both" in capsys.readouterr().err


def test_the_documented_config_has_the_defaults(tmp_path):
    yaml = pytest.importorskip("yaml")
    values = yaml.safe_load((Path(__file__).parents[1] / "docs" / "fuse.yaml").read_text())
    recipe = {name: float(value) if name == "learning_rate" else value for name, value in values["recipe"].items()}
    assert FusionOptions(**recipe) == FusionOptions()
    assert {*recipe, "scenario"} == set(FusionOptions.__dataclass_fields__)
