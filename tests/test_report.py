"""The report: what stands in the page, what is refused, and, where there is Chromium, how the page behaves."""

import csv
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

for package in ("jinja2", "matplotlib", "pandas", "scipy"):
    pytest.importorskip(package)

from torchmetrics_majorscore.evaluation import figures  # noqa: E402
from torchmetrics_majorscore.evaluation.consistency import bootstrap  # noqa: E402
from torchmetrics_majorscore.evaluation.reading import BASELINE, COLUMNS, read_tables  # noqa: E402
from torchmetrics_majorscore.evaluation.report import write_report  # noqa: E402

CLIPS = Path(__file__).parents[1] / "docs" / "clips"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SIGNATURE = "majorscore|enc:c-mcr@3f2a9c1d|pairs:video-text+text-audio|fps:1|pool:after|v:0.1.0"
EVIL = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">$x$ & {{7*7}}"


def write_table(path, ids, seed=0, signature=SIGNATURE, columns=COLUMNS, missing=(), seeded=False):
    """Write a table as ``majorscore score`` does; clips in ``missing`` have no sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", *columns, "error"])
        for clip in ids:
            values = [f"{value:.9g}" for value in generator.uniform(-0.2, 0.8, len(columns))]
            values = values if clip not in missing else [values[0], *[""] * (len(columns) - 1)]
            writer.writerow([clip, *values, "no audio stream" if clip in missing else ""])
    path.with_suffix(".json").write_text(json.dumps({"signature": signature, "seeded": seeded}))
    return path


def data(page):
    """Give the rows that the page's script reads."""
    return json.loads(re.search(r'id="rows">(.*?)</script>', page, re.DOTALL)[1])


IDS = [f"clip-{k}" for k in range(40)]


def test_summary_figures_and_rows(tmp_path):
    path = write_table(tmp_path / "scores.csv", IDS)
    page = write_report([path], tmp_path / "new" / "page.html").read_text()
    frame = read_tables([path])[0][0].frame
    found = bootstrap(lambda x: float(np.mean(x)), frame["majorscore_average"])
    assert f"{found.value:.4f} <small>[{found.low:.4f}, {found.high:.4f}]</small>" in page
    assert SIGNATURE in page
    assert "1000 resamples, seed 0" in page
    assert page.count("<svg") == page.count('role="img" aria-label=') == 3
    assert [row[0] for row in data(page)["rows"]] == IDS
    assert data(page)["rows"][3][1] == pytest.approx(frame["majorscore_average"].iloc[3], abs=5e-5)
    assert "These scores mean nothing" not in page


def test_the_page_needs_no_network_and_is_reproducible(tmp_path):
    path = write_table(tmp_path / "scores.csv", IDS)
    page = write_report([path], tmp_path / "page.html").read_text()
    assert not re.findall(r'(?:src|href|poster)="(?!#|data:)[^"]*"', page)
    assert "default-src 'none'" in page
    assert page == write_report([path], tmp_path / "again.html").read_text()
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_several_models_and_a_mispaired_table(tmp_path):
    columns = (*COLUMNS, *BASELINE)
    ours = write_table(tmp_path / "ours" / "scores.csv", IDS, 1, columns=columns)
    theirs = write_table(tmp_path / "theirs" / "scores.csv", IDS[5:], 2, columns=columns)
    wrong = write_table(tmp_path / "wrong.csv", IDS, 3, columns=columns)
    page = write_report([ours, theirs], tmp_path / "page.html", mispaired=wrong).read_text()
    for text in ("Mean difference to ours", "AUROC", "Sorted scores", "ours (mispaired)", "CLIPCLAP product"):
        assert text in page
    assert page.count("<svg") == 5
    assert "n = 35" in page
    assert [row[0] for row in data(page)["rows"]] == ["ours"] * 40 + ["theirs"] * 35


def test_missing_values_are_left_out_and_listed(tmp_path):
    path = write_table(tmp_path / "scores.csv", IDS, missing=IDS[:3])
    page = write_report([path], tmp_path / "page.html").read_text()
    assert "40 clips, 3 with an error" in page
    assert "n = 37" in page
    assert data(page)["titles"][-1] == "Error"
    first = data(page)["rows"][0]
    assert first[-1] == "no audio stream"
    assert None in first
    assert "NaN" not in re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)


def test_an_empty_table_and_one_without_values(tmp_path):
    page = write_report([write_table(tmp_path / "empty.csv", [])], tmp_path / "page.html").read_text()
    assert "no value" in page
    assert data(page)["rows"] == []
    path = write_table(tmp_path / "failed.csv", IDS, missing=IDS)
    assert "No such clip." in write_report([path], tmp_path / "page.html").read_text()


def test_a_row_that_was_cut_off_is_left_out(tmp_path):
    path = write_table(tmp_path / "scores.csv", IDS)
    path.write_text(path.read_text()[:-3])
    assert len(read_tables([path])[0][0].frame) == 39


def test_seeded_weights_are_said(tmp_path):
    path = write_table(tmp_path / "scores.csv", IDS, seeded=True)
    assert "These scores mean nothing" in write_report([path], tmp_path / "page.html").read_text()


