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
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", *flags]
    command += [f"--user-data-dir={page.with_name('profile')}", "--dump-dom", copy.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return json.loads(html.unescape(re.search(r'data-found="([^"]*)"', done.stdout)[1]))
