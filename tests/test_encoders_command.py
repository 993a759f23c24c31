"""The command ``encoders``: what is known of every name, and what of its files is here."""

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")
pytest.importorskip("pandas")

from torchmetrics_majorscore.cli.main import main
from torchmetrics_majorscore.encoders.public import CHECKPOINTS
from torchmetrics_majorscore.encoders.table import ADAPTERS, BACKBONES, ENCODERS, FAMILIES
from torchmetrics_majorscore.networks.table import NETWORKS, SYNC


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch, tmp_path):
    monkeypatch.delenv("MAJORSCORE_WEIGHTS", raising=False)
    for name in ("HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", str(tmp_path / "cache"))


def said(capsys, *command):
    assert main([*command, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_public_file_states_its_licence_its_size_and_where_it_is():
    for entry in (*ENCODERS.values(), *BACKBONES.values(), *NETWORKS.values(), *SYNC.values()):
        for file in entry.files:
            if file in CHECKPOINTS:
                assert CHECKPOINTS[file].licence
                assert CHECKPOINTS[file].megabytes > 0 or file.startswith("pe-av-")  # nobody states those
                assert CHECKPOINTS[file].address.startswith("https://")


def test_the_table_has_every_name(capsys):
    found = said(capsys, "encoders")
    assert [row["name"] for row in found["encoders"]] == [*ENCODERS, *ADAPTERS]
    assert [row["name"] for row in found["networks"]] == [*NETWORKS, *SYNC]
    assert [row["name"] for row in found["backbones of late fusion"]] == list(BACKBONES)
    rows = {row["name"]: row for row in found["encoders"]}
    assert rows["c-mcr"]["MB"] == 605 + 1860 + 8
    assert rows["c-mcr"]["licence"] == "MIT, CC0-1.0, CC-BY-4.0"
    assert {name: rows[name]["here"] for name in ("c-mcr", "c-mcr-tiny", "late-fusion", "imagebind")} == {
        "c-mcr": "no", "c-mcr-tiny": "in the package", "late-fusion": "no", "imagebind": "bring its module"
    }  # fmt: skip
    assert main(["encoders"]) == 0
    assert "| c-mcr | video, text, audio | 512 | 2473 | MIT, CC0-1.0, CC-BY-4.0 | no |" in capsys.readouterr().out


def page_rows(page, header):
    """Give the table of a page that begins so: name to cells, of a row that has several names each."""
    text = Path(__file__).parent.parent.joinpath("docs", page).read_text(encoding="utf-8")
    (table,) = re.findall(rf"(?m)^\| {header} .*\n\|[-|]+\n((?:\|.*\n)+)", text)
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    return {name: cells for names, *cells in rows for name in re.findall("`([^`]+)`", names)}


def test_the_pages_have_the_rows_of_the_command(capsys):
    found = said(capsys, "encoders")
    rows = page_rows("encoders.md", r"name \| modalities")
    families = {name.partition(":")[0] for name in list(rows) if ":" in name and rows.pop(name)}
    assert families == set(FAMILIES)
    assert rows.keys() == {row["name"] for row in found["encoders"]}
    for row in found["encoders"]:
        modalities, dimension, _, weights = rows[row["name"]]
        assert (modalities, dimension) == (row["modalities"], str(row["dimension"] or "its own")), row["name"]
        entry = ENCODERS.get(row["name"])
        public = entry and not entry.bundle and entry.dimension
        assert re.findall(r"^(\d) file", weights) == ([str(len(entry.files))] if public else []), row["name"]
    rows = page_rows("late_fusion.md", r"name \| modality")
    backbones = {row["name"]: [row["modalities"], str(row["dimension"])] for row in found["backbones of late fusion"]}
    assert {name: [cells[0], cells[2]] for name, cells in rows.items()} == backbones


def test_dimensions_are_those_of_the_embeddings():
    import torch

    from torchmetrics_majorscore.encoders import load_encoder

    for name in ("c-mcr-tiny", "clip-tiny", "clap-tiny"):
        embedded = load_encoder(name).encode("text", ["a dog"], torch.device("cpu"))
        assert embedded.shape[1] == ENCODERS[name].dimension


def test_a_name_lists_what_is_here_and_what_is_missing(capsys, tmp_path, monkeypatch):
    (tmp_path / "630k-fusion-best.safetensors").write_bytes(bytes(2_000_001))
    found = said(capsys, "encoders", "c-mcr", "--weights", str(tmp_path))
    assert [(row["file"], row["MB"], row["here"] == "missing") for row in found["files"]] == [
        ("open_clip_model.safetensors", 605, True),
        ("630k-fusion-best.safetensors", 3, False),
        ("clap_clip.pt", 9, True),
    ]
    assert found["files"][1]["here"] == str(tmp_path / "630k-fusion-best.safetensors")
    assert found["files"][2]["from"] == CHECKPOINTS["heads"].address
    monkeypatch.setenv("MAJORSCORE_WEIGHTS", str(tmp_path))
    assert main(["encoders", "c-mcr"]) == 0
    assert "2 of 3 files are missing, 613 MB: `majorscore weights get c-mcr`" in capsys.readouterr().out


def test_names_that_have_no_public_files_say_so(capsys):
    assert main(["encoders", "imagebind"]) == 0
    assert "with weights (CC-BY-NC-SA-4.0) from https://dl.fbaipublicfiles.com" in capsys.readouterr().out
    for command, line in (
        (["weights", "get", "imagebind"], "Expected something with files to load, got 'imagebind': build its module"),
        (["weights", "get", "clip", "late-fusion"], "Expected names whose files are downloaded, got clip, late-fusion"),
        (["encoders", "clipp"], "Expected one of c-mcr, ex-mcr, wav2clip"),
    ):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert line in said
        assert said.count("\n") == 1
