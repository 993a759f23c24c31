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
    codes = [main(command.split()) for command in sys.argv[1:]]
except SystemExit as left:
    codes = [left.code or 0]
print([codes, list(sys.modules)])
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


def ends(folder, *commands):
    """Run commands in one process: their exit codes, and the modules that they loaded."""
    process = [sys.executable, "-c", RUN, *commands]
    run = subprocess.run(process, capture_output=True, text=True, check=False, cwd=folder)
    codes, modules = ast.literal_eval(run.stdout.splitlines()[-1])
    return codes, set(modules), run.stderr


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
        ("encoders", 0),
        ("encoders synchformer", 0),
    ],
)
def test_commands_on_tables_load_no_torch(folder, command, expected):
    codes, modules, error = ends(folder, command)
    assert codes == [expected], error
    assert not modules.intersection([*TORCH, "torchmetrics", "lightning"])


def test_commands_on_clips_load_neither_torchmetrics_nor_lightning_nor_a_compiler(folder):
    tiny = "w/manifest.csv --encoder c-mcr-tiny"
    commands = ["world other --count 1", f"score {tiny}", f"benchmark {tiny}"]
    codes, modules, error = ends(folder, *commands, "duplicates embeddings.safetensors --threshold 0.9")
    assert codes == [0] * 4, error
    assert not modules.intersection(UNUSED)


def test_the_package_loads_nothing_until_a_name_is_touched():
    code = "import sys, torchmetrics_majorscore as t; assert 'MAJORScore' in dir(t); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
