"""Files of embeddings: batches are kept at once, changed clips encoded again, and a broken file is one line."""

import os

import numpy as np
import pytest

pytest.importorskip("safetensors")

from safetensors.numpy import save_file

from torchmetrics_majorscore.tables.embedding_writer import EmbeddingWriter
from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings

SOURCES = {f"clip {number}": "as it was" for number in range(6)}
IDS = list(SOURCES)


def vectors(count, seed, names=("video", "text")):
    draw = np.random.default_rng(seed)
    return {name: draw.normal(size=(count, 4)).astype(np.float32) for name in names}


def equal(one, other):
    assert (one.ids, one.signature, one.errors, one.remarks) == (
        other.ids,
        other.signature,
        other.errors,
        other.remarks,
    )
    assert one.sources == other.sources
    assert one.vectors.keys() == other.vectors.keys()
    for name, array in one.vectors.items():
        np.testing.assert_array_equal(array, other.vectors[name])


@pytest.fixture(params=["safetensors", "parquet"])
def suffix(request):
    """The kinds of file."""
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return request.param


def test_batches_become_one_file_and_what_a_batch_lacks_is_nan(suffix, tmp_path):
    path = tmp_path / "made" / f"e.{suffix}"
    writer = EmbeddingWriter(path, "enc:x", SOURCES)
    first, second = vectors(4, 0), vectors(2, 1, ("text", "audio"))
    writer.add(IDS[:4], first, {IDS[1]: "no picture"}, {IDS[2]: "silent"})
    writer.add(IDS[4:], second)
    found = writer.finish()
    equal(ClipEmbeddings.load(path), found)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert (found.ids, found.errors, found.remarks) == (IDS, {IDS[1]: "no picture"}, {IDS[2]: "silent"})
    np.testing.assert_array_equal(found.vectors["text"], np.concatenate([first["text"], second["text"]]))
    np.testing.assert_array_equal(np.isnan(found.vectors["audio"][:, 0]), [True] * 4 + [False] * 2)
    np.testing.assert_array_equal(np.isnan(found.vectors["video"][:, 0]), [False] * 4 + [True] * 2)
    np.testing.assert_array_equal(found.select([IDS[5], IDS[0]])["text"], [second["text"][1], first["text"][0]])


def test_a_kill_loses_the_batch_that_was_being_written_and_no_other(suffix, tmp_path):
    path = tmp_path / f"e.{suffix}"
    whole = EmbeddingWriter(path, "enc:x", SOURCES)
    for start in (0, 2, 4):
        whole.add(IDS[start : start + 2], vectors(2, start))
    parts = tmp_path / f"e.{suffix}.parts"
    content = parts.read_bytes()
    wanted = whole.finish()
    ends = [len(content) * share // 3 for share in (1, 2, 3)]  # the batches are of one length
    for end in (0, 5, ends[0] - 1, ends[0], ends[0] + 8, ends[1] - 1, ends[1] + 20, len(content)):
        path.unlink(missing_ok=True)
        parts.write_bytes(content[:end])
        writer = EmbeddingWriter(path, "enc:x", SOURCES)
        complete = 2 * sum(end >= one for one in ends)
        assert writer.done == set(IDS[:complete])
        for start in range(complete, 6, 2):
            writer.add(IDS[start : start + 2], vectors(2, start))
        equal(writer.finish(), wanted)
    parts.write_bytes(content)  # killed between the one file and the end of its parts
    equal(EmbeddingWriter(path, "enc:x", SOURCES).finish(), wanted)
    assert not parts.exists()


def test_a_changed_clip_is_replaced_where_it_stands(suffix, tmp_path):
    path = tmp_path / f"e.{suffix}"
    writer = EmbeddingWriter(path, "enc:x", SOURCES)
    writer.add(IDS, vectors(6, 0), {IDS[2]: "no sound"})
    before = writer.finish()
    written = path.stat().st_mtime_ns
    assert EmbeddingWriter(path, "enc:x", SOURCES).finish().ids == IDS
    assert path.stat().st_mtime_ns == written  # nothing new, nothing written
    now = {IDS[2]: "another file", IDS[4]: "as it was", "new": "as it was"}
    writer = EmbeddingWriter(path, "enc:x", now)
    assert (writer.changed, writer.done) == ([IDS[2]], {IDS[4]})
    writer.add([IDS[2], "new"], vectors(2, 1))
    after = writer.finish()
    assert after.ids == [*IDS, "new"]  # those that this manifest does not name stay
    assert after.errors == {}
    expected = before.vectors["text"].copy()
    expected[2] = vectors(2, 1)["text"][0]
    np.testing.assert_array_equal(after.vectors["text"][:6], expected)
    assert EmbeddingWriter(path, "enc:x", now).changed == []


def test_a_broken_or_foreign_file_is_one_line_with_its_path(suffix, tmp_path):
    path = tmp_path / f"e.{suffix}"
    ClipEmbeddings(IDS, vectors(6, 0), "enc:x").save(path)
    whole = path.read_bytes()
    if suffix == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"id": IDS}), path)
    else:
        save_file({"video": np.zeros((4, 8), np.float32)}, path)
    foreign = path.read_bytes()
    for content in (b"", whole[:50], whole[:-1], foreign, b"id,video\na,b\n"):
        path.write_bytes(content)
        for read in (ClipEmbeddings.load, lambda file: EmbeddingWriter(file, "enc:x", SOURCES)):
            with pytest.raises(ValueError, match=rf"^Expected a file of clip embeddings, got .*e\.{suffix}: .+\.$"):
                read(path)
    with pytest.raises(FileNotFoundError, match=r"got no .*f\.safetensors"):
        ClipEmbeddings.load(tmp_path / "f.safetensors")
    path.write_bytes(whole)
    path.with_name(f"{path.name}.parts").write_bytes((9).to_bytes(8, "little") + b"no tensor")
    with pytest.raises(ValueError, match=r"^Expected batches of embeddings, got .*\.parts: "):
        EmbeddingWriter(path, "enc:x", SOURCES)


