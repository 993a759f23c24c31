"""The report: what stands in the page, and what is refused."""

import html
import json
import math
import re

import numpy as np
import pytest

for package in ("jinja2", "matplotlib", "pandas", "scipy"):
    pytest.importorskip(package)

from written_tables import COLUMNS, EVIL, SIGNATURE, frame, page_rows, write_random  # noqa: E402

from torchmetrics_majorscore.report import clips  # noqa: E402
from torchmetrics_majorscore.report.clips import list_clips  # noqa: E402
from torchmetrics_majorscore.report.gallery import make_groups, pick_clips  # noqa: E402
from torchmetrics_majorscore.report.page import write_report  # noqa: E402
from torchmetrics_majorscore.report.summary import BASELINE, count_clips, give_means, subtract  # noqa: E402
from torchmetrics_majorscore.statistics.bootstrap import bootstrap  # noqa: E402
from torchmetrics_majorscore.tables.read import read_scores  # noqa: E402

IDS = [f"clip-{k}" for k in range(40)]


def test_summary_figures_and_rows(tmp_path):
    path = write_random(tmp_path / "scores.csv", IDS)
    page = write_report({"scores": path}, tmp_path / "new" / "page.html").read_text()
    table = read_scores(path)[0]
    found = bootstrap(lambda x: float(np.mean(x)), table["majorscore_average"])
    assert f"{found.value:.4f} <small>[{found.low:.4f}, {found.high:.4f}]</small>" in page
    assert SIGNATURE in page
    assert "1000 resamples, seed 0" in page
    assert page.count("<svg") == page.count('role="img" aria-label=') == 3
    assert page_rows(page)["clips"] == IDS
    assert page_rows(page)["scores"][0] == "MAJORScore average"
    assert page_rows(page)["values"][0][3][0] == pytest.approx(table["majorscore_average"].iloc[3], abs=5e-5)
    assert "These scores mean nothing" not in page


def test_the_page_needs_no_network_and_is_reproducible(tmp_path):
    path = write_random(tmp_path / "scores.csv", IDS)
    page = write_report({"scores": path}, tmp_path / "page.html").read_text()
    assert not re.findall(r'(?:src|href|poster)="(?!#|data:)[^"]*"', page)
    assert "default-src 'none'" in page
    assert page == write_report({"scores": path}, tmp_path / "again.html").read_text()
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_several_models_and_a_mispaired_table(tmp_path):
    columns = (*COLUMNS, *BASELINE)
    ours = write_random(tmp_path / "ours" / "scores.csv", IDS, 1, columns=columns)
    theirs = write_random(tmp_path / "theirs" / "scores.csv", IDS[5:], 2, columns=columns)
    wrong = write_random(tmp_path / "wrong.csv", IDS, 3, columns=columns)
    page = write_report({"ours": ours, "theirs": theirs}, tmp_path / "page.html", mispaired=wrong).read_text()
    for text in ("ours \u2212 theirs", "AUROC", "Sorted scores", "ours (mispaired)", "CLIPCLAP product"):
        assert text in page
    assert page.count("<svg") == 5
    assert "n = 35" in page
    found = page_rows(page)
    assert (found["models"], found["clips"]) == (["ours", "theirs"], IDS)
    assert [clip for clip, row in zip(IDS, found["values"][1], strict=True) if row is None] == IDS[:5]
    for path, rows in zip((ours, theirs), found["values"], strict=True):
        averages = read_scores(path)[0]["majorscore_average"]
        for clip in IDS[5:]:
            assert rows[IDS.index(clip)][0] == pytest.approx(averages[clip], abs=5e-5)


def test_differences_are_the_first_less_the_other_as_compare_gives_them():
    one, two = (frame(values).assign(majorscore_sum=0.0) for values in ({"a": 0.5, "b": 0.7}, {"b": 0.4, "a": 0.3}))
    (found,) = give_means([subtract(one, two.drop(columns="majorscore_sum"))])
    assert found["majorscore_average"].value == pytest.approx(0.25)
    assert "majorscore_sum" not in found


