"""README and the pages: Python blocks run as they stand and print what is said; commands run, or are understood."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from torchmetrics_majorscore.cli.main import _parser, main

for package in ("av", "lightning", "matplotlib", "ftfy", "pandas"):
    pytest.importorskip(package)
ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d+\.\d+|(?<=@)[0-9a-f]{8}")  # or the digest of weights
BLOCKS = {
    f"{path.relative_to(ROOT)}": BLOCK.findall(path.read_text())
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
# They take minutes, or the reader's own files.
UNDERSTOOD = ("demo", "connect", "train-tiny", "fuse", "retrieval", "weights", "overlap", "ratings agree")
UNDERSTOOD += (
    "encoders",
    "score docs/clips/manifest.csv",
    "score shard-",
    "score s3://",
    "score four.csv",
    "benchmark four.csv",
)


def test_no_formatter_has_taken_an_include_for_python():
    """The page would show the line in place of the file: blocks with an include are ``{.python}``."""
    assert [page for page in sorted((ROOT / "docs").rglob("*.md")) if re.search(r"8 < ?--", page.read_text())] == []


def blocks(language):
    return [(page, *rest) for page, found in BLOCKS.items() for kind, *rest in found if kind == language]


@pytest.fixture
def _in_clone(tmp_path, monkeypatch):
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_in_clone")
@pytest.mark.filterwarnings("ignore:c-mcr-tiny knows only", "ignore:Starting from v1.9.0, `tensorboardX`")
@pytest.mark.filterwarnings("ignore:8 vectors of .* do not span 128 features")
@pytest.mark.parametrize(("page", "code", "printed"), blocks("python"))
def test_python_blocks_run(page, code, printed):
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(code, page, "exec"), {"__name__": "__main__"})
    if printed:
        assert NUMBER.sub("#", said.getvalue()) == NUMBER.sub("#", printed)
        numbers = [[float(n) for n in NUMBER.findall(text) if "." in n] for text in (said.getvalue(), printed)]
        assert numbers[0] == pytest.approx(numbers[1], abs=0.011)


@pytest.mark.usefixtures("_in_clone")
def test_commands_run():
    code = "".join(code for _, code, _ in blocks("bash"))
    for line in dict.fromkeys(code.replace("\\\n", " ").splitlines()):  # pages begin with the same clips
        words = shlex.split(line.removeprefix("uv run "), comments=True)
        if words[0] != "majorscore":
            assert words[0] in ("pip", "torchrun", "--with") or (ROOT / words[0]).is_file()
        elif " ".join(words[1:]).startswith(UNDERSTOOD):
            _parser().parse_args(words[1:])
        else:
            assert main(words[1:]) == 0, line
