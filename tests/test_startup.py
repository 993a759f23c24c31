"""What a command loads before it answers, by modules: a reader of tables waits for no network's library."""

import ast
import subprocess
import sys

import pytest

for package in ("av", "ftfy", "pandas", "safetensors", "scipy"):
    pytest.importorskip(package)

from written_tables import write_random  # noqa: E402

from torchmetrics_majorscore.training.world.view import write_world  # noqa: E402

TORCH = ["torch"]
UNUSED = ["torchmetrics", "lightning", "torch._dynamo", "matplotlib"]
RUN = """
import sys
from torchmetrics_majorscore.cli.main import main
try:
    code = main(sys.argv[1:])
except SystemExit as left:
    code = left.code or 0
print([code, list(sys.modules)])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("startup")
    write_world(folder / "w", 4, 0)
    rows = [line.split(",")[0] for line in (folder / "w" / "manifest.csv").read_text().splitlines()[1:]]
    for name in ("a", "b"):
        write_random(folder / f"{name}.csv", rows, seed=len(name))
    write_random(folder / "ranked.csv", [f"p{n // 2}/{n}" for n in range(8)])
    ratings = "".join(f"{clip},{model},r1,{3 + number % 2}\n" for number, clip in enumerate(rows) for model in "ab")
    (folder / "ratings.csv").write_text("id,model,rater,rating\n" + ratings)
    return folder


def ends(folder, *arguments):
    """Run a command: its exit code, and the modules that it loaded."""
    command = [sys.executable, "-c", RUN, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    code, modules = ast.literal_eval(run.stdout.splitlines()[-1])
    return code, set(modules), run.stderr


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("--help", 0),
        ("--version", 0),
        ("scor", 2),
        ("compare a.csv b.csv", 0),
        ("rank ranked.csv", 0),
        ("filter w/manifest.csv a.csv --quantile 0.5 -o filtered", 0),
        ("overlap --test w/manifest.csv --train w/manifest.csv", 0),
        ("ratings sheet a.csv b.csv", 0),
        ("ratings agree a.csv b.csv --ratings ratings.csv", 0),
        ("report a.csv b.csv --manifest w/manifest.csv", 0),
    ],
)
def test_commands_on_tables_load_no_torch(folder, command, expected):
    code, modules, error = ends(folder, *command.split())
    assert code == expected, error
    assert not modules.intersection([*TORCH, "torchmetrics", "lightning"])


def test_commands_on_clips_load_neither_torchmetrics_nor_lightning_nor_a_compiler(folder):
    tiny = "--encoder c-mcr-tiny"
    for command in (
        "world other --count 1",
        f"score w/manifest.csv {tiny}",
        f"benchmark w/manifest.csv {tiny}",
        "duplicates embeddings.safetensors --threshold 0.9",
    ):
        code, modules, error = ends(folder, *command.split())
        assert code == 0, error
        assert not modules.intersection(UNUSED), command


def test_the_package_loads_nothing_until_a_name_is_touched():
    code = "import sys, torchmetrics_majorscore as t; assert 'MAJORScore' in dir(t); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