def test_parquet_is_what_other_programs_read(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    made = vectors(6, 0, ("video", "text_for_audio"))
    made["video"][1] = np.nan  # has no value
    made["video"][2, 3] = np.nan  # has some
    clips = ClipEmbeddings(IDS, made, "enc:x", {IDS[1]: "no \udcff"}, {IDS[2]: "silent"}, dict.fromkeys(IDS, "0f"))
    clips.save(tmp_path / "e.parquet")
    file = pq.ParquetFile(tmp_path / "e.parquet")
    kinds = {field.name: field.type for field in file.schema_arrow}
    vector = pa.list_(pa.float32(), 4)
    assert kinds == {
        **dict.fromkeys(("id", "remarks", "error", "source"), pa.string()),
        **dict.fromkeys(("embedding_video", "embedding_text_for_audio"), vector),
    }
    assert {file.metadata.row_group(0).column(column).compression for column in range(6)} == {"ZSTD"}
    assert file.schema_arrow.metadata[b"majorscore embeddings"] == b"enc:x"
    rows = file.read().to_pylist()
    assert [row["id"] for row in rows] == IDS
    assert (rows[1]["embedding_video"], rows[1]["error"], rows[0]["error"]) == (None, "no \\xff", None)
    assert np.array_equal(np.float32(rows[0]["embedding_video"]), made["video"][0])
    clips.errors[IDS[1]] = "no \\xff"
    equal(ClipEmbeddings.load(tmp_path / "e.parquet"), clips)


def test_signatures_are_not_mixed(tmp_path):
    path = tmp_path / "e.safetensors"
    EmbeddingWriter(path, "enc:x", SOURCES).add(IDS[:1], vectors(1, 0))
    with pytest.raises(
        ValueError,
        match=r"e\.safetensors was written with signature enc:x, now it is enc:y; name another file",
    ):
        EmbeddingWriter(path, "enc:y", SOURCES)
    EmbeddingWriter(path, "enc:x", SOURCES).finish()
    with pytest.raises(ValueError, match="now it is enc:y"):
        EmbeddingWriter(path, "enc:y", SOURCES)


def test_files_follow_the_umask(tmp_path):
    before = os.umask(0o022)
    try:
        ClipEmbeddings(IDS, vectors(6, 0), "enc:x").save(tmp_path / "e.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "e.safetensors").stat().st_mode & 0o777 == 0o644
