"""Parquet beside CSV and JSONL: tables with their signature, manifests, and every command on them."""

import json
import shutil

import numpy as np
import pytest

for package in ("av", "ftfy", "pandas", "pyarrow"):
    pytest.importorskip(package)

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from commands import run  # noqa: E402
from written_tables import COLUMNS, SIGNATURE, write_random  # noqa: E402

from torchmetrics_majorscore.media import read_manifest  # noqa: E402
from torchmetrics_majorscore.media.rows import read_rows  # noqa: E402
from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings  # noqa: E402
from torchmetrics_majorscore.tables.parquet import convert_to_parquet, read_summary, write_parquet  # noqa: E402
from torchmetrics_majorscore.tables.read import read_scores  # noqa: E402
from torchmetrics_majorscore.training.world.view import write_world  # noqa: E402

pytestmark = pytest.mark.usefixtures("in_folder")
IDS = ["a/1", "a/2", "b/1", "b/2", "=1+1/1", "c/ü"]


def both(folder, name="t", seed=0):
    csv = write_random(folder / f"{name}.csv", IDS, seed, missing=("b/2",))
    convert_to_parquet(csv, folder / f"{name}.parquet")
    return csv, folder / f"{name}.parquet"


def test_a_table_is_the_same_in_float32(tmp_path):
    csv, parquet = both(tmp_path)
    (one, signature), (other, again) = read_scores(csv), read_scores(parquet)
    assert (signature, again) == (SIGNATURE, SIGNATURE)
    assert list(other.index) == IDS
    assert list(one.columns) == list(other.columns)
    for name in COLUMNS:
        assert other[name].dtype == np.float64
        np.testing.assert_array_equal(other[name], one[name].astype("float32").astype("float64"))
    assert list(other["error"]) == list(one["error"])
    schema = pq.read_schema(parquet)
    assert {schema.field(name).type for name in COLUMNS} == {pa.float32()}
    assert pq.ParquetFile(parquet).metadata.row_group(0).column(0).compression == "ZSTD"


def test_rows_that_arrow_does_not_parse_are_written_one_by_one_to_the_same_cells(tmp_path):
    header, rows = b"id,score,remarks,error,source\n", [b'a,0.25,,"two\nlines",x\n', b"'=1,,cut,,\n"]
    for name, more in (("plain", []), ("other", [b"\xe9,1e-9,,,\n"])):
        path = tmp_path / f"{name}.parquet"
        write_parquet(path, [header, *rows, *more], lambda: {"signature": "s"})
        found = pq.read_table(path).to_pylist()
        assert found[:2] == [
            {"id": "a", "score": 0.25, "remarks": "", "error": "two\nlines", "source": "x"},
            {"id": "=1", "score": None, "remarks": "cut", "error": "", "source": ""},
        ]
    assert found[2]["id"] == "\\xe9"
    assert found[2]["score"] == pytest.approx(1e-9)


@pytest.mark.parametrize("command", ["compare", "rank", "agree"])
def test_commands_give_what_they_give_of_csv(command, tmp_path, capsys):
    shutil.copy(both(tmp_path, "one")[1], "ours.parquet")
    both(tmp_path, "two", 1)
    ratings = tmp_path / "r.csv"
    ratings.write_text(
        "id,model,rater,rating\n" + "".join(f"{i},{m},x,{k}\n" for m in "AB" for k, i in ((1, "a/1"), (5, "b/1")))
    )
    printed = []
    for suffix in ("csv", "parquet"):
        tables = [f"A=one.{suffix}", f"B=two.{suffix}"]
        arguments = {
            "compare": ["compare", *tables],
            "rank": ["rank", f"one.{suffix}", "--penalty", "0.5"],
            "agree": ["ratings", "agree", *tables, "--ratings", ratings],
        }[command]
        code, output, error = run(capsys, *arguments)
        assert (code, error) == (0, "")
        printed.append(output)
    assert (
        printed[0] == printed[1].replace(r"\xe9", "\\xe9") or printed[0].splitlines()[0] == printed[1].splitlines()[0]
    )


