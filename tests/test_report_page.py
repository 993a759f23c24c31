"""The report in headless Chromium, where there is one: its gallery, sorting, filtering, playing, saving."""

import csv
import json
import re

import pytest

for package in ("jinja2", "matplotlib", "pandas", "scipy"):
    pytest.importorskip(package)

from chromium import CLIPS, HELPERS, probe  # noqa: E402
from written_tables import EVIL, page_rows, write_random  # noqa: E402

from torchmetrics_majorscore.report.page import write_report  # noqa: E402


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


@pytest.fixture
def page(tmp_path):
    ids = ["beta", "alpha", *(f"clip-{k}" for k in range(120))]
    return write_report(
        {"scores": write_random(tmp_path / "scores.csv", ids, missing=("alpha",))}, tmp_path / "page.html"
    )


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


def test_figures_are_saved(page):
    found = probe(
        page,
        """
        const saved = [], named = [];
        URL.createObjectURL = (file) => { saved.push(file); return "blob:x"; };
        HTMLAnchorElement.prototype.click = function () { named.push(this.download); };
        for (const button of document.querySelectorAll("figure:nth-of-type(2) .save button")) {
          const before = named.length;
          button.click();
          while (named.length === before) await new Promise((done) => setTimeout(done, 10));
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
