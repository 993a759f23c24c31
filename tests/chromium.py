"""A page in headless Chromium, where there is one."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CLIPS = Path(__file__).parents[1] / "docs" / "clips"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HELPERS = """
const column = (k) => [...get("clips").tBodies[0].rows].map((row) => row.cells[k].textContent);
const head = (k) => get("clips").tHead.rows[0].cells[k];
const type = (id, value) => { get(id).value = value; get(id).dispatchEvent(new Event("input", { bubbles: true })); };
"""


def probe(page, script, *flags):
    """Open a copy of the page with a script at its end, and give what the script returns."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    body = f"(async () => {{ {script} }})().catch(String).then(r => document.body.dataset.found = JSON.stringify(r))"
    copy = page.with_name("probed.html")
    copy.write_text(page.read_text().replace("</body>", f"<script>{body}</script></body>"))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", *flags]
    command += [f"--user-data-dir={page.with_name('profile')}", "--dump-dom", copy.as_uri()]
    # Virtual time does not wait for what the browser does in other threads: on a busy machine it may be over too early.
    for budget in (10_000, 100_000, 1_000_000):
        timed = [*command, f"--virtual-time-budget={budget}"]
        done = subprocess.run(timed, capture_output=True, text=True, timeout=120, check=True)
        if found := re.search(r'data-found="([^"]*)"', done.stdout):
            return json.loads(html.unescape(found[1]))
    pytest.fail("Chromium closed the page before the script came to its end")