def test_of_very_many_clips_the_page_lists_a_sample_that_it_names(tmp_path, monkeypatch):
    monkeypatch.setattr(clips, "LISTED", 15)
    one, two = (write_random(tmp_path / f"{name}.csv", ids, 1) for name, ids in (("a", IDS), ("b", [*IDS[5:], "more"])))
    write_report({"a": one, "b": two}, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    found, cards = page_rows(page), set(re.findall(r'<article class="card" [^>]*aria-label="([^"]*)"', page))
    listed = found["clips"]
    assert len(cards) >= 10
    assert cards < set(listed) < {*IDS, "more"}
    assert listed == [clip for clip in [*IDS, "more"] if clip in listed]
    assert f"{len(listed)} of 41 clips: those of the gallery, and others drawn at random with seed 0." in page
    assert "A sample of the clips" in page
    assert "n = 40" in page  # figures and means are of all
    averages = read_scores(two)[0]["majorscore_average"]
    for clip, row in zip(listed, found["values"][1], strict=True):
        assert (row is None) == (clip not in averages)
        assert row is None or row[0] == pytest.approx(averages[clip], abs=5e-5)


def test_missing_values_are_left_out_and_listed(tmp_path):
    path = write_random(tmp_path / "scores.csv", IDS, missing=IDS[:3])
    page = write_report({"scores": path}, tmp_path / "page.html").read_text()
    assert "40 clips, 3 with an error" in page
    assert "n = 37" in page
    found = page_rows(page)
    assert found["notes"] == {"Error": [{str(k): "no audio stream" for k in range(3)}]}
    assert None in found["values"][0][0]
    assert None not in found["values"][0][3]
    assert "NaN" not in re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)


def test_an_empty_table_and_one_without_values(tmp_path):
    page = write_report({"empty": write_random(tmp_path / "empty.csv", [])}, tmp_path / "page.html").read_text()
    assert "no value" in page
    assert page_rows(page)["clips"] == []
    path = write_random(tmp_path / "failed.csv", IDS, missing=IDS)
    assert "No such clip." in write_report({"scores": path}, tmp_path / "page.html").read_text()


def test_seeded_weights_are_said(tmp_path):
    path = write_random(tmp_path / "scores.csv", IDS, signature=SIGNATURE.replace("@", "-seeded@"))
    assert "These scores mean nothing" in write_report({"scores": path}, tmp_path / "page.html").read_text()


def test_captions_ids_and_names_are_escaped(tmp_path):
    path = write_random(tmp_path / "_$<b>.csv", [EVIL, "b", "c"])
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("\n".join(json.dumps({"id": i, "video": "no.mp4", "text": EVIL}) for i in (EVIL, "b", "c")))
    page = write_report({"scores": path}, tmp_path / "page.html", [manifest]).read_text()
    assert "<img src=x" not in page
    assert "<script>document.title" not in page
    assert "<b>" not in page
    assert html.escape(EVIL, quote=False).replace('"', "&#34;").replace("'", "&#39;") in page
    assert page_rows(page)["clips"][0] == page_rows(page)["captions"][0] == EVIL


def test_ids_stay_text(tmp_path):
    page = write_report(
        {"scores": write_random(tmp_path / "scores.csv", ["007", "NA", "1e5"])}, tmp_path / "page.html"
    ).read_text()
    assert page_rows(page)["clips"] == ["007", "NA", "1e5"]


def test_without_a_manifest_the_gallery_lists_ids(tmp_path):
    page = write_report({"scores": write_random(tmp_path / "scores.csv", IDS)}, tmp_path / "page.html").read_text()
    assert "<video" not in page
    assert "<audio" not in page
    assert "only ids" in page
    assert page.count("<article") == 12


