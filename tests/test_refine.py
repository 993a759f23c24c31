"""Candidates ranked per prompt, and manifests split into clips to keep and clips to reject."""

import csv
import json
import math

import numpy as np
import pytest

pytest.importorskip("pandas")

from written_tables import frame

from torchmetrics_majorscore.tables import manifest
from torchmetrics_majorscore.tables.ranking import best_candidates, rank_candidates
from torchmetrics_majorscore.tables.refine import judge, split_manifest

NAN = math.nan


def test_candidates_are_ranked_per_prompt_with_ties_by_id_and_nan_last():
    table = frame({"q/2": 0.5, "p/b": 0.7, "p/c": NAN, "p/a": 0.7, "p/d": 0.9, "q/1": 0.5, "r/x": NAN})
    ranked = rank_candidates(table, "majorscore_average")
    assert ranked.index.get_level_values("id").tolist() == ["p/d", "p/a", "p/b", "p/c", "q/1", "q/2", "r/x"]
    assert ranked["rank"].fillna(0).tolist() == [1, 2, 3, 0, 1, 2, 0]
    assert ranked.equals(rank_candidates(table.iloc[::-1], "majorscore_average"))
    assert best_candidates(ranked, 1).index.tolist() == [("p", "p/d"), ("q", "q/1")]


def test_fairscore_is_a_penalty_or_ranks_from_low_to_high():
    table = frame({"p/a": 0.8, "p/b": 0.7}, fair=[0.5, 0.1])
    assert rank_candidates(table, "majorscore_average").index[0] == ("p", "p/a")
    ranked = rank_candidates(table, "majorscore_average", penalty=0.5)
    assert ranked["score"].to_dict() == pytest.approx({("p", "p/b"): 0.65, ("p", "p/a"): 0.55})
    assert rank_candidates(table, "fairscore").index[0] == ("p", "p/b")
    prompts = {"p/a": "one", "p/b": "two"}
    assert rank_candidates(table, "fairscore", prompts)["rank"].tolist() == [1, 1]
    for options in (
        {"penalty": -1},
        {"penalty": NAN},
        {"prompts": {"p/a": "one"}},
        {"column": "fairscore", "penalty": 1},
    ):
        with pytest.raises(ValueError, match=r"^Expected"):
            rank_candidates(table, **{"column": "majorscore_average", **options})


def reasons(values, *, column="majorscore_average", error="", **options):
    return judge(frame(values, error=error, column=column), column, **options)["reason"].tolist()


def test_a_score_at_the_limit_is_kept():
    assert reasons({"a": 0.2, "b": 0.1, "c": NAN}, threshold=0.2) == [
        "",
        "majorscore_average below 0.2",
        "no majorscore_average",
    ]
    assert reasons({"a": 0.2, "b": 0.1}, threshold=0.1, column="fairscore") == ["fairscore above 0.1", ""]
    assert reasons({"a": 0.2, "b": 0.1}, threshold=0.0, error=["late", ""]) == ["late", ""]


def test_a_quantile_rejects_the_worst_share_of_all_or_of_each_class():
    values = {f"{name}{index}": index + (100 if name == "b" else 0) for name in "ab" for index in range(10)}
    kept = [not reason for reason in reasons(values, quantile=0.2)]
    assert kept == [False] * 4 + [True] * 16
    classes = {clip: clip[0] for clip in values}
    assert [not reason for reason in reasons(values, quantile=0.2, classes=classes)] == ([False] * 2 + [True] * 8) * 2
    del classes["a7"]
    assert reasons(values, quantile=0.2, classes=classes)[7] == "no class"
    low = reasons(values, quantile=0.2, column="fairscore")
    assert [not reason for reason in low] == [True] * 16 + [False] * 4
    assert reasons({"a": 0.1, "b": 0.1, "c": 0.1}, quantile=0.5) == [""] * 3
    assert reasons({"a": 0.1}, quantile=0.5) == [""]
    assert reasons({}, quantile=0.5) == []


@pytest.mark.parametrize(
    "options",
    [{}, {"threshold": 1, "quantile": 0.1}, {"quantile": 1}, {"threshold": NAN}, {"threshold": 1, "classes": {}}],
)
def test_a_limit_that_is_none_is_an_error(options):
    with pytest.raises(ValueError, match=r"^Expected"):
        reasons({"a": 1}, **options)