def test_score_writes_parquet_and_continues_it_and_so_does_merge(tmp_path, capsys):
    write_world(tmp_path / "world", 3, 0)
    tiny = ("world/manifest.csv", "--encoder", "c-mcr-tiny")
    assert run(capsys, "score", *tiny, "-o", "s.csv")[0] == 0
    code, output, _ = run(capsys, "score", *tiny, "-o", "s.parquet")
    assert (code, "written: s.parquet\n" in output) == (0, True)
    first = (tmp_path / "s.parquet").read_bytes()
    assert run(capsys, "score", *tiny, "-o", "s.parquet")[0] == 0
    assert (tmp_path / "s.parquet").read_bytes() == first
    for shard in ("0/2", "1/2"):
        assert run(capsys, "score", *tiny, "--shard", shard, "-o", "shards")[0] == 0
    assert run(capsys, "merge", "shards", "-o", "m.parquet")[0] == 0
    assert (tmp_path / "m.parquet").read_bytes() == first
    summary = json.loads((tmp_path / "s.json").read_text())
    assert read_summary(tmp_path / "m.parquet") == {k: summary[k] for k in summary if k not in ("failures", "remarks")}
    assert run(capsys, "merge", "shards", "-o", "m.parquet")[0] == 0  # over what is there


def test_embeddings_in_parquet_give_what_those_in_safetensors_give(tmp_path, capsys):
    write_world(tmp_path / "world", 8, 0)
    printed = []
    for file in ("e.parquet", "e.safetensors"):
        said = [run(capsys, "benchmark", "world/manifest.csv", "--encoder", "c-mcr-tiny", "-o", file)]
        said += [run(capsys, "duplicates", file, "--threshold", "0"), run(capsys, "retrieval", file)]
        assert [code for code, *_ in said] == [0] * 3
        printed.append([output for _, output, _ in said])
        written = ClipEmbeddings.load(tmp_path / file)
        written.save(tmp_path / "e.safetensors")  # from which nothing is encoded again
    assert printed[0] == printed[1]
    assert pq.read_schema("e.parquet").names[4:7] == ["embedding_video", "embedding_text", "embedding_audio"]
    code, _, error = run(capsys, "rank", "e.parquet")
    assert (code, "Expected a table of majorscore score or merge" in error) == (2, True)
    both(tmp_path)
    code, _, error = run(capsys, "duplicates", "t.parquet", "--threshold", "0.5")
    assert (code, "t.parquet: it has no signature of embeddings" in error) == (2, True)


def test_a_manifest_and_the_lists_of_filter(tmp_path, capsys):
    rows = [
        {"ID": name, "video": "x.mp4", "caption": "a bell", "start": 1.5, "end": None, "audio_track": 1, "n": [1, 2]}
        for name in IDS[:4]
    ]
    pq.write_table(pa.Table.from_pylist(rows), "m.parquet")
    (entry, *_) = entries = read_manifest("m.parquet", tmp_path)
    assert [entry.id for entry in entries] == IDS[:4]
    assert (entry.video, entry.text, entry.start, entry.end, entry.audio_track) == (
        tmp_path / "x.mp4",
        "a bell",
        1.5,
        None,
        1,
    )
    both(tmp_path)
    for table in ("t.csv", "t.parquet"):
        assert run(capsys, "filter", "m.parquet", table, "--quantile", "0.5", "--overwrite")[0] == 0
        kept, rejected = (pq.read_table(f"m.{part}.parquet").to_pylist() for part in ("kept", "rejected"))
        assert (len(kept), len(rejected)) == (2, 2)
        assert kept[0]["n"] == [1, 2]
        assert rejected[-1]["reason"] == "no audio stream"
        assert set(kept[0]) == {*rows[0], "score", "reason"}


def test_what_is_no_such_file_is_one_line(tmp_path, capsys):
    (tmp_path / "x.parquet").write_text("no")
    pq.write_table(pa.table({"id": ["a"]}), "y.parquet")
    pq.write_table(pa.table({"name": ["a"]}), "z.parquet")
    for arguments, message in (
        (("rank", "x.parquet"), "Expected a Parquet file, got x.parquet"),
        (("rank", "y.parquet"), "which has no signature"),
        (("rank", "w.parquet"), "got no w.parquet"),
    ):
        code, _, error = run(capsys, *arguments)
        assert (code, message in error, error.count("\n")) == (2, True, 1), error
    for name, message in (("x", "Expected a Parquet file"), ("z", "Expected a column id, video or audio")):
        with pytest.raises(ValueError, match=message):
            read_rows(tmp_path / f"{name}.parquet")
    csv, _ = both(tmp_path)
    for path in ("x.parquet", "y.parquet"):  # somebody else's
        with pytest.raises(ValueError, match="Expected a"):
            convert_to_parquet(csv, tmp_path / path)
