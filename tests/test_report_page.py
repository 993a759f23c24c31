"""The report in headless Chromium, where there is one: its gallery, sorting, filtering, playing."""

import csv
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

for package in ("jinja2", "matplotlib", "pandas", "scipy"):
    pytest.importorskip(package)

from written_tables import EVIL, page_rows, write_random  # noqa: E402

from torchmetrics_majorscore.report.page import write_report  # noqa: E402

CLIPS = Path(__file__).parents[1] / "docs" / "clips"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """The page of the clips in docs/clips, with one more that does not exist."""
    pytest.importorskip("av")
    folder = tmp_path_factory.mktemp("gallery")
    path = write_random(folder / "scores.csv", ["ball", "disc", "noise", "gone"])
    with (CLIPS / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    manifest = folder / "manifest.jsonl"
    rows.append({"id": "gone", "video": "gone.mp4", "text": "a clip that was deleted"})
    manifest.write_text("\n".join(map(json.dumps, rows)))
    return write_report({"scores": path}, folder / "page.html", [manifest], folder=CLIPS)


def test_the_gallery_has_thumbnails_players_and_reasons(gallery):
    page = gallery.read_text()
    assert page.count("<video controls") == 3
    assert len(re.findall(r'poster="data:image/jpeg;base64,/9j/', page)) == 3
    assert len(re.findall(r'src="data:video/mp4;base64,', page)) == 3
    assert "Expected a media file" in page
    assert len(page) < 600_000


def probe(page, script, *flags):
    """Open a copy of the page with a script at its end, and give what the script returns."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    body = f"(async () => {{ {script} }})().catch(String).then(r => document.body.dataset.found = JSON.stringify(r))"
    copy = page.with_name("probed.html")
    copy.write_text(page.read_text().replace("</body>", f"<script>{body}</script></body>"))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", *flags]
    command += [f"--user-data-dir={page.with_name('profile')}", "--dump-dom", copy.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return json.loads(html.unescape(re.search(r'data-found="([^"]*)"', done.stdout)[1]))


@pytest.fixture
def page(tmp_path):
    ids = ["beta", "alpha", *(f"clip-{k}" for k in range(120))]
    return write_report(
        {"scores": write_random(tmp_path / "scores.csv", ids, missing=("alpha",))}, tmp_path / "page.html"
    )


HELPERS = """
const column = (k) => [...get("clips").tBodies[0].rows].map((row) => row.cells[k].textContent);
const head = (k) => get("clips").tHead.rows[0].cells[k];
const type = (id, value) => { get(id).value = value; get(id).dispatchEvent(new Event("input", { bubbles: true })); };
"""


def test_sorting(page):
    found = probe(
        page,
        HELPERS
        + """
        const button = head(1).querySelector("button");
        button.focus();
        button.click();
        const down = [head(1).getAttribute("aria-sort"), column(1), document.activeElement === button];
        button.click();
        const up = [head(1).getAttribute("aria-sort"), column(1)];
        type("size", "500");
        const last = column(0).at(-1);
        head(0).querySelector("button").click();
        return { down, up, last, ids: column(0).slice(0, 4), old: head(1).getAttribute("aria-sort") };
        """,
    )
    rows = page_rows(page.read_text())["values"][0]
    values = sorted((row[0] for row in rows if row[0] is not None), reverse=True)
    assert found["down"] == ["descending", [f"{value:.4f}" for value in values[:25]], True]
    assert found["up"] == ["ascending", [f"{value:.4f}" for value in values[:-26:-1]]]
    assert found["last"] == "alpha"  # without a value, last both ways
    assert found["ids"] == ["alpha", "beta", "clip-0", "clip-1"]
    assert found["old"] is None


def test_filtering_and_pages(page):
    found = probe(
        page,
        HELPERS
        + """
        const status = () => get("status").textContent;
        get("next").click();
        const second = [status(), get("previous").disabled, column(0)[0]];
        type("query", "CLIP-11");
        const few = [status(), column(0).length, get("next").disabled];
        type("query", "audio stream");
        const error = column(0);
        type("query", ""); type("least", "0.5"); type("most", "0.6");
        const between = column(1).map(Number);
        type("least", "9");
        return { second, few, error, between, none: status() };
        """,
    )
    assert found["second"] == ["Rows 26 to 50 of 122.", False, "clip-23"]
    assert found["few"] == ["Rows 1 to 11 of 11, filtered from 122.", 11, True]
    assert found["error"] == ["alpha"]
    assert found["between"]
    assert all(0.5 <= value <= 0.6 for value in found["between"])
    assert found["none"] == "No row of 122 fits."


def test_a_player_plays(gallery):
    found = probe(
        gallery,
        """
        const video = document.querySelector("video");
        video.muted = true;
        await video.play();
        await new Promise((done) => video.addEventListener("timeupdate", () => video.currentTime > 0 && done()));
        return { time: video.currentTime, width: video.videoWidth, seconds: video.duration, label: video.ariaLabel };
        """,
        "--autoplay-policy=no-user-gesture-required",
    )
    assert found["time"] > 0
    assert found["width"] > 0
    assert found["seconds"] > 0.5
    assert ": " in found["label"]


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


def test_figures_are_saved(page):
    found = probe(
        page,
        """
        const saved = [], named = [];
        URL.createObjectURL = (file) => { saved.push(file); return "blob:x"; };
        HTMLAnchorElement.prototype.click = function () { named.push(this.download); };
        for (const button of document.querySelectorAll("figure:nth-of-type(2) .save button")) {
          button.click();
          await new Promise((done) => setTimeout(done, 300));
        }
        const image = await createImageBitmap(saved[1]), { width, height } = image;
        const brush = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
        brush.drawImage(image, 0, 0);
        const pixels = brush.getImageData(0, 0, width, height).data;
        const dark = pixels.filter((value, k) => k % 4 === 0 && value < 60).length;
        const types = saved.map((file) => file.type), corner = [...pixels.slice(0, 4)];
        return { svg: await saved[0].text(), types, named, width, corner, dark };
        """,
    )
    assert found["named"] == ["majorscore-means.svg", "majorscore-means.png"]
    assert found["types"] == ["image/svg+xml", "image/png"]
    assert found["svg"].startswith("<svg")
    assert "currentColor" not in found["svg"]
    assert "#1b1f24" in found["svg"]
    assert (found["width"], found["corner"]) == (1600, [255, 255, 255, 255])
    assert found["dark"] > 1000  # text and axes are there


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


def test_paper_has_the_rows_of_all_pages(page):
    found = probe(
        page,
        HELPERS
        + """
        const count = () => column(0).length, counts = [count()];
        get("next").click();
        for (const name of ["beforeprint", "afterprint"]) {
          dispatchEvent(new Event(name));
          counts.push(count(), get("status").textContent);
        }
        return counts;
        """,
    )
    assert found == [25, 122, "Rows 1 to 122 of 122.", 25, "Rows 26 to 50 of 122."]


def test_long_reasons_open_when_focused(tmp_path):
    reason = "a reason of many words " * 20
    path = write_random(tmp_path / "scores.csv", ["a", "b"], missing=["a"], reason=reason)
    found = probe(
        write_report({"scores": path}, tmp_path / "page.html"),
        """
        const cut = document.querySelector("#clips .cut"), closed = cut.clientHeight;
        cut.focus();
        return { closed, open: cut.clientHeight, hidden: cut.scrollHeight - cut.clientHeight, text: cut.textContent };
        """,
    )
    assert found["closed"] < 60 < found["open"]
    assert (found["hidden"], found["text"]) == (0, reason)


def test_scripts_in_captions_do_not_run(tmp_path):
    path = write_random(tmp_path / "scores.csv", [EVIL, "b"])
    found = probe(
        write_report({"scores": path}, tmp_path / "page.html"), HELPERS + "return [document.title, column(0)[0]];"
    )
    assert found == ["MAJORScore report", EVIL]


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_not_wider_than_the_window(gallery, width):
    script = f"""
        const frame = document.createElement("iframe");
        frame.style.width = "{width}px";
        frame.srcdoc = document.documentElement.outerHTML.replace(/<script>\\(async.*?<\\/script>/s, "");
        const loaded = new Promise((done) => frame.addEventListener("load", done));
        document.body.append(frame);
        await loaded;
        const root = frame.contentDocument.documentElement;
        return [root.clientWidth, root.scrollWidth];
    """
    client, scroll = probe(gallery, script)
    assert scroll <= client