def test_tables_that_do_not_compare_are_refused(tmp_path):
    one, two = write_random(tmp_path / "a.csv", IDS), write_random(tmp_path / "b.csv", IDS, signature="other")
    output = tmp_path / "page.html"
    for arguments in ({"tables": {"a": one, "b": two}}, {"tables": {"a": one}, "mispaired": two}):
        with pytest.raises(ValueError, match=r"^Expected tables of one signature, got .* and other in [^\n]*$"):
            write_report(output=output, **arguments)
    assert not output.exists()


def test_mistakes_are_refused_in_one_line(tmp_path):
    path = write_random(tmp_path / "scores.csv", IDS)
    page = tmp_path / "page.html"
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("id,video\nother,a.mp4\n")
    for match, call in {
        "Expected an output that ends in .html": lambda: write_report({"scores": path}, path),
        "got 0 tables": lambda: write_report({}, page),
        "none of its ids": lambda: write_report({"scores": path}, page, [manifest]),
        "got 1 tables and 2 manifests": lambda: write_report({"scores": path}, page, [manifest, manifest]),
        "Expected a manifest together": lambda: write_report({"scores": path}, page, folder=tmp_path),
        "got majorscore_average": lambda: write_report({"list": manifest_with_summary(tmp_path)}, page),
    }.items():
        with pytest.raises(ValueError, match=match) as caught:
            call()
        assert "\n" not in str(caught.value)
    (tmp_path / "scores.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"and its \.json"):
        write_report({"scores": path}, page)


def manifest_with_summary(folder):
    (folder / "list.csv").write_text("id,video,error\na,1,\n")
    (folder / "list.json").write_text('{"signature": "x"}')
    return folder / "list.csv"


def test_remarks_are_counted_and_listed():
    table = frame({"a": 0.1, "b": 0.2, "c": 0.3}, error=["", "gone", ""]).assign(remarks=["", "silent", "cut end"])
    assert count_clips(table) == "3 clips, 1 with an error, 2 with a remark"
    found = list_clips({"x": table, "y": table.assign(error="", remarks="")}, None, ["c", "a", "b"])
    assert found["notes"] == {"Error": [{2: "gone"}, {}], "Remarks": [{0: "cut end", 2: "silent"}, {}]}
    assert "remarks" not in found["scores"]


def test_cards_give_the_values_of_all_models():
    columns = dict.fromkeys(("similarity_video_text", "similarity_text_audio", "similarity_video_audio"), 0.0)
    one, two = frame({"a": 0.5, "b": 0.7}).assign(**columns), frame({"b": 0.4}).assign(**columns)
    best = make_groups({"one": one, "two": two}, {})[0]["cards"]
    assert [card["id"] for card in best] == ["b"]
    assert best[0]["values"]["majorscore_average"] == [0.7, 0.4]
    worst = make_groups({"one": one, "two": two}, {})[1]["cards"]
    assert worst[0]["values"]["majorscore_average"] == [0.5, pytest.approx(math.nan, nan_ok=True)]


def test_the_gallery_picks_by_the_average_and_by_the_distance_of_the_ranks():
    import pandas as pd

    table = pd.DataFrame(
        {
            "majorscore_average": [0.1, 0.9, 0.5, 0.3, math.nan, 0.7, 0.6],
            "similarity_video_text": [0.0, 0.9, 0.8, 0.7, 0.9, 0.2, 0.1],
            "similarity_text_audio": [0.7, 0.8, 0.1, 0.0, 0.0, 0.5, 0.9],
        },
        index=list("abcdefg"),
    )
    picked = pick_clips(table)
    assert picked["best"] == ["b", "f", "g"]
    assert picked["worst"] == ["a", "d", "c"]
    assert picked["similarity_text_audio"] == ["c", "d"]  # ranks 5 and 2, 4 and 1
    assert picked["similarity_video_text"] == ["g", "a"]  # ranks 2 and 6, 1 and 4