def test_captions_ids_and_names_are_escaped(tmp_path):
    path = write_table(tmp_path / "_$<b>.csv", [EVIL, "b", "c"])
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("\n".join(json.dumps({"id": i, "video": "no.mp4", "text": EVIL}) for i in (EVIL, "b", "c")))
    page = write_report([path], tmp_path / "page.html", manifest).read_text()
    assert "<img src=x" not in page
    assert "<script>document.title" not in page
    assert "<b>" not in page
    assert html.escape(EVIL, quote=False).replace('"', "&#34;").replace("'", "&#39;") in page
    assert data(page)["rows"][0][:2] == [EVIL, EVIL]


def test_ids_stay_text(tmp_path):
    page = write_report(
        [write_table(tmp_path / "scores.csv", ["007", "NA", "1e5"])], tmp_path / "page.html"
    ).read_text()
    assert [row[0] for row in data(page)["rows"]] == ["007", "NA", "1e5"]


def test_without_a_manifest_the_gallery_lists_ids(tmp_path):
    page = write_report([write_table(tmp_path / "scores.csv", IDS)], tmp_path / "page.html").read_text()
    assert "<video" not in page
    assert "<audio" not in page
    assert "only ids" in page
    assert page.count("<article") == 12


def test_tables_that_do_not_compare_are_refused(tmp_path):
    one, two = write_table(tmp_path / "a.csv", IDS), write_table(tmp_path / "b.csv", IDS, signature="other")
    output = tmp_path / "page.html"
    for arguments in ({"tables": [one, two]}, {"tables": [one], "mispaired": two}):
        with pytest.raises(ValueError, match=r"^Expected tables with one signature, got .* and other in [^\n]*$"):
            write_report(output=output, **arguments)
    assert not output.exists()


def test_mistakes_are_refused_in_one_line(tmp_path):
    path = write_table(tmp_path / "scores.csv", IDS)
    page = tmp_path / "page.html"
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("id,video\nother,a.mp4\n")
    for match, call in {
        "Expected an output that ends in .html": lambda: write_report([path], path),
        "got none": lambda: write_report([], page),
        "different tables": lambda: write_report([path, path], page),
        "none of its ids": lambda: write_report([path], page, manifest),
        "Expected a manifest together": lambda: write_report([path], page, folder=tmp_path),
        "without similarity_video_text": lambda: write_report([manifest_with_summary(tmp_path)], page),
    }.items():
        with pytest.raises(ValueError, match=match) as caught:
            call()
        assert "\n" not in str(caught.value)
    (tmp_path / "scores.json").unlink()
    with pytest.raises(FileNotFoundError, match="Expected the summary"):
        write_report([path], page)


def manifest_with_summary(folder):
    (folder / "list.csv").write_text("id,video\na,a.mp4\n")
    (folder / "list.json").write_text('{"signature": "x"}')
    return folder / "list.csv"


@pytest.mark.parametrize(("old", "new"), [("clip-1,", "clip-0,"), ("clip-1,", "clip-1,x"), ("clip-1,", "clip-1,inf")])
def test_broken_tables_are_refused(tmp_path, old, new):
    path = write_table(tmp_path / "scores.csv", IDS)
    cells = new.split(",")
    text = re.sub(r"clip-1,[^,]*", ",".join(cells) if cells[1] else rf"{cells[0]},0.1", path.read_text(), count=1)
    path.write_text(text)
    with pytest.raises(ValueError, match=r"^Expected (unique ids|scores in column similarity_video_text)[^\n]*$"):
        read_tables([path])


def test_figures_write_files(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(2, 50))
    y[3] = np.nan
    interval = bootstrap(lambda values: float(np.mean(values)), x)
    drawn = {
        "distributions": figures.render_distributions({"a": {"video-text": x, "text-audio": y}, "_b": {"v": []}}),
        "means": figures.render_means({"a": {"sum": interval}, "$": {"sum": interval}}),
        "plane": figures.render_plane({"a": (x, y), "none": ([], [])}),
        "sorted": figures.render_sorted({"a": x, "日本": y, "none": []}),
    }
    for name, figure in drawn.items():
        assert "currentColor" in figures.render_svg(figure, name)
        if name != "sorted":
            figure.savefig(tmp_path / f"{name}.png")
            figure.savefig(tmp_path / f"{name}.svg")
            assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_points_of_the_plane_do_not_grow_the_page():
    points = [np.random.default_rng(0).random((2, n)) for n in (3000, 30_000)]
    sizes = [len(figures.render_svg(figures.render_plane({"a": both}), "a")) for both in points]
    assert sizes[1] < 4 * sizes[0]  # as vectors it would be ten times


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """The page of the clips in docs/clips, with one more that does not exist."""
    pytest.importorskip("av")
    folder = tmp_path_factory.mktemp("gallery")
    path = write_table(folder / "scores.csv", ["ball", "disc", "noise", "gone"])
    with (CLIPS / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    manifest = folder / "manifest.jsonl"
    rows.append({"id": "gone", "video": "gone.mp4", "text": "a clip that was deleted"})
    manifest.write_text("\n".join(map(json.dumps, rows)))
    return write_report([path], folder / "page.html", manifest, folder=CLIPS)


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
    return write_report([write_table(tmp_path / "scores.csv", ids, missing=("alpha",))], tmp_path / "page.html")


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
    values = sorted((row[1] for row in data(page.read_text())["rows"] if row[1] is not None), reverse=True)
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
    path = write_table(tmp_path / "scores.csv", [EVIL, "b"])
    found = probe(write_report([path], tmp_path / "page.html"), HELPERS + "return [document.title, column(0)[0]];")
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
