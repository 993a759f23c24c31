"""Clips that are in two places: near-duplicates by embedding, overlaps by id."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pandas")
pytest.importorskip("safetensors")


from torchmetrics_majorscore import extras
from torchmetrics_majorscore.cli.main import main
from torchmetrics_majorscore.statistics import duplicate_index
from torchmetrics_majorscore.statistics import duplicates as module
from torchmetrics_majorscore.tables.duplicates import list_duplicates
from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings
from torchmetrics_majorscore.tables.overlap import list_overlaps

VGGSOUND = Path(__file__).parents[2] / "shared" / "vggsound" / "vgg-test.tsv"


def made(count=40, seed=0, signature="enc:given"):
    draw = np.random.default_rng(seed)
    vectors = {name: draw.normal(size=(count, 64)).astype(np.float32) for name in ("video", "audio")}
    return ClipEmbeddings([f"clip {n}" for n in range(count)], vectors, signature)


def planted():
    """Give 40 clips of which 31 is 4 again, and 32 has only the picture of 5."""
    known = made()
    known.vectors["video"][31], known.vectors["audio"][31] = known.vectors["video"][4], known.vectors["audio"][4]
    known.vectors["video"][32] = known.vectors["video"][5]
    known.vectors["video"][7], known.vectors["video"][8] = math.nan, math.nan
    return known


@pytest.mark.parametrize("block", [1, 7, 512])
def test_planted_duplicates_are_found_once_and_nothing_else(block, monkeypatch):
    monkeypatch.setattr(module, "ROWS_PER_BLOCK", block)
    found, recall = list_duplicates(planted(), threshold=0.9)
    assert recall is None
    assert list(zip(found.index, found["other"], strict=True)) == [("clip 4", "clip 31")]
    assert found["least"].iloc[0] == pytest.approx(1, abs=1e-6)
    pictures, _ = list_duplicates(planted(), threshold=0.9, names=["video"])
    assert set(zip(pictures.index, pictures["other"], strict=True)) == {("clip 4", "clip 31"), ("clip 5", "clip 32")}


def test_all_pairs_are_those_of_two_loops():
    known, other = made(12), made(9, seed=1)
    found, _ = list_duplicates(known, other, threshold=0.1)
    expected = {}
    for i, one in enumerate(known.ids):
        for j, two in enumerate(other.ids):
            pairs = [(known.vectors[name][i], other.vectors[name][j]) for name in ("video", "audio")]
            both = [float(x @ y / np.linalg.norm(x) / np.linalg.norm(y)) for x, y in pairs]
            if min(both) >= 0.1:
                expected[one, two] = both
    got = {(row.Index, row.other): [row.video, row.audio] for row in found.itertuples()}
    assert expected
    assert got.keys() == expected.keys()
    for pair, cosines in got.items():
        assert cosines == pytest.approx(expected[pair], abs=1e-6)
    assert found["least"].is_monotonic_decreasing


def test_mistakes_are_told():
    for arguments, message in (
        ({"other": made(signature="another")}, "Expected embeddings of one signature, got enc:given and another"),
        ({"names": ["smell"]}, "Expected modalities out of .*, got smell"),
        ({"threshold": 1.5}, "Expected a threshold in"),
    ):
        with pytest.raises(ValueError, match=message):
            list_duplicates(made(), **{"threshold": 0.9, **arguments})


def test_the_command_lists_the_pairs(tmp_path, capsys):
    planted().save(tmp_path / "e.safetensors")
    assert main(["duplicates", str(tmp_path / "e.safetensors"), "--threshold", "0.9"]) == 0
    output = capsys.readouterr().out
    assert "| clip 4 | clip 31 | 1.0000 | 1.0000 | 1.0000 |" in output
    assert "1 pairs; 1 of 40 clips stand in the column other" in output
    assert "signature: enc:given" in output


def many(count=4000, near=0.3):
    """Give clips of which a tenth is an earlier one again, a little changed."""
    draw = np.random.default_rng(4)
    known = made(count)
    again = draw.choice(np.arange(1, count), count // 10, replace=False)
    for vectors in known.vectors.values():
        vectors[again] = vectors[again // 2]
        vectors[again] += near * draw.normal(size=(len(again), 64)).astype(np.float32)
    known.vectors["audio"][3] = math.nan
    return known


def test_an_index_finds_what_all_products_find_and_says_how_many(monkeypatch):
    pytest.importorskip("faiss")
    known, threshold = many(), 0.85
    exact, none = list_duplicates(known, threshold=threshold, exact=True)
    found, recall = list_duplicates(known, threshold=threshold, exact=False)
    assert none is None
    assert len(exact) > 300
    pairs = [set(zip(frame.index, frame["other"], strict=True)) for frame in (exact, found)]
    assert pairs[1] <= pairs[0]
    assert len(pairs[1]) >= 0.97 * len(pairs[0])
    common = exact.set_index("other", append=True).loc[found.set_index("other", append=True).index]
    np.testing.assert_allclose(common["least"], found["least"], atol=1e-6)
    assert (recall.clips, recall.probed, recall.cells) == (1000, 16, 252)
    assert recall.found / recall.pairs >= 0.97
    assert recall.pairs > 100
    monkeypatch.setattr(duplicate_index.DuplicateIndex.__init__, "__defaults__", (1,))
    fewer, poor = list_duplicates(known, threshold=threshold, exact=False)
    assert len(fewer) < len(found)
    assert poor.found / poor.pairs == pytest.approx(len(fewer) / len(exact), abs=0.05)  # what is said is what is
    assert poor.pairs == recall.pairs


def test_an_index_between_two_files(monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr(module, "LARGE_PRODUCTS", 100)
    one, other = many(), made(500, seed=9)
    other.vectors["video"][7], other.vectors["audio"][7] = one.vectors["video"][11], one.vectors["audio"][11]
    found, recall = list_duplicates(one, other, threshold=0.99)
    assert ("clip 11", "clip 7") in set(zip(found.index, found["other"], strict=True))
    assert recall.pairs == recall.found
    assert list_duplicates(one, other, threshold=0.99, exact=True)[0].equals(found)


def test_without_faiss_very_many_clips_are_refused_in_a_line(tmp_path, capsys, monkeypatch):
    planted().save(tmp_path / "e.safetensors")
    monkeypatch.setattr(module, "LARGE_PRODUCTS", 100)
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "faiss" else object())
    command = ["duplicates", str(tmp_path / "e.safetensors"), "--threshold", "0.9"]
    assert main(command) == 2
    assert "got no faiss; in a clone" in capsys.readouterr().err
    assert main([*command, "--exact"]) == 0
    assert "Every pair of clips was compared." in capsys.readouterr().out


def test_overlaps_by_the_part_of_the_id(tmp_path, capsys):
    tests, training = {"a": ["x_1", "x_1", "y_1"], "none": []}, {"a": ["x_1"], "b": ["x_2", "z_1"]}
    whole, videos = list_overlaps(tests, training), list_overlaps(tests, training, "^(.)_")
    assert whole.loc["a"].tolist() == [2, "-", "0 (0.0%)"]
    assert videos.loc["a"].tolist() == [2, "-", "1 (50.0%)"]
    assert videos.loc["none", "b"] == "0 (undefined)"
    with pytest.raises(ValueError, match="got 'x_1', which it does not"):
        list_overlaps(tests, training, "^q")
    with pytest.raises(ValueError, match="Expected a regular expression"):
        list_overlaps(tests, training, "(")
    for name, ids in (("test", "x_1,x.mp4\ny_1,y.mp4\n"), ("train", "x_2,x.mp4\n")):
        (tmp_path / f"{name}.csv").write_text(f"id,video\n{ids}")
    arguments = ["--test", str(tmp_path / "test.csv"), "--train", str(tmp_path / "train.csv"), "--pattern", "^(.)_"]
    assert main(["overlap", *arguments]) == 0
    assert "| test | 2 | 1 (50.0%) |" in capsys.readouterr().out


@pytest.mark.skipif(not VGGSOUND.is_file(), reason="needs the VGGSound list")
def test_vggsound_with_its_own_half():
    with VGGSOUND.open(newline="") as file:
        ids = [row["id"] for row in csv.DictReader(file, delimiter="\t")]
    found = list_overlaps({"test": ids}, {"half": ids[::2]}, "^(.{11})_")
    assert found.loc["test", "n"] == len({clip[:11] for clip in ids})
    assert found.loc["test", "half"].startswith(f"{len({clip[:11] for clip in ids[::2]})} (")