MANIFESTS = {
    "m.csv": "id,video,text,note\n{}",
    "m.tsv": "id\tlabel\n{}",
    "list.tsv": "{}",
    "m.jsonl": "{}",
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_kept_and_rejected_are_the_input(name, tmp_path):
    draw = np.random.default_rng(5)
    clips = [f"c{index}" for index in range(50)]
    cells = [{"id": clip, "video": f"{clip}.mp4", "text": f'a "{clip}", loud', "note": " kept "} for clip in clips]
    if name == "m.jsonl":
        rows = "".join(json.dumps({**cell, "tags": [1, {"x": None}]}) + "\n" for cell in cells)
    elif name == "m.csv":
        rows = "".join(f'{c["id"]},{c["video"]},"a ""{c["id"]}"", loud", kept \n' for c in cells)
    else:
        rows = "".join(f"{clip}\tdog {index % 3}\n" for index, clip in enumerate(clips))
    (tmp_path / name).write_text(MANIFESTS[name].format(rows))
    table = frame(dict(zip(clips[:45], draw.normal(size=45), strict=True)))
    table.loc[["c3", "c4"], "error"] = "no picture"
    table.loc["other"] = [9.0, 0.0, "", ""]
    by_class = "label" if name.endswith("tsv") else None
    parts = split_manifest(tmp_path / name, table, "majorscore_average", quantile=0.3, by_class=by_class)
    written = {part: read_any(path) for part, (path, _) in parts.items()}
    assert {part: len(rows) for part, rows in written.items()} == {part: count for part, (_, count) in parts.items()}
    both = sorted(written["kept"] + written["rejected"], key=lambda row: clips.index(row["id"]))
    assert [row["id"] for row in both] == clips
    original = read_any(tmp_path / name, header=["id", "label"] if name == "list.tsv" else None)
    assert [{k: v for k, v in row.items() if k not in ("score", "reason")} for row in both] == original
    assert all(not row["reason"] for row in written["kept"])
    found = {row["id"]: row["reason"] for row in written["rejected"]}
    assert all(found.values())
    assert (found["c3"], found["c49"]) == ("no picture", "not scored")
    again = split_manifest(parts["kept"][0], table, "majorscore_average", threshold=-9)
    assert again["kept"][1] == parts["kept"][1]  # and what was written is a manifest


CELLS = (
    'id,video,label,score,note\na,=1.mp4,dog,7,"x, ""y"""\nb,b.mp4, cat ,8,\'=z\n-c,c.mp4,dog,9,-1+(2)\nd,d.mp4,,1,\n'
)


@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
def test_arrows_columns_are_written_as_rows_are(name, tmp_path, monkeypatch):
    pq = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(manifest, "ROWS", 1)  # rows that are written at a time
    (tmp_path / "m.csv").write_text(CELLS)
    if name == "m.parquet":
        pq.write_table(manifest.read_plain(tmp_path / "m.csv", lambda _: False), tmp_path / name)
    table = frame({"b": 0.1, "a": 0.30000001192092896, "-c": 0.2, "e": 1.0})
    found = []
    for plain in (True, False):
        assert isinstance(manifest.read_listed(tmp_path / name), manifest.ListedColumns) is plain
        how = {"quantile": 0.6, "by_class": "label", "folder": tmp_path / str(plain)}
        parts = split_manifest(tmp_path / name, table, "majorscore_average", **how)
        read = (lambda path: path.read_bytes()) if name == "m.csv" else lambda path: pq.read_table(path).to_pylist()
        found.append({part: (count, read(path)) for part, (path, count) in parts.items()})
        monkeypatch.setattr(manifest, "ListedColumns", type("Never", (manifest.ListedColumns,), {}))
        monkeypatch.setattr(manifest, "_has_plain_ids", lambda _: False)
    assert found[0] == found[1]
    assert [found[0][part][0] for part in ("kept", "rejected")] == [2, 2]


@pytest.mark.parametrize("ids", [" a", "a\na", '""'])
def test_ids_that_are_not_plain_are_left_to_the_reader_that_explains_them(ids, tmp_path):
    (tmp_path / "m.csv").write_text("id,video\n" + "".join(f"{one},x.mp4\n" for one in ids.split("\n")))
    assert not manifest._has_plain_ids(manifest.read_plain(tmp_path / "m.csv", lambda _: False))


def read_any(path, header=None):
    with path.open(newline="") as file:
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in file]
        return list(csv.DictReader(file, header, delimiter="\t" if path.suffix == ".tsv" else ","))
