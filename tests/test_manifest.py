"""Manifests: every format and column, and one line for every mistake."""

import json
import os
from pathlib import Path

import pytest

from torchmetrics_majorscore.media import Entry, read_manifest

SHARED = Path(__file__).parents[2] / "shared"


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


ROWS = [
    {"id": "-1pRmoJIGQc_000010", "video": "v/a.mp4", "audio": "", "text": "dog, barking", "start": "", "end": ""},
    {"id": "b", "video": "v/b.mp4", "audio": "w/b.wav", "text": "", "start": "1.5", "end": "4"},
    {"id": "c", "video": "", "audio": "/abs/c.wav", "text": "Vögel “singen”", "start": "2", "end": ""},
]


def expected(base: Path) -> list[Entry]:
    return [
        Entry("-1pRmoJIGQc_000010", base / "v/a.mp4", None, "dog, barking"),
        Entry("b", base / "v/b.mp4", base / "w/b.wav", None, 1.5, 4.0),
        Entry("c", None, Path("/abs/c.wav"), "Vögel “singen”", 2.0, None),
    ]


def as_csv(delimiter: str, newline: str) -> str:
    lines = [["note", *ROWS[0]]] + [["x", *row.values()] for row in ROWS]
    return newline.join(delimiter.join(f'"{c}"' if delimiter in c else c for c in line) for line in lines) + newline


def as_jsonl(newline: str) -> str:
    rows = [{k: float(v) if k in ("start", "end") else v for k, v in row.items() if v} for row in ROWS]
    rows[0]["audio"] = None
    return newline.join(json.dumps(row | {"note": [1]}, ensure_ascii=False) for row in rows) + newline


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_formats_give_the_same_entries(tmp_path: Path, suffix: str, newline: str, encoding: str) -> None:
    text = as_jsonl(newline) if suffix == ".jsonl" else as_csv({".csv": ",", ".tsv": "\t"}[suffix], newline)
    path = write(tmp_path / f"m{suffix}", text, encoding)
    assert read_manifest(path) == expected(tmp_path)
    (tmp_path / "other").mkdir()
    assert read_manifest(str(path), tmp_path / "other") == expected(tmp_path / "other")


