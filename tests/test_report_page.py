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
    return write_report({"scores": path}, folder / "page.html", manifest, folder=CLIPS)


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
    values = sorted((row[1] for row in page_rows(page.read_text())["rows"] if row[1] is not None), reverse=True)
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
    assert found["second"] == ["Clips 26 to 50 of 122.", False, "clip-23"]
    assert found["few"] == ["Clips 1 to 11 of 11, filtered from 122.", 11, True]
    assert found["error"] == ["alpha"]
    assert found["between"]
    assert all(0.5 <= value <= 0.6 for value in found["between"])
    assert found["none"] == "No clip of 122 fits."


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
