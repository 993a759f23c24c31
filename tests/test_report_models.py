"""The report of several models in headless Chromium: side by side, boxes that scroll, landmarks, on paper."""

import json

import pytest

for package in ("jinja2", "matplotlib", "pandas", "scipy"):
    pytest.importorskip(package)

from chromium import CLIPS, HELPERS, probe  # noqa: E402
from written_tables import page_rows, write_random  # noqa: E402

from torchmetrics_majorscore.report.page import write_report  # noqa: E402


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The page of two models, both with clips to play."""
    pytest.importorskip("av")
    folder = tmp_path_factory.mktemp("models")
    ids = ["ball", "disc", "noise"]
    tables = {
        "ours": write_random(folder / "ours.csv", ids, 1),
        "theirs": write_random(folder / "theirs.csv", ids[:2], 2),
    }
    rows = [{"id": clip, "video": f"{clip}.mp4", "text": f"the {clip}"} for clip in ids]
    (folder / "ours.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "theirs.jsonl").write_text(
        "\n".join(json.dumps({"id": row["id"], "audio": row["video"]}) for row in rows)
    )
    manifests = [folder / "ours.jsonl", folder / "theirs.jsonl"]
    return write_report(tables, folder / "page.html", manifests, folder=CLIPS)


def test_models_stand_side_by_side(models):
    found = probe(
        models,
        """
        const card = document.querySelector(".card");
        const player = (take) => [take.querySelector("h4").textContent, take.querySelector("video, audio").tagName];
        const players = [...card.querySelectorAll(".take")].map(player);
        const table = [...card.querySelectorAll("tr")].map((row) => [...row.cells].map((cell) => cell.textContent));
        const tops = [...card.querySelectorAll(".take, .about")].map((part) => part.getBoundingClientRect().top);
        return { players, table, tops, id: card.ariaLabel };
        """,
        "--window-size=1280,900",
    )
    assert len(set(found["tops"])) == 1
    assert len(found["tops"]) == 3
    rows = page_rows(models.read_text())
    assert found["players"] == [["ours", "VIDEO"], ["theirs", "AUDIO"]]
    assert found["table"][0] == ["Score", "ours", "theirs"]
    shown = [values[rows["clips"].index(found["id"])] for values in rows["values"]]
    best = ["MAJORScore average", *(f"{row[0]:.4f}" if row else "\u2013" for row in shown)]
    assert found["table"][1] == best


def test_one_score_of_all_models(models):
    found = probe(
        models,
        HELPERS
        + """
        const titles = () => [...get("clips").tHead.rows[0].cells].map((cell) => cell.textContent);
        const every = [titles().slice(0, 4), column(0), column(2)];
        type("view", "0");
        const beside = [titles(), column(0)];
        head(4).querySelector("button").click();
        return { every, beside, sorted: [column(2), column(3), column(4)] };
        """,
    )
    rows = page_rows(models.read_text())
    assert found["every"][0] == ["Clip", "Caption", "Model", "MAJORScore average"]
    assert found["every"][1:] == [["ball", "ball", "disc", "disc", "noise"], ["ours", "theirs"] * 2 + ["ours"]]
    assert found["beside"] == [["Clip", "Caption", "ours", "theirs", "ours \u2212 theirs"], ["ball", "disc", "noise"]]
    ours, theirs, differences = found["sorted"]
    assert [theirs[-1], differences[-1]] == ["\u2013", "\u2013"]
    assert sorted(ours[:2]) == sorted(f"{row[0]:.4f}" for row in rows["values"][0][:2])
    expected = [float(a) - float(b) for a, b in zip(ours[:2], theirs[:2], strict=True)]
    assert list(map(float, differences[:2])) == pytest.approx(expected)
    assert expected[0] >= expected[1]


def test_only_boxes_that_scroll_say_so(models):
    found = probe(
        models,
        """
        document.body.style.width = "390px";
        await new Promise((done) => setTimeout(done, 300));
        const hint = (box) => getComputedStyle(box, "::before").content.includes("Scrolls sideways");
        const state = (box) => [hint(box), box.tabIndex, box.scrollWidth > box.clientWidth];
        return [...document.querySelectorAll(".scroll")].map(state);
        """,
        "--window-size=500,800",
    )
    assert [True, 0, True] in found
    assert [False, -1, False] in found
    assert all(said is scrolls and tab == scrolls - 1 for said, tab, scrolls in found)


def test_landmarks_have_names_of_their_own(models):
    found = probe(
        models,
        """
        const marks = document.querySelectorAll("section, nav, [role=region], [role=search]");
        const name = (mark) => mark.ariaLabel ?? get(mark.getAttribute("aria-labelledby")).textContent;
        return [...marks].map((mark) => `${mark.role ?? mark.tagName} ${name(mark)}`);
        """,
    )
    assert len(found) > 10
    assert len(set(found)) == len(found)
    names = [name.split(" ", 1)[1] for name in found if not name.startswith(("NAV", "search"))]
    assert len(set(names)) == len(names)


def test_on_paper(models):
    """Chromium's command line prints only to a file: the print style is put on the screen instead."""
    copy = models.with_name("paper.html")
    style = models.read_text().replace("@media screen {", "@media not all {").replace("@media print", "@media screen")
    copy.write_text(style)
    found = probe(
        copy,
        """
        const find = (query) => document.querySelector(query), style = (query) => getComputedStyle(find(query));
        return {
          player: style("video").display, poster: style("video + img").display,
          same: find("video + img").src === find("video").poster, sound: style(".take p.paper").display,
          box: style(".scroll").overflowX, heading: style("h2").breakAfter,
          figure: style("figure").breakInside, row: style("tr").breakInside,
          buttons: style(".save").display, controls: style("#controls").display,
        };
        """,
    )
    assert found == {
        "player": "none",
        "poster": "block",
        "same": True,
        "box": "visible",
        "heading": "avoid",
        "figure": "avoid",
        "row": "avoid",
        "buttons": "none",
        "controls": "none",
        "sound": "block",
    }