def test_missing_id_is_the_stem_of_the_video_then_of_the_audio(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", "video,audio\nx/a.b.mp4,q.wav\n,y/c.flac\n")
    assert [entry.id for entry in read_manifest(path)] == ["a.b", "c"]


def test_numbers_are_ids_in_jsonl(tmp_path: Path) -> None:
    path = write(tmp_path / "m.jsonl", '{"id": 7, "video": "a.mp4"}\n\n{"id": "8", "video": "a.mp4"}')
    assert [entry.id for entry in read_manifest(path)] == ["7", "8"]


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize(("suffix", "delimiter"), [(".tsv", "\t"), (".csv", ",")])
def test_label_lists_look_ids_up_in_the_folder(tmp_path: Path, suffix: str, delimiter: str, header: bool) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("-a_1.mkv", "b.webm", "b.mp4", "c.avi", "d.mov", "e.txt"):
        (folder / name).touch()
    lines = ["id,label"] * header + ["-a_1,dog", "b,cat", "c,car", "d,sea", "e,sky"]
    path = write(tmp_path / f"list{suffix}", "\n".join(lines).replace(",", delimiter))
    names = ["-a_1.mkv", "b.mp4", "c.avi", "d.mov", "e.mp4"]
    labels = ["dog", "cat", "car", "sea", "sky"]
    want = [Entry(Path(n).stem, folder / n, None, label, label=label) for n, label in zip(names, labels, strict=True)]
    assert read_manifest(path, folder) == want


def test_suffixes_in_capitals_and_other_formats_are_found_for_an_id_list(tmp_path: Path) -> None:
    names = ["IMG_0001.MOV", "GOPR0002.MP4", "Mixed.WebM", "old.mpg", "deep/er.TS"]
    (tmp_path / "deep").mkdir()
    for name in names:
        (tmp_path / name).touch()
    path = write(tmp_path / "list.tsv", "id\tlabel\n" + "".join(f"{Path(name).stem}\ta\n" for name in names))
    assert [entry.video for entry in read_manifest(path)] == [tmp_path / name for name in names]


def test_an_id_with_two_equal_files_has_a_reason(tmp_path: Path) -> None:
    for name in ("x/a.mp4", "y/a.mp4", "a/b.mp4"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    ambiguous, named = read_manifest(write(tmp_path / "list.csv", "a,dog\nx/a,cat\n"))
    assert "Expected one file for 'a', got" in str(ambiguous.error)
    assert (named.video, named.error) == (tmp_path / "x/a.mp4", None)


def test_folder_takes_what_the_reader_reads_and_names_the_rest(tmp_path: Path) -> None:
    names = [f"clip.{suffix}" for suffix in ("mp4", "m4v", "ts", "mpg", "flv", "wmv", "ogv", "gif")]
    for number, name in enumerate(names):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / name).touch()
    for name in ("notes.md", ".hidden", ".hidden.mp4", "0/clip.png", "1/other.txt"):
        (tmp_path / name).touch()
    manifest = read_manifest(tmp_path)
    assert [entry.id for entry in manifest] == [f"{number}/clip" for number in range(len(names))]
    assert [entry.video for entry in manifest] == [tmp_path / str(n) / name for n, name in enumerate(names)]
    assert manifest.left_out == [".hidden.mp4", "0/clip.png", "1/other.txt", "notes.md"]


def test_tables_with_long_cells_and_quotation_marks(tmp_path: Path) -> None:
    long = "0.123," * 50_000
    path = write(tmp_path / "m.csv", f'id,video,text,embedding\na,a.mp4,"a ""loud"", long sound","{long}"\n')
    assert [entry.text for entry in read_manifest(path)] == ['a "loud", long sound']
    texts = ['"Go!" a crowd shouts', '6" pipe is hit, twice', '"quoted"', "plain"]
    rows = "".join(f"c{number}\tc.mp4\t{text}\n" for number, text in enumerate(texts))
    path = write(tmp_path / "m.tsv", f"id\tvideo\ttext\n{rows}")
    assert [entry.text for entry in read_manifest(path)] == texts


def test_folder_pairs_picture_sound_and_text_by_stem(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.MKV", "a.wav", "c.flac", "d.jpg", ".hidden.mp4", "notes.md"):
        (tmp_path / name).touch()
    write(tmp_path / "b.txt", "\ufeffa dog\r\n")
    write(tmp_path / "c.txt", " \n")
    assert read_manifest(tmp_path) == [
        Entry("a", tmp_path / "a.MKV", tmp_path / "a.wav", None),
        Entry("b", tmp_path / "b.mp4", None, "a dog"),
        Entry("c", None, tmp_path / "c.flac", None),
        Entry("d", tmp_path / "d.jpg", None, None),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.csv", "id,video\na,x.mp4\nb,y.mp4\na,z.mp4\n", "unique ids.* 'a' at line 2 and at line 4"),
        ("m.csv", "video\nx/a.mp4\ny/a.mp4\n", "unique ids.* 'a' at line 2 and at line 3"),
        ("m.csv", "file,caption,n\nx,y,1\n", "Expected a column id, video or audio in .*m.csv, line 1"),
        ("m.csv", "file,text\nx,y\n", "Expected a column id, video or audio in .*m.csv, line 1"),
        ("m.csv", "id,video,text\n", "at least one clip, got none"),
        ("m.tsv", "", "at least one clip, got none"),
        ("m.jsonl", "\n\n", "at least one clip, got none"),
        ("m.jsonl", '{"video": "a.mp4"}\n{"video": \n', "Expected JSON, got .*m.jsonl, line 2"),
        ("m.jsonl", '["a.mp4"]', "Expected a JSON object, got list in .*m.jsonl, line 1"),
        ("m.jsonl", '{"video": "a.mp4", "text": 3}', "text to be a string, got 3 in .*m.jsonl, line 1"),
        ("m.jsonl", '{"text": "a"}', "a video or an audio file, got neither in .*m.jsonl, line 1"),
        ("m.txt", "id,video\na,b\n", r"Expected a .csv, .tsv, .jsonl or .parquet manifest or a folder, got .*m.txt"),
        ("m.csv", "video,start,end\na.mp4,2,2\n", "Expected start < end, got start=2.0 and end=2.0 in .*line 2"),
        ("m.csv", "video,start\na.mp4,-1\n", "start >= 0 in seconds, got '-1' in .*line 2"),
        ("m.csv", "video,end\na.mp4,1:30\n", "end >= 0 in seconds, got '1:30' in .*line 2"),
        ("m.csv", "video,end\na.mp4,nan\n", "end >= 0 in seconds, got 'nan' in .*line 2"),
        ("m.csv", "id,video,text\na,a.mp4,dog, barking\n", "Expected 3 cells, got 4 in .*line 2; .*quotation"),
        ("m.csv", 'video,text\na.mp4,"dog\nb.mp4,cat\n', "Expected a table, got .*line 3"),
        ("m.csv", "id,video,audio\na,,\n", "a video or an audio file, got neither in .*line 2"),
        ("m.csv", "id,video\n,a.mp4\n", "Expected an id, got an empty one in .*line 2"),
        ("m.csv", "id,video,text,Text\na,a.mp4,b,c\n", "Expected one text, got 2 in .*m.csv, line 1"),
        ("m.jsonl", '{"video": "a.mp4", "text": "a", "text": "b"}', "Expected one text, got 2 in .*line 1"),
        ("m.csv", "video,audio_track\na.mp4,-1\n", "audio_track to count sound tracks from 0, got '-1' in .*line 2"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(ValueError, match=message) as error:
        read_manifest(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_a_row_in_another_encoding_has_a_reason_and_the_others_go_on(tmp_path: Path) -> None:
    text = "id,video,text,label\na,a.mp4,a bell,b\nb,a.mp4,Vögel,b\nc,a.mp4,Vögel,b\n".encode()
    path = tmp_path / "m.csv"
    path.write_bytes(text.replace("Vögel".encode(), "Vögel".encode("latin-1"), 1))
    first, second, third = read_manifest(path)
    shown = r"V\xf6gel"
    assert (first.text, first.error, third.text, third.error) == ("a bell", None, "Vögel", None)
    assert (second.id, second.text, second.label) == ("b", None, "b")  # the label does not stand in for the caption
    assert second.error == f"Expected text in UTF-8, got {shown!r} in {path}, line 3; is it in another encoding?"


def test_utf_16_and_names_and_ids_that_are_not_utf_8(tmp_path: Path) -> None:
    path = write(tmp_path / "m.tsv", "id\tvideo\ttext\na\ta.mp4\tVögel\n", "utf-16")
    assert [entry.text for entry in read_manifest(path)] == ["Vögel"]
    path = tmp_path / "n.csv"
    path.write_bytes("id,video,text\nö,ö.mp4,a\nb,b.mp4,b\n".encode("latin-1"))
    first, second = read_manifest(path)
    assert (first.id, first.text, second) == ("\\xf6", "a", Entry("b", tmp_path / "b.mp4", None, "b"))
    assert "Expected id in UTF-8" in str(first.error)


def test_folder_with_captions_and_names_in_other_encodings(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "a.txt").write_bytes("Vögel".encode("latin-1"))
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.mp4")).touch()
    (tmp_path / "c.mp4").touch()
    first, second, third = read_manifest(tmp_path)
    assert (first.id, first.text) == ("a", None)
    assert "Expected a caption in UTF-8, got " in str(first.error)
    assert (second.id, third.id, third.error) == ("b\\xff", "c", None)


def test_ambiguous_folders_are_errors(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    with pytest.raises(ValueError, match="at least one clip, got none"):
        read_manifest(folder)
    with pytest.raises(ValueError, match="Expected a manifest file together with folder"):
        read_manifest(folder, tmp_path)
    for name in ("a.mp4", "a.wav", "a.mp3"):
        (folder / name).touch()
    with pytest.raises(ValueError, match=r"unique ids.* 'a' at a.mp4 and at a.wav"):
        read_manifest(folder)


def test_missing_manifest_or_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_manifest(tmp_path / "nowhere.csv")
    path = write(tmp_path / "m.csv", "id,label\na,b\n")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_manifest(path, tmp_path / "nowhere")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real clips are not here")
def test_real_manifests() -> None:
    entries = read_manifest(SHARED / "media/manifest.csv")
    assert len(entries) == 24
    assert all(entry.video is not None and entry.video.is_file() and entry.audio is None for entry in entries)
    assert entries[0].id == "-1pRmoJIGQc_000010"
    vggsound = read_manifest(SHARED / "vggsound/vgg-test.tsv", SHARED / "media/clips")
    assert len(vggsound) == 15221
    assert len({entry.text for entry in vggsound}) == 309
    assert {entry.id for entry in vggsound if entry.video and entry.video.is_file()} >= {"-1pRmoJIGQc_000010"}


@pytest.mark.parametrize("column", ["text", "caption", "label"])
def test_names_of_the_caption_column(tmp_path, column):
    (tmp_path / "m.csv").write_text(f"id,video,{column}\na,a.mp4,a dog\n")
    assert read_manifest(tmp_path / "m.csv")[0].text == "a dog"
