"""``majorscore retrieval``: classes or own partners, the gallery of all, several true labels per clip."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("pandas")
from torchmetrics_majorscore.cli.main import main
from torchmetrics_majorscore.functional.retrieval import any_retrieval, chance_at, pair_retrieval, recall_at
from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings
from torchmetrics_majorscore.tables.labels import read_labels

COUNT, NAMES = 30, ("text", "audio", "video")
VGGSOUNDER = Path(__file__).parents[2] / "shared" / "vggsound" / "vggsounder.csv"


@pytest.fixture
def clips(tmp_path):
    random = np.random.default_rng(0)
    base = random.standard_normal((COUNT, 6))
    vectors = {name: (base + random.standard_normal((COUNT, 6))).astype(np.float32) for name in ("video", *NAMES[:2])}
    vectors["audio"][4] = np.nan
    saved = ClipEmbeddings([f"clip{row}" for row in range(COUNT)], vectors, "enc:made-up")
    saved.save(tmp_path / "e.safetensors")
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(
            [("id", "video", "kind"), *((f"clip{row}", f"{row}.mp4", f"k{row % 7}") for row in range(COUNT))]
        )
    return saved


def run(capsys, *arguments):
    code = main(["retrieval", *map(str, arguments), "--json"])
    out = capsys.readouterr()
    return json.loads(out.out) if code == 0 else out.err


@pytest.mark.parametrize("classes", [False, True])
@pytest.mark.parametrize("flags", [(), ("--share", "--own-modality")])
def test_recalls_are_those_of_the_functions(tmp_path, clips, capsys, classes, flags):
    given = ("--classes", tmp_path / "manifest.csv", "--column", "kind") if classes else ()
    found = run(capsys, tmp_path / "e.safetensors", *given, *flags)
    rows = {row["recall"]: row for row in found["recalls"]}
    labels = dict.fromkeys(NAMES, torch.arange(COUNT) % 7 if classes else torch.arange(COUNT))
    vectors = {name: torch.from_numpy(clips.vectors[name]) for name in NAMES}
    for (query, target), one in pair_retrieval(vectors, labels).items():
        own = rows[f"{query} → {target}"]
        for k in (1, 5, 10):
            assert own[f"@{k}"] == pytest.approx(recall_at(one, k, share=bool(flags)).nanmean().item())
            assert own[f"@{k}_low"] <= own[f"@{k}"] <= own[f"@{k}_high"]
        assert own["chance@1"] == pytest.approx(chance_at(one, 1, share=bool(flags)).nanmean().item())
    one = any_retrieval(vectors, labels, own_modality=bool(flags))["audio"]
    assert rows["audio → any"]["@5"] == pytest.approx(recall_at(one, 5, share=bool(flags)).nanmean().item())
    assert found["without_relevant"] == (3 if classes else 5)
    assert len([row for row in found["recalls"] if row["recall"] == "mean"]) == 2
    assert found["signature"] == "enc:made-up"


def test_zero_shot_with_several_labels(tmp_path, clips, capsys):
    names = ["bark", "rain", "bell"]
    texts = np.random.default_rng(1).standard_normal((3, 6)).astype(np.float32)
    ClipEmbeddings(names, {"text": texts}, "enc:made-up").save(tmp_path / "labels.safetensors")
    rows = [("video_id", "label", "modality")]
    rows += [(f"clip{row}", names[row % 3], ("A", "V", "AV")[row % 3]) for row in range(COUNT - 3)]
    rows += [("clip0", "bell", "AV"), ("clip1", "bark", "A")]
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    both = ("--labels", tmp_path / "labels.csv", "--label-embeddings", tmp_path / "labels.safetensors")
    found = {row["modality"]: row for row in run(capsys, tmp_path / "e.safetensors", *both)["labels"]}
    assert list(found) == ["audio", "video"]
    true = {}
    for clip, label, shows in rows[1:]:
        for name in ("audio", "video"):
            if shows == "AV" or shows == name[0].upper():
                true.setdefault((clip, name), set()).add(names.index(label))
    for name in ("audio", "video"):
        hits, per_class = [], {}
        for row, clip in enumerate(clips.ids):
            vector, own = clips.vectors[name][row], true.get((clip, name))
            if own and np.isfinite(vector).all():
                hits.append(int((texts @ vector / np.linalg.norm(texts, axis=1)).argmax()) in own)
                for label in own:
                    per_class.setdefault(label, []).append(hits[-1])
        assert found[name]["accuracy"] == pytest.approx(np.mean(hits))
        assert found[name]["clips"] == len(hits)
        assert found[name]["mean over classes"] == pytest.approx(np.mean([np.mean(own) for own in per_class.values()]))
        assert found[name]["classes"] == len(per_class)


@pytest.mark.skipif(not VGGSOUNDER.is_file(), reason="needs ../shared")
def test_the_labels_of_vggsounder():
    labels = read_labels(VGGSOUNDER)
    assert labels["--i-y1v8Hy8_000000"][0] == ("child singing", "AV")
    assert max(map(len, labels.values())) > 3
    assert {shown for own in labels.values() for _, shown in own} == {"A", "V", "AV"}


def test_bad_input(tmp_path, clips, capsys):
    path = tmp_path / "e.safetensors"
    assert "got none for 'clip0'" not in run(capsys, path, "--classes", tmp_path / "manifest.csv")
    (tmp_path / "short.csv").write_text("id,video,class\nclip3,a.mp4,x\n")
    assert "Expected a class for every clip in" in run(capsys, path, "--classes", tmp_path / "short.csv")
    assert "Expected at least two modalities out of" in run(capsys, path, "--modalities", "audio")
    assert "Expected --labels and --label-embeddings together" in run(capsys, path, "--labels", tmp_path / "short.csv")
    ClipEmbeddings(["bark"], {"text": np.ones((1, 6), np.float32)}, "s").save(tmp_path / "l.safetensors")
    both = ("--label-embeddings", tmp_path / "l.safetensors", "--labels")
    assert "Expected columns video_id, label, modality" in run(capsys, path, *both, tmp_path / "short.csv")
    (tmp_path / "bad.csv").write_text("video_id,label,modality\nclip3,bark,X\n")
    assert "line 2, got X" in run(capsys, path, *both, tmp_path / "bad.csv")
    (tmp_path / "bad.csv").write_text("video_id,label,modality\nclip3,meow,A\n")
    assert "Expected an embedding of every label, got none of 'meow'" in run(capsys, path, *both, tmp_path / "bad.csv")
