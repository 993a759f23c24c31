"""Clips as rows of an engine: the scores of one process, and a reason for every clip that has none."""

import csv
import math

import numpy as np
import pytest

for package in ("av", "ftfy", "pandas"):
    pytest.importorskip(package)

import pandas as pd  # noqa: E402

from torchmetrics_majorscore.media import read_manifest  # noqa: E402
from torchmetrics_majorscore.scoring.clip_rows import ClipRows  # noqa: E402
from torchmetrics_majorscore.scoring.embed import embed_clips  # noqa: E402
from torchmetrics_majorscore.scoring.encode import EncodeOptions  # noqa: E402
from torchmetrics_majorscore.scoring.score import ScoreOptions, score_clips  # noqa: E402
from torchmetrics_majorscore.training.world.view import write_world  # noqa: E402

COUNT = 8
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Clips of the embedded world, and the table of one process."""
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, COUNT, 0)
    entries = read_manifest(folder / "manifest.csv")
    score_clips(entries, folder / "scores.csv", ScoreOptions("c-mcr-tiny"))
    with (folder / "scores.csv").open() as file:
        return entries, {row["id"]: row for row in csv.DictReader(file)}


def columns(entries):
    return {
        "__key__": [entry.id for entry in entries],
        "mp4": [entry.video.read_bytes() for entry in entries],
        "txt": [entry.text for entry in entries],
    }


def same(found, key, rows):
    """Compare with cells of a table, which hold a float32 exactly."""
    for name in (name for name in found if name.startswith(("similarity_", "majorscore_", "fairscore"))):
        assert found[name].dtype == np.float32
        assert [f"{value:.9g}" for value in found[name]] == [rows[clip][name] for clip in found[key]]


def test_rows_are_those_of_one_process_from_bytes_paths_and_dicts(world):
    entries, rows = world
    clips = ClipRows(encoder="c-mcr-tiny", batch_size=3)
    batch = columns(entries)
    same(clips(batch | {"source": list(range(COUNT))}), "__key__", rows)
    paths = {"id": batch["__key__"], "video": [str(entry.video) for entry in entries], "caption": batch["txt"]}
    same(clips(paths), "id", rows)
    given = {"id": batch["__key__"], "video": [{"bytes": data, "path": None} for data in batch["mp4"]]}
    same(clips(given | {"text": np.array(batch["txt"], dtype=object)}), "id", rows)
    frame = pd.DataFrame(paths, index=range(7, 7 + COUNT))  # as in Spark's mapInPandas
    same(pd.DataFrame(clips(frame)), "id", rows)
    found = clips(batch | {"source": list(range(COUNT)), "start": [math.nan] * COUNT})
    assert (found["source"], found["error"]) == (list(range(COUNT)), [""] * COUNT)
    assert "mp4" not in found
    windows = clips(paths | {"start": [1.0] * COUNT, "end": [3.0] * COUNT})
    assert not np.array_equal(windows["fairscore"], found["fairscore"])


def test_embeddings_are_those_of_a_file(world, tmp_path):
    entries, _ = world
    found = ClipRows(encoder="c-mcr-tiny", embeddings=True, batch_size=3)(columns(entries))
    whole, _ = embed_clips(entries, tmp_path / "e.safetensors", EncodeOptions("c-mcr-tiny"))
    for name in ("video", "text", "audio"):
        expected = whole.select([entry.id for entry in entries])[name]
        assert np.array_equal(found[f"embedding_{name}"], expected)


def test_no_clip_raises(world):
    entries, rows = world
    whole = columns(entries[:1])
    batch = {
        "id": ["good", "damaged", "none", "missing", "latin", "late"],
        "video": [whole["mp4"][0], whole["mp4"][0][:300], None, "missing.mp4", *whole["mp4"] * 2],
        "text": [*whole["txt"] * 4, "caf\xe9".encode("latin-1"), whole["txt"][0]],
        "start": [None, None, None, None, "soon", 90.0],
    }
    found = ClipRows(encoder="c-mcr-tiny")(batch)
    assert f"{found['fairscore'][0]:.9g}" == rows[whole["__key__"][0]]["fairscore"]
    assert np.isnan(found["fairscore"][1:]).all()
    assert found["error"][0] == ""
    for error, said in zip(
        found["error"][1:], ("damaged.video", "no picture", "missing.mp4", "Expected start to be a number", "90"),
        strict=True,
    ):  # fmt: skip
        assert said in error
        assert "\n" not in error
    with pytest.raises(ValueError, match="Expected a column id or __key__ and one of files, got id, text"):
        ClipRows(encoder="c-mcr-tiny")({"id": ["a"], "text": ["a bell"]})
    with pytest.raises(TypeError, match="unexpected keyword"):
        ClipRows(encoders="c-mcr-tiny")
