"""The script that measures on a GPU, where there is none: all sections have lines, and one that fails stops none."""

import importlib
import sys
from pathlib import Path

import pytest
from toy_training import IGNORED

for package in ("ftfy", "av"):
    pytest.importorskip(package)
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
NO_BFLOAT16 = "ignore:Expected a processor with bfloat16 instructions"
pytestmark = [pytest.mark.filterwarnings(each) for each in (*IGNORED, NO_BFLOAT16)]


@pytest.fixture
def gpu(monkeypatch):
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCHMARKS))  # as Python does for a script
    yield importlib.import_module("gpu")
    for name in {path.stem for path in BENCHMARKS.glob("*.py")} & (sys.modules.keys() - before):
        del sys.modules[name]


def sections(said):
    """Give what stands under each heading."""
    _, *parts = said.split("\n## ")
    return {name: text for name, _, text in (part.partition("\n") for part in parts)}


def measured(text):
    """Give the rows of all tables of a section whose last cell, the number of runs, is filled."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [cells for cells in rows if cells[-1].isdigit()]


def test_ratios_are_taken_within_a_round(gpu):
    times = {"ours": [2.0, 6.0, 1.0], "peer": [1.0, 4.0, 2.0]}
    assert list(importlib.import_module("gpu_setup").rows("clips", times, "peer")) == [
        "| clips | ours | 2000 (1000 to 6000) | 1.5 (0.5 to 2) | 3 |",
        "| clips | peer | 2000 (1000 to 4000) | 1 | 3 |",
    ]


def test_every_section_prints_its_lines(gpu, tmp_path, capsys):
    assert gpu.main(["--quick", "--device", "cpu", "--output", str(tmp_path / "gpu.md")]) == 0
    said = capsys.readouterr().out
    assert (tmp_path / "gpu.md").read_text() == said
    assert "This measures nothing of a GPU" in said
    texts = sections(said)
    assert list(texts) == list(gpu.SECTIONS)
    for text in texts.values():
        assert all(cells[-1] == "2" for cells in measured(text))
        assert measured(text)
        assert ". torch " in text.splitlines()[-1]
    assert " NO" not in said  # where bits are compared
    assert "not measured: no GPU" in texts["memory"]
    assert "not measured: no GPU" in texts["nccl"]


def test_a_section_that_raises_stops_no_other(gpu, monkeypatch, capsys):
    def broken(setup):
        """Break in its second line."""
        yield "| a line |"
        raise ValueError("no such device")

    def whole(setup):
        """Do well."""
        yield "| another line |"

    monkeypatch.setattr(gpu, "SECTIONS", {"broken": broken, "whole": whole})
    assert gpu.main(["--device", "cpu"]) == 1
    texts = sections(capsys.readouterr().out)
    assert "| a line |\n\nfailed: ValueError: no such device" in texts["broken"]
    assert "| another line |" in texts["whole"]
    assert gpu.main(["--device", "cpu", "--only", "whole"]) == 0


def test_nothing_is_begun_when_the_time_is_over(gpu, capsys):
    assert gpu.main(["--device", "cpu", "--budget", "0", "--only", "update,nccl"]) == 0
    assert all("not measured: out of time" in text for text in sections(capsys.readouterr().out).values())


def test_an_unknown_section_is_an_error(gpu, capsys):
    with pytest.raises(SystemExit):
        gpu.main(["--only", "update,speed"])
    assert "got 'speed'" in capsys.readouterr().err
